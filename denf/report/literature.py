"""The numbers that the paper reports, read from `baselines/literature.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from denf.reading import reading
from denf.report.records import Metric
from denf.yaml_reader import read_mapping


@dataclass(frozen=True)
class Citation:
    """A publication: bibtex key, short form for tables, and the full reference."""

    key: str
    short: str
    authors: str
    title: str
    venue: str
    year: int


@dataclass(frozen=True)
class Reported:
    """One reported row; `mean` and `std` are in the table's unit, `std` None where not given."""

    id: str
    label: str
    framework: str
    mean: float
    std: float | None
    source: str
    citation: Citation
    protocol: str  # how the value was measured: split, resolution, form of the score


@dataclass(frozen=True)
class PaperTable:
    """One table of the paper.

    Args:
        number: 1, 2 or 3.
        caption: description of its contents.
        metric: the metric of its numbers.
        factor: stored value times factor is in the table's unit.
        unit: the table's unit.
        better: which direction is better.
        source: where the numbers were read.
        tolerance: largest difference, in the table's unit, that is still a match.
        tolerance_reason: reason for this tolerance.
        requires: conditions under which a run is compared with the reported value.
        rows: in the paper's order.
    """

    number: int
    caption: str
    metric: Metric
    factor: float
    unit: str
    better: Literal["higher", "lower"]
    source: str
    tolerance: float
    tolerance_reason: str
    requires: Mapping[str, Any]
    rows: tuple[Reported, ...]


def load_literature(path: Path | str) -> list[PaperTable]:
    """Read the reported tables, by number.

    Raises:
        DenfError: when the file is missing, lacks a key, or cites an unknown key.
    """
    path = Path(path)
    content = read_mapping(path, what="literature", fix="Correct the file.")
    with reading(
        path, expected="tables and citations as its head describes", fix="Correct the file."
    ):
        citations = {key: Citation(key=key, **entry) for key, entry in content["citations"].items()}
        return [
            _table(int(number), content["tables"][number], citations)
            for number in sorted(content["tables"])
        ]


def _table(number: int, entry: Mapping[str, Any], citations: Mapping[str, Citation]) -> PaperTable:
    rows = tuple(
        Reported(
            id=row["id"],
            label=row["label"],
            framework=row["framework"],
            mean=float(row["mean"]),
            std=float(row["std"]) if "std" in row else None,
            source=row.get("source", entry["source"]),
            citation=citations[row["citation"]],
            protocol=entry["protocols"][row["protocol"]],
        )
        for row in entry["rows"]
    )
    if entry["better"] not in ("higher", "lower"):
        raise ValueError(f"better: expected higher or lower, got {entry['better']!r}")
    return PaperTable(
        number=number,
        caption=entry["caption"],
        metric=Metric(entry["metric"]),
        factor=float(entry["factor"]),
        unit=entry["unit"],
        better=entry["better"],
        source=entry["source"],
        tolerance=float(entry["tolerance"]),
        tolerance_reason=entry["tolerance_reason"],
        requires=dict(entry["requires"]),
        rows=rows,
    )
