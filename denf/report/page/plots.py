"""Data of the page's plots: learning curves, and quality beside cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from denf.report.budget import seconds_before
from denf.report.curves import binned, history_of
from denf.report.lines import Line
from denf.report.loading import titles
from denf.report.names import dataset_name
from denf.report.records import Row

BINS = 120
COSTS: Mapping[str, str] = {
    "seconds": "training time in seconds",
    "parameters": "parameters",
    "peak_memory_bytes": "memory of training in bytes",
    "images_per_second": "images per second in training",
}


def learning_curves(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """One entry per run with a history.

    Returns:
        `label`, `dataset`, `group`, `seed`, and `terms`: by name, `step` and `value`, lists of at
        most `BINS` numbers.
    """
    curves = []
    for row, label in zip(rows, titles(rows), strict=True):
        for run in row.runs:
            frame = history_of(run)
            if frame is None:
                continue
            terms = {
                str(name): _series(frame, str(name)) for name in frame.columns if name != "step"
            }
            terms = {name: series for name, series in terms.items() if series}
            if terms:
                known = {
                    "label": label,
                    "dataset": dataset_name(row.dataset),
                    "group": str(row.group),
                }
                curves.append({**known, "seed": run.seed, "terms": terms})
    return curves


def _series(frame: pd.DataFrame, name: str) -> dict[str, list[float]] | None:
    series = frame[["step", name]].dropna()
    if series.empty:
        return None
    thinned = binned(series, BINS)
    return {"step": _rounded(thinned["step"]), "value": _rounded(thinned[name])}


def _rounded(values: pd.Series) -> list[float]:
    """Five significant digits, more than a plot shows."""
    return [float(f"{value:.5g}") for value in np.asarray(values, float)]


def quality_and_cost(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """One entry per metric by which trained methods were scored.

    Args:
        lines: of all tables; a row in several tables of one metric is plotted once.

    Returns:
        `quality` (the axis' label), `better`, and `points`: `label`, `group`, `value`, and the
        mean of each of `COSTS`, None where not measured. The seconds include those of the training
        that gave the first weights, where it is among the rows.
    """
    rows = {(line.row.dataset, line.row.name): line.row for line in lines if line.row}.values()
    plots: dict[str, dict[str, Any]] = {}
    seen = set()
    for line in lines:
        table, row = line.table, line.row
        if row is None or line.summary is None or line.cost("seconds") is None:
            continue
        key = (table.metric, row.dataset, row.name)
        if key in seen:
            continue
        seen.add(key)
        head = {"quality": table.unit, "better": table.better, "points": []}
        point = {"label": line.label, "group": str(row.group), "value": line.summary.mean}
        costs = {name: line.cost(name) for name in COSTS}
        before = [seconds_before(row, run, rows) for run in line.used]
        costs["seconds"] = (costs["seconds"] or 0) + sum(before) / len(before)
        plots.setdefault(table.metric, head)["points"].append(point | costs)
    return list(plots.values())
