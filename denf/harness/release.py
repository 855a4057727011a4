"""Releasing runs: copies of finished ones, small enough for a repository."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from denf.errors import DenfError
from denf.files import atomic_path
from denf.run_folder import read_record

FILES = (
    *("experiment.yaml", "run.json", "history.csv", "metrics.json", "scores.csv", "fid.json"),
    *("panels.npz", "model.safetensors"),
)
LARGEST = 16 * 2**20  # bytes of a file


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
        DenfError: for a run that is not finished and scored.
    """
    return [target for run in runs if (target := _release(run, out)) is not None]


def _release(run: Path, out: Path) -> Path | None:
    record = read_record(run, "run.json")
    scored = (run / "metrics.json").exists() or (run / "fid.json").exists()
    if record.get("status") != "finished" or not scored:
        raise DenfError(
            f"run {run}",
            expected="one that is finished and has scores",
            got=f"status {record.get('status')}, {'with' if scored else 'without'} scores",
            fix="Train it to its end, then call denf evaluate or denf fid.",
        )
    row = out / run.parent.parent.name / run.parent.name
    on_gpu = _on_gpu(run)
    for released in row.glob("seed-*"):
        if _on_gpu(released) and not on_gpu:
            return None
        if on_gpu and not _on_gpu(released):
            shutil.rmtree(released)
    target = row / run.name
    target.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        source = run / name
        if source.exists() and source.stat().st_size <= LARGEST:
            with atomic_path(target / name) as temporary:
                shutil.copyfile(source, temporary)
        else:
            (target / name).unlink(missing_ok=True)
    return target


def _on_gpu(run: Path) -> bool:
    return bool(read_record(run, "run.json").get("cuda"))
