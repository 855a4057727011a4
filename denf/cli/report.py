"""`denf tables`, `denf figures`, `denf page` and `denf document`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from denf.cli.files import read_listing
from denf.cli.options import Listing, OutFile, References, Runs, output_folder

app = typer.Typer()
REFERENCES = Path("results/reference")  # may be missing; a folder that is named may not


@app.command()
def tables(
    runs: Runs = Path("results/runs"),
    listing: Listing = None,
    literature: Annotated[Path, typer.Option(help="Reported numbers.")] = Path(
        "baselines/literature.yaml"
    ),
    references: References = None,
    out: Annotated[Path, typer.Option(help="Folder of the tables.", callback=output_folder)] = Path(
        "results/tables"
    ),
) -> None:
    """Write Tables 1-3, with reported and reproduced values.

    Writes each as CSV, Markdown and LaTeX, and prints the files' names.
    """
    from denf.report.tables import write_tables

    rows = read_listing(listing)
    known = references or REFERENCES
    for path in write_tables(runs, literature, out, references=known, experiments=rows):
        typer.echo(path)


@app.command()
def figures(
    runs: Runs = Path("results/runs"),
    listing: Listing = None,
    out: Annotated[
        Path, typer.Option(help="Folder of the figures.", callback=output_folder)
    ] = Path("results/figures"),
    name: Annotated[
        list[str] | None, typer.Option(help="Figure to draw, repeatable; default: all.")
    ] = None,
) -> None:
    """Draw figures 3-6, training curves, ARI distributions and quality beside cost.

    Writes each as PNG and PDF, and prints the files' names.
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
    references: References = None,
    out: OutFile = Path("results/index.html"),
) -> None:
    """Write the results page: tables, pictures, curves and records in one HTML file.

    The file needs no network. Prints its name.
    """
    from denf.report.page.build import write_page

    rows = read_listing(listing)
    known = references or REFERENCES
    typer.echo(write_page(runs, literature, out, references=known, experiments=rows))


@app.command()
def document(
    file: Annotated[Path, typer.Argument(help="Markdown file with markers.")] = Path(
        "config/README.md"
    ),
) -> None:
    """Regenerate the tables between a document's markers: settings, scores of released runs."""
    from denf.documentation.documents import with_tables
    from denf.files import check_writable, write_atomically
    from denf.reading import read_text

    text = read_text(file, fix="Check the path.")
    check_writable(file)
    write_atomically(file, with_tables(text, file.parent))
