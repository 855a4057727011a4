"""The tables of the reference protocol for documents."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from denf.harness.experiment import load_experiments
from denf.harness.plan import listing_rows
from denf.harness.protocol import check_protocol, chosen, read_protocol
from denf.harness.validation import check_name
from denf.report.columns import SIDE_COLUMNS
from denf.report.lines import Block, Line, lines_of
from denf.report.literature import PaperTable, load_literature
from denf.report.loading import load_rows
from denf.report.markup import escape_markdown
from denf.report.numbers import MISSING, significant, spread
from denf.report.records import Metric
from denf.report.reference import RUNS, Reference


def reference_table(protocol: Path, number: str) -> str:
    """A Markdown table of the reference runs; rows without a score say why.

    Args:
        protocol: file of the reference protocol, in `config/` of the repository.
        number: of the paper's table.

    Raises:
        DenfError: for a file that cannot be read, or a table that the paper does not have.
    """
    root = protocol.resolve().parents[1]
    listing = _listing(protocol, root)
    tables = {str(t.number): t for t in load_literature(root / "baselines/literature.yaml")}
    check_name(number, tables, where="number of a table")
    table = tables[number]
    rows = load_rows(root / "results/reference" / RUNS, listing)
    known = [Reference(row.name, row) for row in rows if row.runs]
    side = SIDE_COLUMNS[table.metric]
    heads = ["method", "paper", "reference run", "seeds, training", *(c.head for c in side)]
    lines = [
        f"| {' | '.join(heads)} |",
        "|---" * 4 + "|---:" * len(side) + "|",
    ]
    for line in lines_of(table, rows, known):
        if line.block is not Block.CONTROL:
            lines.append(f"| {' | '.join(_cells(table, line))} |")
    return "\n".join(lines)


def _listing(protocol: Path, root: Path) -> Sequence[dict[str, Any]]:
    """The protocol's rows, including those that were not run."""
    values = read_protocol(protocol)
    checked = check_protocol(values, where=str(protocol))
    resolved = load_experiments(root / checked.experiments, values)
    names = chosen(checked, [e.name for e in resolved])
    return listing_rows([e for e in resolved if e.name in names], checked)


def _cells(table: PaperTable, line: Line) -> list[str]:
    reported, found = line.reported, line.reference
    cells = [
        escape_markdown(line.label),
        spread(reported.mean, reported.std) if reported else MISSING,
    ]
    side = [column.metric for column in SIDE_COLUMNS[table.metric]]
    if found is None or line.summary is None:
        state = "not run yet" if line.state == "not run" else line.state
        return [*cells, state, MISSING, *[MISSING] * len(side)]
    cells.append(spread(line.summary.mean, line.summary.std))
    cells.append(f"{line.summary.n}, {found.budget}")
    free = table.metric is Metric.FID
    for summary in map(line.side.get, side):
        if summary is None:
            cells.append(MISSING)
        else:
            cells.append(significant(summary.mean) if free else spread(summary.mean, summary.std))
    return cells
