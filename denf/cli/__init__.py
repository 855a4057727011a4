"""The commands of the suite: thin, typed, and quick to start (torch is imported late).

Results go to standard output as JSON, progress and warnings to standard error. Exit status: 0,
1 for a failure of the machine (a full disk) or pictures that could not be decomposed, 2 for a
mistake the user can correct, 3 for a training that diverged, 130 after an interruption.

Every file holds the commands of one topic, as a `typer.Typer` without a name: its commands are
those of `app` itself. What they do lies in the other packages.
"""

from __future__ import annotations

import sys

import typer

from denf.cli import bench, data, decompose, evaluate, objects, report, show, train
from denf.errors import DenfError, DivergenceError, InterruptionError

app = typer.Typer(
    help="DeNF: unsupervised scene decomposition with normalizing flows.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)
data_app = typer.Typer(
    help="Bring data into the prepared format, or render it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
for topic in (data, objects):
    data_app.add_typer(topic.app)
app.add_typer(data_app, name="data")
for topic in (train, evaluate, show, decompose, report, bench):
    app.add_typer(topic.app)


def main() -> None:
    """Entry point: user errors become one message and an exit status."""
    try:
        app(prog_name="denf")
    except DenfError as error:
        typer.echo(f"denf: {error}", err=True)
        sys.exit(2)
    except DivergenceError as error:
        typer.echo(f"denf: {error}", err=True)
        sys.exit(3)
    except InterruptionError as error:
        typer.echo(f"denf: {error}. The same command with --resume continues.", err=True)
        sys.exit(130)
    except OSError as error:  # a full disk, a file without permission: its text names the file
        typer.echo(f"denf: {error}", err=True)
        sys.exit(1)
