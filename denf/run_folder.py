"""The small files of a run folder, read as plain values; free of torch."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

from denf.errors import DenfError
from denf.files import natural_key
from denf.reading import read_json_mapping, read_text, reading

VALIDATION_ARI = "validation_ari_fg"  # column of history.csv, filled only in scored rows
TRAINED = ("experiment.yaml", "run.json", "history.csv", "model.safetensors")  # by a training
SHARED = ("method", "protocol", "settings", "training")  # of experiment.yaml, by seeds of a row
SCORED = ("metrics.json", "scores.csv", "panels.npz", "fid.json")  # measured on its weights
_WEIGHTS = "model.safetensors"
_DEPTH = 3  # of the runs in a folder of runs: <dataset>/<experiment>/seed-<k>
_NAMED = 5  # largest number of runs that a message names


class Group(StrEnum):
    """The block of a table that contains an experiment."""

    METHOD = "method"
    ABLATION = "ablation"
    CONTROL = "control"


def check_is_run(folder: Path, *files: str) -> None:
    """Refuse a path that is not a run folder.

    Args:
        folder: the path.
        files: those that the run folder must have.

    Raises:
        DenfError: names the runs in the folder where there are any.
    """
    there = [name for name in files if (folder / name).is_file()]
    if len(there) == len(files):
        return
    fix = "Name a folder that `denf train` has made."
    if not folder.is_dir():
        is_file = folder.is_file()
        if is_file and _is_run(folder.parent, files):
            fix = f"Name its folder, {folder.parent}."
        got = "a file" if is_file else "no such folder"
    else:
        got = " and ".join(there) or "none"
        runs = _runs_in(folder, files)
        if runs:
            more = f" and {len(runs) - _NAMED} more" if runs[_NAMED:] else ""
            fix = f"Choose a run in it: {', '.join(map(str, runs[:_NAMED]))}{more}."
        elif _WEIGHTS in files and _is_run(folder, ("experiment.yaml", "run.json")):
            fix = _how_to_train(folder)
    if any((folder.parent / ".state" / folder.name).glob("*/*.pt")):
        fix = "Its training was stopped: repeat the `denf train` command with --resume."
    raise DenfError(
        f"run folder {folder}", expected=f"{' and '.join(files)} in it", got=got, fix=fix
    )


def _how_to_train(folder: Path) -> str:
    """How to get the weights of a released run that has none."""
    record = read_record(folder, "run.json")
    start = " --weights FIRST-RUN" if record.get("first_weights_sha256") else ""
    return (
        "Its weights were not released with it: files over 16 MiB are left out, and a run without "
        f"training has those of another run. Train it again: `denf train {folder}/experiment.yaml "
        f"--data DATA{start} --seed {record.get('seed', 0)} --out RUN`."
    )


def _is_run(folder: Path, files: Sequence[str]) -> bool:
    return all((folder / name).is_file() for name in files)


def _runs_in(folder: Path, files: Sequence[str]) -> list[Path]:
    """The runs nearest below a folder, all at one depth."""
    for depth in range(1, _DEPTH + 1):
        found = (path.parent for path in folder.glob("*/" * depth + files[0]))
        runs = [
            run
            for run in found
            if _is_run(run, files)
            and not any(part.startswith(".") for part in run.relative_to(folder).parts)
        ]
        if runs:
            return sorted(runs, key=natural_key)
    return []


def seed_of(name: str) -> int | None:
    """The seed in a run folder's name, `seed-<k>`; None for other names."""
    digits = name.removeprefix("seed-")
    return int(digits) if digits != name and digits.isascii() and digits.isdecimal() else None


def read_record(folder: Path, name: str) -> dict[str, Any]:
    """A JSON file of a run folder, such as `run.json`; empty where there is none.

    Raises:
        DenfError: when the file cannot be read.
    """
    path = folder / name
    if not path.exists():
        return {}
    return read_json_mapping(path, expected="a mapping in JSON", fix="Make the file again.")


def read_scores(folder: Path) -> dict[str, Any]:
    """Scores written by `denf evaluate` and, under `fid`, by `denf fid`; empty without files.

    Raises:
        DenfError: when a file cannot be read, or has scores of other weights; see `check_scores`.
    """
    scores, distance = read_record(folder, "metrics.json"), read_record(folder, "fid.json")
    measured = {"metrics.json": scores, "fid.json": distance}
    check_scores(folder, read_record(folder, "run.json"), measured)
    return {**scores, "fid": distance} if distance else scores


def check_scores(
    folder: Path, record: Mapping[str, Any], measured: Mapping[str, Mapping[str, Any]]
) -> None:
    """Refuse scores of other weights than the training made, or of scenes of another size.

    Args:
        folder: the run folder.
        record: contents of `run.json`.
        measured: contents of `metrics.json` and `fid.json`, by these names; empty without a file.

    Raises:
        DenfError: names the file and the key.
    """
    made, trained = record.get("weights_sha256"), _size(record)
    for name, document in measured.items():
        weights, size = document.get("run_weights_sha256"), _size(document)
        if made and weights and made != weights:
            raise DenfError(
                f"{folder / name}, run_weights_sha256",
                expected=f"{made}, as in run.json",
                got=weights,
                fix="The run was trained again since. Evaluate the run again.",
            )
        if trained and size and trained != size:
            raise DenfError(
                f"{folder / name}, data.size",
                expected=f"{trained}, as in run.json",
                got=size,
                fix="Evaluate the run at the size of its training, and write scores at another "
                "size to another file.",
            )


def _size(document: Mapping[str, Any]) -> Any:
    return (document.get("data") or {}).get("size")


def read_history(folder: Path) -> list[dict[str, float]]:
    """Rows of `history.csv`, `step` and the values logged; empty where there is no file.

    Raises:
        DenfError: when the column step is missing or a value is not a number.
    """
    path = folder / "history.csv"
    if not path.exists():
        return []
    fix = "Train the run again."
    text = read_text(path, fix=fix)
    with reading(path, expected="numbers under their names", fix=fix):
        rows = csv.DictReader(text.splitlines(), strict=True)
        if "step" not in (rows.fieldnames or ()):
            raise DenfError(str(path), expected="a column step", got=rows.fieldnames, fix=fix)
        return [{name: float(value) for name, value in row.items() if value != ""} for row in rows]
