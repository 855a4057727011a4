"""The head of the page: what was run, on which data and machine, and valid comparisons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from denf.report.lines import Line
from denf.report.numbers import count, duration
from denf.report.records import Row, Run

COMMIT = 12  # digits of a commit that are shown
PAPER = "paper"  # the protocol of the published values


@dataclass(frozen=True)
class Headline:
    """The head of the page.

    Args:
        protocol: its name.
        comparison: one sentence on what a number of the page may be compared with.
        facts: name and value, in order.
    """

    protocol: str
    comparison: str
    facts: tuple[tuple[str, str], ...]


def headline(rows: Sequence[Row], lines: Sequence[Line], protocol: str) -> Headline:
    """The headline of runs.

    Args:
        rows: all rows.
        lines: the lines of all tables.
        protocol: name of the configuration.
    """
    runs = [run for row in rows for run in row.runs]
    facts = [
        ("Data", "; ".join(_data(runs)) or "none yet"),
        ("Runs", _states(rows)),
        ("Seeds", ", ".join(map(str, sorted({run.seed for run in runs}))) or "none yet"),
        ("Commit", _several(_commit(run) for run in runs)),
        ("Machine", _several(_machine(run) for run in runs)),
        ("Time", _time(runs)),
    ]
    return Headline(protocol, comparison(lines, protocol), tuple(facts))


def comparison(lines: Sequence[Line], protocol: str) -> str:
    """One sentence on what a number may be compared with."""
    measured = [line for line in lines if line.summary]
    if not measured:
        return "No run has a score yet, so there is nothing to compare."
    among = "the other rows of its table, which share data and protocol"
    compared = [line for line in measured if line.difference is not None]
    if compared and all(line.difference is not None for line in measured if line.reported):
        return f"A number here may be compared with {among}, and with the paper's beside it."
    if compared:
        return (
            f"A number here may be compared with {among}, and with the paper's only where a "
            "difference is given."
        )
    if protocol == PAPER:
        reasons = dict.fromkeys(text for line in measured for text in line.objections)
        why = f": {'; '.join(reasons)}" if reasons else ""
        return f"A number here may be compared with {among}, and not with the paper's{why}."
    return (
        f"A number here may be compared with {among}, and not with the paper's or a reference "
        "run's, whose data, sizes or budgets differ."
    )


def _data(runs: Sequence[Run]) -> list[str]:
    """Data sets with their splits: trained on, scored on."""
    splits: dict[tuple[str, Any], dict[str, Any]] = {}
    for run in runs:
        used = [source.get("data") for source in (run.record, run.metrics, run.fid) if source]
        for data in filter(None, used):
            key = str(data.get("name", "unnamed")), data.get("size", "?")
            splits.setdefault(key, {})[str(data.get("split", "?"))] = data.get("count", "?")
    return [
        f"{name} at {size} × {size} pixels ("
        + ", ".join(f"{_grouped(number)} {split}" for split, number in parts.items())
        + ")"
        for (name, size), parts in splits.items()
    ]


def _grouped(number: object) -> str:
    return f"{number:,}" if isinstance(number, int) else str(number)


def _states(rows: Sequence[Row]) -> str:
    runs = [run for row in rows for run in row.runs]
    wanted = sum(len(row.seeds) for row in rows)
    finished = sum((run.record or {}).get("status") == "finished" for run in runs)
    diverged = sum(run.diverged for run in runs)
    text = f"{finished} of {wanted} finished"
    return text + (f", {diverged} diverged" if diverged else "")


def _commit(run: Run) -> str | None:
    record: Mapping[str, Any] = run.record or {}
    if not record.get("commit"):
        return None
    return str(record["commit"])[:COMMIT] + (" with local changes" if record.get("dirty") else "")


def _machine(run: Run) -> str | None:
    record = run.record or {}
    if not record.get("device"):
        return None
    threads = record.get("threads")
    threaded = f", {threads} thread{'s' if threads != 1 else ''} per run" if threads else ""
    return f"{record['device']}{threaded}"


def _time(runs: Sequence[Run]) -> str:
    records = [run.record or {} for run in runs]
    trained = sum(float(record.get("seconds") or 0) for record in records)
    started = min((str(r["started"]) for r in records if r.get("started")), default="")
    ended = max((str(r["ended"]) for r in records if r.get("ended")), default="")
    span = f", from {_minute(started)} to {_minute(ended)} UTC" if started and ended else ""
    return f"{duration(trained)} of training in all{span}"


def _minute(moment: str) -> str:
    return moment[:16].replace("T", " ")


def _several(values: Iterable[str | None], most: int = 3) -> str:
    known = list(dict.fromkeys(value for value in values if value))
    shown = "; ".join(known[:most]) or "unknown"
    return shown + (f"; {count(len(known) - most)} more" if len(known) > most else "")
