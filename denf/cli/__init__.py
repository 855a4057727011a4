"""The commands of the suite: thin, typed, and quick to start (torch is imported inside functions).

Results go to standard output as JSON, progress and warnings to standard error. Exit status: 0 for
success, 1 for a failure of the machine (a full disk) or pictures that could not be decomposed, 2
for a mistake that the user can correct, 3 for a training that diverged, 130 after an interruption,
143 after SIGTERM.

Every file holds the commands of one topic as a `typer.Typer`, which adds them to `app`; only the
commands of `data` have a name before them, `denf data`. The commands call the other packages.
"""

from __future__ import annotations

import sys

import typer
from typer.exceptions import TyperException

from denf.border import border
from denf.cli import bench, data, decompose, evaluate, release, report, show, train
from denf.cli.usage import usage_error

app = typer.Typer(
    help="DeNF: unsupervised scene decomposition with normalizing flows.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)
app.add_typer(data.app, name="data")
for topic in (train, evaluate, show, decompose, report, release, bench):
    app.add_typer(topic.app)


def main() -> None:
    """Entry point: errors become one line and an exit status; see `denf.border`."""
    with border():
        try:
            status = app(prog_name="denf", standalone_mode=False)
        except TyperException as error:
            raise usage_error(error) from error
    sys.exit(status or 0)
