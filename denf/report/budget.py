"""Time of trainings that start from the weights of another experiment."""

from __future__ import annotations

from collections.abc import Iterable

from denf.report.records import Row, Run


def starts_from(row: Row | None) -> str | None:
    """Name of the experiment whose weights the trainings of a row start from; None without one."""
    named = [run.experiment.get("weights") for run in row.runs] if row else []
    return next((str(name) for name in named if name), None)


def seconds_before(row: Row, run: Run, rows: Iterable[Row]) -> float:
    """Time of the training that gave a run its first weights, 0 where it is not among `rows`."""
    name = starts_from(row)
    found = [other for other in rows if other.dataset == row.dataset and other.name == name]
    records = [first.record or {} for o in found for first in o.runs if first.seed == run.seed]
    return float(next((r["seconds"] for r in records if r.get("seconds")), 0))
