"""Releasing runs: copies of finished ones, small enough for a repository."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from denf.errors import DenfError
from denf.files import atomic_path
from denf.harness.checkpoint import check_weights
from denf.run_folder import SCORED, SHARED, TRAINED, check_scores, read_record, seed_of
from denf.yaml_reader import read_mapping

LARGEST = 16 * 2**20  # bytes of a file
_ENDED = ("finished", "diverged")  # a diverged seed is a result too


def release(runs: Sequence[Path], out: Path) -> list[Path]:
    """Copy finished runs to `out/<dataset>/<experiment>/seed-<k>`.

    A run on a GPU replaces all runs of its experiment on a CPU, since the seeds of a row share one
    budget; a run on a CPU is left out where the experiment has one on a GPU. Files over 16 MiB, the
    weights of large networks, are left out.

    Args:
        runs: folders `<dataset>/<experiment>/seed-<k>`.
        out: folder of the released runs.

    Returns:
        the folders written.

    Raises:
        DenfError: for a folder of another name, or a run that has not ended or has no scores, whose
            weights or scores are not those of its training, whose settings are not those of the
            released seeds of its experiment, or that would be released to its own folder or that of
            another run. Nothing is written then.
    """
    targets: dict[Path, Path] = {}
    for run in (Path(os.path.abspath(run)) for run in runs):
        target = out / run.parent.parent.name / run.parent.name / run.name
        _check(run, target)
        other = targets.setdefault(target, run)
        if other.resolve() != run.resolve():
            raise DenfError(
                f"run {run}",
                expected="another name or data set than those of the other runs",
                got=f"those of {other}",
                fix="Release one of them, or rename its folders.",
            )
    _check_settings(targets)
    ordered = sorted(targets.items(), key=lambda item: not _on_gpu(item[1]))  # GPU runs first
    return [target for target, run in ordered if _release(run, target)]


def _check(run: Path, target: Path) -> None:
    """Refuse a run that cannot be released."""
    if seed_of(run.name) is None or not run.parent.parent.name:
        raise DenfError(
            f"run {run}",
            expected="a folder <dataset>/<experiment>/seed-<k>, by which tables find a run",
            got="another name",
            fix="Name a run folder of the workflow, or rename the folders.",
        )
    record = read_record(run, "run.json")
    measured = {name: read_record(run, name) for name in ("metrics.json", "fid.json")}
    scored = any((run / name).exists() for name in measured)
    if record.get("status") not in _ENDED or not scored:
        raise DenfError(
            f"run {run}",
            expected="one that has ended and has scores",
            got=f"status {record.get('status')}, {'with' if scored else 'without'} scores",
            fix="Train it to its end, then call denf evaluate or denf fid.",
        )
    check_scores(run, record, measured)
    if (run / "model.safetensors").exists():
        check_weights(run)
    if target.resolve() == run.resolve():
        raise DenfError(
            f"run {run}",
            expected="a run outside the folder of released runs",
            got="a released one",
            fix="Choose another --out, or another run.",
        )


def _check_settings(targets: Mapping[Path, Path]) -> None:
    """Refuse runs whose settings differ from those of seeds that they will stand beside.

    Args:
        targets: by the folder of its copy, each run.
    """
    for target, run in targets.items():
        beside = {folder: folder for folder in target.parent.glob("seed-*")}
        beside |= {copy: other for copy, other in targets.items() if copy.parent == target.parent}
        for other in beside.values():
            if _on_gpu(other) == _on_gpu(run) and _shared(other) != _shared(run):
                raise DenfError(
                    f"run {run}",
                    expected=f"the settings of {other}, since seeds of one experiment share them",
                    got="others",
                    fix="Remove the released seeds that are out of date, or release all seeds "
                    "in one call.",
                )


def _shared(run: Path) -> dict[str, Any]:
    """What all seeds of an experiment have in common."""
    file = run / "experiment.yaml"
    values = (
        read_mapping(file, what="experiment file", fix="Train it again.") if file.exists() else {}
    )
    return {key: values.get(key) for key in SHARED}


def _release(run: Path, target: Path) -> bool:
    """Copy a run, unless one on a GPU is there; whether it was copied."""
    on_gpu = _on_gpu(run)
    for released in target.parent.glob("seed-*"):
        if _on_gpu(released) and not on_gpu:
            return False
        if on_gpu and not _on_gpu(released):
            shutil.rmtree(released)
    target.mkdir(parents=True, exist_ok=True)
    for name in (*TRAINED, *SCORED):
        source = run / name
        if source.exists() and source.stat().st_size <= LARGEST:
            with atomic_path(target / name) as temporary:
                shutil.copyfile(source, temporary)
        else:
            (target / name).unlink(missing_ok=True)
    return True


def _on_gpu(run: Path) -> bool:
    return bool(read_record(run, "run.json").get("cuda"))
