"""`denf tables`, `denf figures`, `denf page` and `denf document`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from denf.cli.files import read_listing
from denf.cli.options import Listing, OutFile, Runs

app = typer.Typer()


@app.command()
def tables(
    runs: Runs = Path("results/runs"),
    listing: Listing = None,
    literature: Annotated[Path, typer.Option(help="Reported numbers.")] = Path(
        "baselines/literature.yaml"
    ),
    out: Annotated[Path, typer.Option(help="Folder of the tables.")] = Path("results/tables"),
) -> None:
    """Write Tables 1-3 with reported and reproduced numbers.

    Each table is written as CSV, Markdown and LaTeX. Prints the files' names.
    """
    from denf.report.tables import write_tables

    for path in write_tables(runs, literature, out, experiments=read_listing(listing)):
        typer.echo(path)


@app.command()
def figures(
    runs: Runs = Path("results/runs"),
    listing: Listing = None,
    out: Annotated[Path, typer.Option(help="Folder of the figures.")] = Path("results/figures"),
    name: Annotated[list[str] | None, typer.Option(help="One figure; default: all.")] = None,
) -> None:
    """Draw figures 3-6, training curves and ARI distributions.

    Each figure is written as PNG and PDF. Prints the files' names.
    """
    from denf.report.figures import write_figures

    for path in write_figures(runs, out, names=name, experiments=read_listing(listing)):
        typer.echo(path)


@app.command()
def page(
    runs: Runs = Path("results/runs"),
    listing: Listing = None,
    literature: Annotated[Path, typer.Option(help="Reported numbers.")] = Path(
        "baselines/literature.yaml"
    ),
    references: Annotated[Path, typer.Option(help="Folder of reference runs.")] = Path(
        "results/reference"
    ),
    out: OutFile = Path("results/index.html"),
) -> None:
    """Write the results page: tables, pictures, curves and records in one HTML file.

    The file needs no network. Prints its name.
    """
    from denf.report.page.build import write_page

    rows = read_listing(listing)
    typer.echo(write_page(runs, literature, out, references=references, experiments=rows))


@app.command()
def document(
    file: Annotated[Path, typer.Argument(help="Markdown with markers.")] = Path("config/README.md"),
) -> None:
    """Update the tables between a document's markers: settings, scores of released runs."""
    from denf.documentation.documents import with_tables
    from denf.files import write_atomically

    write_atomically(file, with_tables(file.read_text(encoding="utf-8"), file.parent))
