"""Tables 1 to 3 as the page shows them: cells with a text, an order and a link."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from denf.report.budget import starts_from
from denf.report.columns import SIDE_COLUMNS
from denf.report.lines import Block, Line
from denf.report.literature import PaperTable
from denf.report.markup import Sheet
from denf.report.numbers import MISSING, count, decimal, duration, significant, size, spread
from denf.report.page.links import record_id, reference_id
from denf.report.records import Metric
from denf.report.sheets import interval, sheet_of

_ALWAYS = ("Method", "Reported", "Reproduced")  # other columns are left out where they are empty
LAST = 1e30  # the order of a missing value: after all others, with the best first


@dataclass(frozen=True)
class Cell:
    """One cell.

    Args:
        text: its contents.
        order: sort key; None sorts by the text.
        link: an anchor of the page; empty for none.
        lines: smaller text below, one per line.
        title: shown on hover.
    """

    text: str
    order: float | None = None
    link: str = ""
    lines: tuple[str, ...] = ()
    title: str = ""


@dataclass(frozen=True)
class Grid:
    """One table.

    Args:
        number: of the table.
        title: its first sentence.
        caption: the other sentences.
        head: titles of the columns.
        rows: block and cells of each row.
    """

    number: int
    title: str
    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[Block, tuple[Cell, ...]], ...]


def grid_of(table: PaperTable, lines: Sequence[Line]) -> Grid:
    """A table with the numbers of the paper, of the runs, and of reference runs."""
    sheet: Sheet = sheet_of(table, lines)
    title, _, caption = sheet.caption.partition(". ")
    side = SIDE_COLUMNS[table.metric]
    head = ("Method", "Reported", "Reproduced", "Reference run", "95 % interval", "Difference")
    costs = ("Parameters", "Training time", "Images/s", "Memory")
    heads = (*head, *(column.head for column in side), *costs)
    cells = [_cells(line) for line in lines]
    kept = [
        k
        for k, name in enumerate(heads)
        if name in _ALWAYS or any(row[k].text != MISSING for row in cells)
    ]
    return Grid(
        number=table.number,
        title=title.rstrip(".") + ".",
        caption=caption,
        head=tuple(heads[k] for k in kept),
        rows=tuple(
            (line.block, tuple(row[k] for k in kept))
            for line, row in zip(lines, cells, strict=True)
        ),
    )


def _cells(line: Line) -> tuple[Cell, ...]:
    last = LAST if line.table.better == "lower" else -LAST
    link = record_id(line.row) if line.row and line.row.runs else ""
    reported, summary, difference = line.reported, line.summary, line.difference
    cells = [
        _method(line, link),
        Cell(
            spread(reported.mean, reported.std) if reported else MISSING,
            reported.mean if reported else last,
            lines=(reported.citation.short,) if reported else (),
            title=reported.protocol if reported else "",
        ),
        Cell(
            spread(summary.mean, summary.std) if summary else line.state,
            summary.mean if summary else last,
            link,
            _seeds(line),
        ),
        _reference(line, last),
        Cell(interval(line), summary.mean if summary else last, link),
        Cell(
            MISSING if difference is None else decimal(difference, signed=True),
            last if difference is None else difference,
            lines=(str(line.verdict),) if difference is not None else (),
            title="; ".join(line.objections),
        ),
    ]
    for column in SIDE_COLUMNS[line.table.metric]:
        found = line.side.get(column.metric)
        value = None if found is None else found.mean
        free = line.table.metric is Metric.FID
        text = MISSING
        if found is not None:
            text = significant(found.mean) if free else spread(found.mean, found.std)
        cells.append(Cell(text, -LAST if value is None else value, link if found else ""))
    shown = (
        ("parameters", count),
        ("seconds", duration),
        ("images_per_second", significant),
        ("peak_memory_bytes", size),
    )
    for key, text_of in shown:
        cost = line.cost(key)
        first = starts_from(line.row) if key == "seconds" and cost else None
        below = (f"after {first}",) if first else ()
        order = LAST if cost is None else cost
        cells.append(Cell(text_of(cost), order, link if cost else "", below))
    return tuple(cells)


def _method(line: Line, link: str) -> Cell:
    below = [line.framework] if line.framework else []
    aids = _aids(line)
    if aids:
        below.append(f"with aids: {aids}")
    return Cell(line.label, None, link, (*below, *line.notes), title=line.name)


def _aids(line: Line) -> str:
    """Names of the aids that the row was made with, as its experiment records them."""
    runs = line.row.runs if line.row else ()
    aids = next((run.experiment["aids"] for run in runs if run.experiment.get("aids")), None)
    return ", ".join(map(str, aids)) if isinstance(aids, list | tuple | dict) else str(aids or "")


def _seeds(line: Line) -> tuple[str, ...]:
    seeds = [str(run.seed) for run in line.used]
    used = [f"seed{'s' if len(seeds) > 1 else ''} {', '.join(seeds)}"] if seeds else []
    others = sorted({**line.failed, **line.missing}.items())
    return (*used, *(f"seed {seed}: {why}" for seed, why in others))


def _reference(line: Line, last: float) -> Cell:
    found = line.reference
    summary = found.summary(line.table.metric, line.table.factor) if found else None
    if found is None or summary is None:
        return Cell(MISSING, last)
    seeds = f"{summary.n} seed{'s' if summary.n > 1 else ''}"
    return Cell(
        spread(summary.mean, summary.std),
        summary.mean,
        reference_id(found.name),
        (f"{seeds}, {found.budget}", found.name),
        found.data,
    )
