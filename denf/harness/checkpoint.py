"""Weights and training states on disk: atomic, keyed by settings and code, two generations deep."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning_fabric import Fabric
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from denf.errors import DenfError
from denf.harness.experiment import Experiment, load_experiment
from denf.harness.method import Method
from denf.harness.registry import method_type

GENERATIONS = 2
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


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

    def save(self, fabric: Fabric, state: Mapping[str, Any], step: int) -> None:
        """Write a state under a temporary name, rename it, drop all but the newest two."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"step-{step:09d}.pt"
        temporary = path.with_suffix(".tmp")
        fabric.save(temporary, dict(state))
        os.replace(temporary, path)
        for old in self._generations()[GENERATIONS:]:
            old.unlink()

    def load(self, fabric: Fabric) -> dict[str, Any] | None:
        """The newest readable state, or None."""
        for path in self._generations():
            try:
                return fabric.load(path)
            except (OSError, RuntimeError, EOFError, ValueError) as error:
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
    from denf.harness.experiment import validate

    kind = method_type(experiment.method)
    settings = validate(kind.Settings, experiment.settings, where=f"{experiment.name}: settings")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return kind(settings, DTYPES[experiment.training.precision])


def save_weights(method: Method, path: Path, metadata: Mapping[str, str]) -> None:
    """Write `model.safetensors` atomically, with its metadata in the header."""
    state = {name: value.contiguous() for name, value in method.state_dict().items()}
    temporary = path.with_suffix(".tmp")
    save_file(state, temporary, metadata=dict(metadata))
    os.replace(temporary, path)


def load_run(run: Path, device: torch.device | str = "cpu") -> tuple[Method, Experiment]:
    """Rebuild the method of a run folder with its trained weights.

    Raises:
        DenfError: when files are missing or the weights do not fit the settings.
    """
    if not (run / "experiment.yaml").exists() or not (run / "model.safetensors").exists():
        raise DenfError(
            f"run folder {run}",
            expected="experiment.yaml and model.safetensors",
            got=sorted(p.name for p in run.iterdir()) if run.is_dir() else "no such folder",
            fix="Train it with `denf train`.",
        )
    experiment = load_experiment(run / "experiment.yaml")
    method = build(experiment, seed=0)
    try:
        weights = load_file(run / "model.safetensors")
    except SafetensorError as error:
        raise DenfError(
            f"{run}/model.safetensors", expected="safetensors", got=error, fix="Train it again."
        ) from error
    _refuse_misfit(run, dict(method.state_dict()), weights)
    method.load_state_dict(weights)
    return method.to(device).eval(), experiment


def write_experiment(experiment: Experiment, path: Path) -> None:
    """Write the resolved experiment as YAML, atomically."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(yaml.safe_dump(experiment.as_dict(), sort_keys=False))
    os.replace(temporary, path)


def _refuse_misfit(
    run: Path, expected: Mapping[str, torch.Tensor], got: Mapping[str, torch.Tensor]
) -> None:
    shapes = {name: tuple(value.shape) for name, value in expected.items()}
    found = {name: tuple(value.shape) for name, value in got.items()}
    if shapes == found:
        return
    differing = sorted(n for n in shapes.keys() | found.keys() if shapes.get(n) != found.get(n))
    name = differing[0]
    raise DenfError(
        f"{run}/model.safetensors: {name} (and {len(differing) - 1} more)",
        expected=shapes.get(name, "no such tensor"),
        got=found.get(name, "no such tensor"),
        fix="The weights belong to another method or other settings: use that run's own "
        "experiment.yaml, or train again.",
    )
