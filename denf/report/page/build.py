"""Putting the results page together and writing it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from denf.files import write_atomically
from denf.report.lines import lines_of
from denf.report.literature import load_literature
from denf.report.loading import load_rows
from denf.report.page.gallery import KINDS, galleries, samples
from denf.report.page.grids import grid_of
from denf.report.page.headline import headline
from denf.report.page.plots import COSTS, learning_curves, quality_and_cost
from denf.report.page.provenance import compared_settings, records
from denf.report.page.vendored import datatables_css, datatables_module, plotly_js, templates
from denf.report.records import Row
from denf.report.reference import load_references
from denf.report.style import GROUPS


def write_page(
    runs: Path | str,
    literature: Path | str,
    out: Path | str,
    *,
    references: Path | str = "results/reference",
    experiments: Sequence[Mapping[str, Any]] | None = None,
) -> Path:
    """Write the results page: one HTML file that needs no network.

    Args:
        runs: folder with `<dataset>/<experiment>/seed-<k>/`.
        literature: the reported numbers, `baselines/literature.yaml`.
        out: the file.
        references: folder of reference runs; none are shown when it is missing.
        experiments: resolved experiments, shown even before they were run; see
            `denf.report.loading.load_rows`. None: all runs that exist.

    Returns:
        `out`.

    Raises:
        DenfError: for a record that cannot be read.
    """
    out = Path(out)
    rows = load_rows(runs, experiments)
    known = load_references(references)
    tables = [(table, lines_of(table, rows, known)) for table in load_literature(literature)]
    everything = [line for _, lines in tables for line in lines]
    data = {
        "curves": learning_curves(rows),
        "cost": quality_and_cost(everything),
        "costs": COSTS,
        "settings": compared_settings(rows, known),
        "colours": GROUPS,
    }
    environment = Environment(
        loader=PackageLoader("denf.report.page", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template("page.html.j2").render(
        headline=headline(rows, everything, protocol_of(rows, experiments)),
        grids=[grid_of(table, lines) for table, lines in tables],
        galleries=galleries(rows),
        kinds=KINDS,
        samples=samples(rows),
        records=records(rows, known),
        data=data,
        style=(templates() / "page.css").read_text(encoding="utf-8"),
        script=(templates() / "page.js").read_text(encoding="utf-8"),
        datatables_css=datatables_css(),
        datatables=datatables_module(),
        plotly=plotly_js(),
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, text.encode("utf-8"))
    return out


def protocol_of(rows: Sequence[Row], experiments: Sequence[Mapping[str, Any]] | None) -> str:
    """Name of the protocol: the listing's, or that of the runs."""
    listed = [str(experiment.get("protocol", "")) for experiment in experiments or ()]
    found = dict.fromkeys(name for name in listed or (row.protocol for row in rows) if name)
    return ", ".join(found) or "none"
