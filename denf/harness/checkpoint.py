"""Weights and training states on disk: atomic, keyed by settings and code, two generations deep."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from denf.errors import DenfError
from denf.files import write_atomically
from denf.harness.experiment import Experiment, load_experiment
from denf.harness.method import Method
from denf.harness.registry import make_method, settings_type
from denf.harness.validation import validate
from denf.settings import as_plain

GENERATIONS = 2
_UNREADABLE = (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError)


def best_device() -> torch.device:
    """A CUDA card where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class StateStore:
    """Training states of one run, beside the run's folder and outside its outputs.

    Snakemake deletes the outputs of a killed job; what lies here survives. The key makes a state of
    other settings or other code invisible.

    Args:
        run: the run folder.
        key: hash of everything that the state depends on.
    """

    def __init__(self, run: Path, key: str) -> None:
        self.folder = run.parent / ".state" / run.name / key

    def save(self, state: Mapping[str, Any], step: int) -> None:
        """Write a state under a temporary name, rename it, drop all but the newest two.

        Raises:
            OSError: when it cannot be written (a full disk); the states before it stay.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"step-{step:09d}.pt"
        temporary = path.with_suffix(".tmp")
        try:
            torch.save(dict(state), temporary)
        except (OSError, RuntimeError) as error:  # torch's writer says RuntimeError
            temporary.unlink(missing_ok=True)
            raise OSError(f"training state {path} cannot be written: {error}") from error
        os.replace(temporary, path)
        for old in self._generations()[GENERATIONS:]:
            old.unlink()

    def load(self) -> dict[str, Any] | None:
        """The newest readable state, or None."""
        for path in self._generations():
            try:
                return torch.load(path, map_location="cpu", weights_only=True)
            except _UNREADABLE as error:
                warnings.warn(
                    f"{path} cannot be read ({error}); trying the one before", stacklevel=2
                )
        return None

    def clear(self) -> None:
        """Forget all states of this run, whatever their key."""
        shutil.rmtree(self.folder.parent, ignore_errors=True)

    def _generations(self) -> list[Path]:
        return sorted(self.folder.glob("step-*.pt"), reverse=True)


def build(experiment: Experiment, seed: int) -> Method:
    """The method of an experiment, its parameters drawn from the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make_method(experiment.method, experiment.settings, experiment.aids)


def save_weights(method: Method, experiment: Experiment, path: Path) -> None:
    """Write `model.safetensors` atomically; its header says which method and settings it fits.

    Raises:
        OSError: when it cannot be written (a full disk).
    """
    state = {name: value.contiguous() for name, value in method.state_dict().items()}
    metadata = {
        "experiment": experiment.name,
        "fingerprint": experiment.fingerprint(),
        "method": experiment.method,
        "settings": json.dumps(as_plain(method.settings)),
    }
    if experiment.aids:
        metadata["aids"] = json.dumps(dict(experiment.aids))
    temporary = path.with_suffix(".tmp")
    try:
        save_file(state, temporary, metadata=metadata)
    except SafetensorError as error:
        temporary.unlink(missing_ok=True)
        raise OSError(f"{path} cannot be written: {error}") from error
    os.replace(temporary, path)


def load_run(run: Path, device: torch.device | str = "cpu") -> tuple[Method, Experiment]:
    """Rebuild the method of a run folder with its trained weights.

    Raises:
        DenfError: when files are missing or damaged, or the weights belong to another method or
            other settings than `experiment.yaml` has.
    """
    if not _is_run(run):
        inner = sorted(run.iterdir()) if run.is_dir() else []
        seeds = [str(folder) for folder in inner if _is_run(folder)]
        raise DenfError(
            f"run folder {run}",
            expected="experiment.yaml and model.safetensors",
            got=[path.name for path in inner] if run.is_dir() else "no such folder",
            fix=f"Choose a run in it: {', '.join(seeds)}."
            if seeds
            else "Train it with `denf train`.",
        )
    experiment = load_experiment(run / "experiment.yaml")
    method = build(experiment, seed=0)
    path = run / "model.safetensors"
    weights, metadata = _read_weights(path)
    _refuse_other_settings(path, experiment, method, metadata)
    _refuse_misfit(path, dict(method.state_dict()), weights)
    method.load_state_dict(weights)
    return method.to(device).eval(), experiment


def _is_run(folder: Path) -> bool:
    return (folder / "experiment.yaml").exists() and (folder / "model.safetensors").exists()


def start_from(method: Method, run: Path) -> str:
    """Load the weights of another run, whose other settings may differ where shapes do not.

    Returns:
        SHA-256 of the file.

    Raises:
        DenfError: when the file is missing or damaged, or does not fit.
    """
    path = run / "model.safetensors"
    weights, _ = _read_weights(path)
    _refuse_misfit(path, dict(method.state_dict()), weights)
    method.load_state_dict(weights)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_experiment(experiment: Experiment, path: Path) -> None:
    """Write the resolved experiment as YAML, atomically."""
    write_atomically(path, yaml.safe_dump(experiment.as_dict(), sort_keys=False))


def _read_weights(path: Path) -> tuple[dict[str, Tensor], Mapping[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            names = file.keys()
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except (SafetensorError, OSError, ValueError) as error:
        raise DenfError(
            str(path), expected="whole safetensors", got=error, fix="Train it again."
        ) from error


def _refuse_other_settings(
    path: Path, experiment: Experiment, method: Method, metadata: Mapping[str, str]
) -> None:
    """Compare with the header; weights of equal shapes may mean something else."""
    if "settings" not in metadata:  # not written by this suite: the shapes must do
        return
    where = f"{path}: settings in its header"
    fix = "Use the run's own experiment.yaml, or train again."
    name = experiment.method
    if metadata["method"] != name:
        raise DenfError(f"{path}: method", expected=name, got=metadata["method"], fix=fix)
    trained: Any = validate(settings_type(name), json.loads(metadata["settings"]), where=where)
    theirs, ours = dict(_flat(as_plain(trained))), dict(_flat(as_plain(method.settings)))
    theirs |= _flat(json.loads(metadata.get("aids", "{}")), "aids.")
    ours |= _flat(experiment.aids, "aids.")
    # A part that one of them has not (None) has keys of its own in the other.
    differing = [key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)]
    if differing:
        more = f" (and {len(differing) - 1} more)" if differing[1:] else ""
        key = differing[0]
        raise DenfError(
            f"{path}: {key}{more}", expected=ours.get(key), got=theirs.get(key), fix=fix
        )


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Settings as (dotted key, value)."""
    for name, value in settings.items():
        key = prefix + name
        if isinstance(value, Mapping):
            yield from _flat(value, f"{key}.")
        else:
            yield key, value


def _refuse_misfit(path: Path, expected: Mapping[str, Tensor], got: Mapping[str, Tensor]) -> None:
    shapes = {name: tuple(value.shape) for name, value in expected.items()}
    found = {name: tuple(value.shape) for name, value in got.items()}
    if shapes == found:
        return
    differing = sorted(n for n in shapes.keys() | found.keys() if shapes.get(n) != found.get(n))
    name = differing[0]
    raise DenfError(
        f"{path}: {name} (and {len(differing) - 1} more)",
        expected=shapes.get(name, "no such tensor"),
        got=found.get(name, "no such tensor"),
        fix="The weights belong to another method or other settings: use that run's own "
        "experiment.yaml, or train again.",
    )
