"""Time of trainings that start from the weights of another experiment."""

from __future__ import annotations

from collections.abc import Collection

from denf.report.records import Row, Run


def starts_from(row: Row | None) -> str | None:
    """Name of the experiment whose weights the trainings of a row start from; None without one."""
    named = [run.experiment.get("weights") for run in row.runs] if row else []
    return next((str(name) for name in named if name), None)


def seconds_before(row: Row, run: Run, rows: Collection[Row]) -> float:
    """Time of the trainings before a run whose weights it started from, one after another.

    A training that is not among `rows` counts 0.
    """
    name = starts_from(row)
    for other in (other for other in rows if (other.dataset, other.name) == (row.dataset, name)):
        for first in other.runs:
            if first.seed == run.seed and (seconds := (first.record or {}).get("seconds")):
                return float(seconds) + seconds_before(other, first, rows)
    return 0.0
