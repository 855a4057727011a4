"""The small files of a run folder, read as plain values; free of torch."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from denf.reading import read_json_mapping, read_text, reading

VALIDATION_ARI = "validation_ari_fg"  # column of history.csv, filled only in scored rows


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
    """Scores written by `denf evaluate` and, under `fid`, by `denf fid`; empty without files."""
    scores, distance = read_record(folder, "metrics.json"), read_record(folder, "fid.json")
    return {**scores, "fid": distance} if distance else scores


def read_history(folder: Path) -> list[dict[str, float]]:
    """Rows of `history.csv`, `step` and the values logged; empty where there is no file.

    Raises:
        DenfError: when a value is not a number.
    """
    path = folder / "history.csv"
    if not path.exists():
        return []
    fix = "Train the run again."
    text = read_text(path, fix=fix)
    with reading(path, expected="numbers under their names", fix=fix):
        rows = csv.DictReader(text.splitlines(), strict=True)
        return [{name: float(value) for name, value in row.items() if value != ""} for row in rows]
