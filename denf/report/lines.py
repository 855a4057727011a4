"""One line of a table: a reported row, the runs that reproduce it, and how the two compare."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from denf.report.literature import PaperTable, Reported
from denf.report.records import Group, Metric, Reading, Row, Run, Status
from denf.report.reference import Reference, reference_of
from denf.report.statistics import Summary, Verdict, judge, summarise

SIDE_METRICS: Mapping[Metric, tuple[Metric, ...]] = {
    Metric.ARI_FG: tuple(m for m in Metric if not m.of_samples and m is not Metric.ARI_FG),
    Metric.FID: (Metric.KID, Metric.PRECISION, Metric.RECALL),
}


_FAILED: Mapping[Status, str] = {
    Status.DIVERGED: "diverged",
    Status.NOT_FINITE: "not finite",
}
_MISSING: Mapping[Status, str] = {
    Status.NO_RUN: "not run",
    Status.NOT_EVALUATED: "not scored",
}


class Block(StrEnum):
    """Parts of a table, in their order."""

    REPORTED = "in the paper"
    OWN = "not in the paper"
    CONTROL = "controls"


@dataclass(frozen=True)
class Line:
    """One method in one table.

    Args:
        table: the table.
        block: part of the table.
        row: the experiment; None when no such experiment is known.
        reported: the paper's row; None for one that is not in the paper.
        readings: the table's metric, one per seed, as stored.
        summary: over the seeds with a value, in the table's unit; None without a value.
        side: the further metrics of the table, in the table's unit or their own.
        objections: why the values may not be compared with reported ones; empty when they may.
        reference: the reference run shown beside the line; None without one.
    """

    table: PaperTable
    block: Block
    row: Row | None
    reported: Reported | None
    readings: tuple[Reading, ...]
    summary: Summary | None
    side: Mapping[Metric, Summary]
    objections: tuple[str, ...]
    reference: Reference | None = None

    @property
    def name(self) -> str:
        """Name of the experiment."""
        return self.reported.id if self.reported else self._known.name

    @property
    def label(self) -> str:
        """Name of the method for people, the paper's where it has one, with a note about aids."""
        if self.reported is None:
            return self._known.label
        runs = self.row.runs if self.row else ()
        aided = any(run.experiment.get("aids") for run in runs)
        return self.reported.label + (" (with aids)" if aided else "")

    @property
    def framework(self) -> str:
        """Kind of model."""
        return self.reported.framework if self.reported else self._known.framework

    @property
    def _known(self) -> Row:
        if self.row is None:
            raise ValueError("line: expected a row or a reported value, got neither")
        return self.row

    @property
    def used(self) -> list[Run]:
        """The runs whose values are in the mean."""
        seeds = {reading.seed for reading in self.readings if reading.value is not None}
        return [run for run in self.row.runs if run.seed in seeds] if self.row else []

    @property
    def failed(self) -> dict[int, str]:
        """Seeds whose training or value is not finite, and which of the two."""
        return self._seeds(_FAILED)

    @property
    def missing(self) -> dict[int, str]:
        """Seeds that were not run or not scored, and which; empty when no seed was run."""
        return self._seeds(_MISSING) if self.row and self.row.runs else {}

    def _seeds(self, words: Mapping[Status, str]) -> dict[int, str]:
        return {r.seed: words[r.status] for r in self.readings if r.status in words}

    @property
    def state(self) -> str:
        """`reproduced`, `not run`, `no segmentation`, `no sampling`, `not scored` or `failed`."""
        if self.summary is not None:
            return "reproduced"
        if self.row is None or not self.row.runs:
            return "not run"
        found = {reading.status for reading in self.readings}
        if Status.LACKING in found:
            return f"no {self.table.metric.capability}"
        return "not scored" if Status.NOT_EVALUATED in found else "failed"

    @property
    def difference(self) -> float | None:
        """Reproduced minus reported mean in the table's unit, where the two may be compared."""
        if self.summary is None or self.reported is None or self.objections:
            return None
        return self.summary.mean - self.reported.mean

    @property
    def verdict(self) -> Verdict:
        """The verdict; `Verdict.NONE` where values are missing or may not be compared."""
        if self.state == "not run":
            return Verdict.NOT_RUN
        difference = self.difference
        return Verdict.NONE if difference is None else judge(difference, self.table.tolerance)

    @property
    def notes(self) -> list[str]:
        """The methods' notes on their trainings, by seed, including diverged ones."""
        runs = self.row.runs if self.row else ()
        return [f"seed {run.seed}: {note}" for run in runs for note in run.notes]

    @property
    def floors(self) -> list[float]:
        """Distinct FIDs of training images against the reference of the runs used."""
        found = [run.floor for run in self.used if run.floor is not None]
        return list(dict.fromkeys(found))

    def cost(self, key: str) -> float | None:
        """Mean of a number in run.json over the runs used; None for methods that do not train."""
        records = [run.record or {} for run in self.used]
        values = [record[key] for record in records if record.get("steps") and record.get(key)]
        return sum(values) / len(values) if values else None

    def facts(self, key: str) -> list[Any]:
        """Distinct values of a key of the metric's file over the runs used, in seed order."""
        documents = [run.document(self.table.metric) or {} for run in self.used]
        return list(dict.fromkeys(document.get(key) for document in documents))


def lines_of(
    table: PaperTable, rows: Sequence[Row], references: Sequence[Reference] = ()
) -> list[Line]:
    """The lines of a table: the paper's rows in its order, our own, then the controls.

    Args:
        table: the reported table.
        rows: all rows; a reported row takes those of its name, and the other blocks take those
            that name the table.
        references: reference runs; each line shows that of its experiment.
    """
    lines = _lines_of(table, rows)
    return [replace(x, reference=reference_of(x.name, table.metric, references)) for x in lines]


def _lines_of(table: PaperTable, rows: Sequence[Row]) -> list[Line]:
    lines: list[Line] = []
    for reported in table.rows:
        matching: list[Row | None] = [row for row in rows if row.name == reported.id]
        for row in matching or [None]:
            lines.append(_line(table, Block.REPORTED, row, reported))
    names = {reported.id for reported in table.rows}
    own = [row for row in rows if table.number in row.tables and row.name not in names]
    lines += [_line(table, Block.OWN, row, None) for row in own if row.group is not Group.CONTROL]
    lines += [_line(table, Block.CONTROL, row, None) for row in own if row.group is Group.CONTROL]
    return lines


def _line(table: PaperTable, block: Block, row: Row | None, reported: Reported | None) -> Line:
    if row is None:
        return Line(table, block, None, reported, (), None, {}, ())
    readings = tuple(row.read(table.metric))
    side = {
        metric: summary
        for metric in SIDE_METRICS.get(table.metric, ())
        if (summary := _summary(row.read(metric), 1 if metric.has_own_unit else table.factor))
    }
    summary = _summary(readings, table.factor)
    return Line(
        table, block, row, reported, readings, summary, side, _objections(table, row, readings)
    )


def _summary(readings: Sequence[Reading], factor: float) -> Summary | None:
    values = [reading.value * factor for reading in readings if reading.value is not None]
    return summarise(values) if values else None


def _objections(table: PaperTable, row: Row, readings: Sequence[Reading]) -> tuple[str, ...]:
    """Distinct reasons why the runs with a value may not be compared with the paper."""
    seeds = {reading.seed for reading in readings if reading.value is not None}
    found = []
    for run in (run for run in row.runs if run.seed in seeds):
        document = run.document(table.metric) or {}
        facts = {**document, **(document.get("data") or {}), "protocol": row.protocol}
        for key, wanted in table.requires.items():
            got = facts.get(key)
            if key in ("count", "samples"):  # more scenes than in the paper are accepted
                if not isinstance(got, int) or got < wanted:
                    found.append(f"{key} {got or 'unknown'} in place of {wanted} or more")
            elif got != wanted:
                found.append(f"{key} {got or 'unknown'} in place of {wanted}")
    return tuple(dict.fromkeys(found))


def data_of(lines: Sequence[Line]) -> list[Mapping[str, Any]]:
    """Distinct descriptions of the data that the values of these lines were measured on."""
    found: list[Mapping[str, Any]] = []
    for line in lines:
        for run in line.used:
            data = (run.document(line.table.metric) or {}).get("data")
            if data and data not in found:
                found.append(data)
    return found


def data_sets(lines: Sequence[Line]) -> list[str]:
    """The data of `data_of` as text for people: name, split, count, size and source."""
    texts = [
        f"{data.get('name', 'unnamed data')} {data.get('split', '')} "
        f"({data.get('count', '?')} scenes of {data.get('size', '?')} × {data.get('size', '?')} "
        f"pixels, source: {data.get('source', 'unknown')})"
        for data in data_of(lines)
    ]
    return list(dict.fromkeys(texts))


def join(parts: Iterable[object]) -> str:
    """Distinct values in one cell."""
    return "; ".join(dict.fromkeys(str(part) for part in parts))
