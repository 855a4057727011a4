"""Weights on disk: written atomically, checked by hashes."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from denf.errors import DenfError
from denf.files import write_atomically
from denf.harness.experiment import Experiment, load_experiment
from denf.harness.method import Method
from denf.harness.registry import make_method, settings_type
from denf.harness.validation import validate
from denf.reading import reading
from denf.run_folder import check_is_run, read_record
from denf.settings import as_plain, flat


def best_device() -> torch.device:
    """A GPU with CUDA where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def build(experiment: Experiment, seed: int) -> Method:
    """The method of an experiment, its parameters drawn from the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make_method(experiment.method, experiment.settings, experiment.aids)


def save_weights(method: Method, experiment: Experiment, path: Path) -> None:
    """Write `model.safetensors` atomically; its header names method and settings.

    Equal weights of one experiment give equal files.

    Raises:
        OSError: when the file cannot be written (a full disk).
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
    write_atomically(path, _in_one_order(save(state, metadata)))


def _in_one_order(data: bytes) -> bytes:
    """A safetensors file with its metadata's keys sorted; the library's order is random."""
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of eight bytes
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


def tensors_sha256(state: Mapping[str, Tensor]) -> str:
    """Hash of names, types, shapes and values, independent of file and device."""
    digest = hashlib.sha256()
    for name, value in sorted(state.items()):
        flat = value.detach().cpu().contiguous().reshape(-1)
        digest.update(f"{name}\0{value.dtype}\0{tuple(value.shape)}\0".encode())
        digest.update(flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b"")
    return digest.hexdigest()


def load_run(run: Path, device: torch.device | str = "cpu") -> tuple[Method, Experiment]:
    """Rebuild the method of a run folder with its trained weights.

    Raises:
        DenfError: when files are missing or damaged, or when the weights are not finite, are not
            those recorded in `run.json`, or belong to another method or other settings than those
            in `experiment.yaml`.
    """
    check_is_run(run, "experiment.yaml", "model.safetensors")
    experiment = load_experiment(run / "experiment.yaml")
    method = build(experiment, seed=0)
    path = run / "model.safetensors"
    weights, metadata = _read_weights(path)
    _refuse_other_settings(path, experiment, method, metadata)
    _refuse_misfit(path, dict(method.state_dict()), weights)
    _refuse_other_weights(run, weights)
    method.load_state_dict(weights)
    return method.to(device).eval(), experiment


def check_weights(run: Path) -> str:
    """Refuse a run whose weights are damaged or not those of its training.

    Returns:
        the hash of the weights, see `tensors_sha256`.

    Raises:
        DenfError: names the file.
    """
    return _refuse_other_weights(run, _read_weights(run / "model.safetensors")[0])


def start_from(method: Method, run: Path) -> str:
    """Load the weights of another run, whose settings may differ as long as shapes agree.

    Returns:
        the hash of the weights, see `tensors_sha256`.

    Raises:
        DenfError: when the file is missing or damaged, or does not fit.
    """
    check_is_run(run, "model.safetensors")
    path = run / "model.safetensors"
    weights, _ = _read_weights(path)
    _refuse_misfit(path, dict(method.state_dict()), weights)
    sha256 = _refuse_other_weights(run, weights)
    method.load_state_dict(weights)
    return sha256


def write_experiment(experiment: Experiment, path: Path) -> None:
    """Write the resolved experiment as YAML, atomically."""
    write_atomically(path, yaml.safe_dump(experiment.as_dict(), sort_keys=False))


def _read_weights(path: Path) -> tuple[dict[str, Tensor], Mapping[str, str]]:
    with (
        reading(path, expected="whole safetensors", fix="Train it again."),
        safe_open(path, framework="pt") as file,
    ):
        names = file.keys()
        return {name: file.get_tensor(name) for name in names}, file.metadata() or {}


def _refuse_other_weights(run: Path, weights: Mapping[str, Tensor]) -> str:
    """Refuse weights that are not finite or not those that the training recorded; return a hash."""
    path = run / "model.safetensors"
    for name, value in weights.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise DenfError(
                f"{path}: {name}",
                expected="finite weights",
                got="NaN or infinite ones",
                fix="Restore the file, or train again.",
            )
    sha256 = tensors_sha256(weights)
    recorded = read_record(run, "run.json").get("weights_sha256")  # early runs have none
    if recorded not in (None, sha256):
        raise DenfError(
            str(path),
            expected=f"weights of SHA-256 {recorded}, as {run / 'run.json'} says",
            got=sha256,
            fix="Restore the files of one training, or train again.",
        )
    return sha256


def _refuse_other_settings(
    path: Path, experiment: Experiment, method: Method, metadata: Mapping[str, str]
) -> None:
    """Refuse weights whose header has other settings; equal shapes do not imply equal settings."""
    if "settings" not in metadata:  # not written by this suite: only the shapes are checked
        return
    where = f"{path}: settings in its header"
    fix = "Use the run's own experiment.yaml, or train again."
    name = experiment.method
    if metadata.get("method") != name:
        raise DenfError(f"{path}: method", expected=name, got=metadata.get("method"), fix=fix)
    with reading(where, expected="settings in JSON", fix=fix):
        settings = json.loads(metadata["settings"])
        aids = json.loads(metadata.get("aids", "{}"))
    trained: Any = validate(settings_type(name), settings, where=where)
    theirs, ours = dict(flat(as_plain(trained))), dict(flat(as_plain(method.settings)))
    theirs |= flat(aids, "aids.")
    ours |= flat(experiment.aids, "aids.")
    # A section that is None in one of them has keys of its own in the other.
    differing = [key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)]
    if differing:
        more = f" (and {len(differing) - 1} more)" if differing[1:] else ""
        key = differing[0]
        raise DenfError(
            f"{path}: {key}{more}", expected=ours.get(key), got=theirs.get(key), fix=fix
        )


def _refuse_misfit(path: Path, expected: Mapping[str, Tensor], got: Mapping[str, Tensor]) -> None:
    shapes: dict[str, object] = {name: tuple(value.shape) for name, value in expected.items()}
    found: dict[str, object] = {name: tuple(value.shape) for name, value in got.items()}
    if shapes == found:  # types may still differ, and loading would convert them silently
        shapes = {name: str(value.dtype) for name, value in expected.items()}
        found = {name: str(value.dtype) for name, value in got.items()}
    if shapes == found:
        return
    differing = sorted(n for n in shapes.keys() | found.keys() if shapes.get(n) != found.get(n))
    name = differing[0]
    more = f" (and {len(differing) - 1} more)" if differing[1:] else ""
    raise DenfError(
        f"{path}: {name}{more}",
        expected=shapes.get(name, "no such tensor"),
        got=found.get(name, "no such tensor"),
        fix="The weights belong to another method or other settings: use that run's own "
        "experiment.yaml, or train again.",
    )
