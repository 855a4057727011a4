"""Facts, settings, scores and history of a run folder as tables for a terminal."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from denf.evenly import evenly_spread
from denf.harness.experiment import Experiment, load_experiment
from denf.harness.registry import aids_type, settings_type
from denf.report.numbers import MISSING, duration, significant
from denf.run_folder import check_is_run, read_history, read_record, read_scores
from denf.settings import as_plain, flat

_WIDTH = 100  # characters, where the output is not a terminal
_COUNTS = {"right": "right number", "too_few": "too few", "too_many": "too many"}  # of objects
_COLUMNS = 6  # steps shown of a history


def print_run(folder: Path, *, everything: bool = False) -> None:
    """Print a summary of a run folder.

    Args:
        folder: the run folder; missing files are not shown.
        everything: all settings, not only those that differ from the method's defaults.

    Raises:
        DenfError: when `folder` is not a run folder, or a file cannot be read.
    """
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH)
    for section in sections(folder, everything=everything):
        console.print(section)
        console.print()


def sections(folder: Path, *, everything: bool = False) -> Iterator[Table | Text]:
    """The tables of `print_run`, each under its title."""
    check_is_run(folder, "experiment.yaml")
    experiment = load_experiment(folder / "experiment.yaml")
    yield _facts(folder, experiment, read_record(folder, "run.json"))
    yield _settings(experiment, everything)
    scores = list(_scores(read_scores(folder)))
    if scores:
        yield _table("Scores", ("score", "mean", "std", "n"), scores)
    history = read_history(folder)
    if history:
        yield _history(history)


def _facts(folder: Path, experiment: Experiment, record: Mapping[str, Any]) -> Table:
    data = record.get("data", {})
    size = data.get("size")
    precision = record.get("precision") or experiment.settings.get("precision", MISSING)
    facts = {
        "run": f"{folder}: {experiment.label}, method {experiment.method}",
        "status": ", ".join(
            str(part) for part in (record.get("status"), record.get("reason")) if part
        ),
        "training": f"{record.get('steps', MISSING)} steps of {experiment.training.batch_size} "
        f"images{_start(experiment, record)}, seed {record.get('seed', MISSING)}, "
        f"{duration(record.get('seconds'))}, "
        f"{significant(record.get('images_per_second'))} images/s",
        "data": f"{data.get('name', experiment.dataset)}, {data.get('split', MISSING)}: "
        f"{data.get('count', MISSING)} images" + (f" of {size} × {size}" if size else ""),
        "model": f"{record.get('parameters', MISSING)} parameters, {precision}",
        "made by": f"{record.get('commit') or MISSING}"
        + (", with uncommitted changes" if record.get("dirty") else "")
        + f", {record.get('device', MISSING)}, {record.get('ended', MISSING)}",
        "notes": "; ".join(record.get("notes", ())),
    }
    rows = [(name, text) for name, text in facts.items() if text]
    return _table("Run", ("", ""), rows, header=False)


def _start(experiment: Experiment, record: Mapping[str, Any]) -> str:
    """Whose weights a training started from: the run in its command, or else the experiment."""
    sha256 = record.get("first_weights_sha256")
    if not sha256:
        return ""
    words = shlex.split((record.get("command") or "").replace("--weights=", "--weights "))
    named = words.index("--weights") + 1 if "--weights" in words else len(words)
    name = next(iter(words[named:]), experiment.weights or "another run")
    return f" from the weights of {name} (SHA-256 {sha256[:12]}…)"


def _settings(experiment: Experiment, everything: bool) -> Table | Text:
    known = dict(flat(experiment.settings)) | dict(flat(experiment.aids, "aids."))
    defaults = dict(flat(as_plain(settings_type(experiment.method)())))
    if experiment.aids:
        defaults |= flat(as_plain(aids_type(experiment.method)()), "aids.")
    rows = [
        (key, _plain(value), _plain(defaults.get(key)))
        for key, value in known.items()
        if everything or value != defaults.get(key)
    ]
    if not rows:
        return Text("All settings are the method's defaults.")
    other = f"Settings other than defaults, {len(rows)} of {len(known)}"
    title = "Settings" if everything else other
    return _table(title, ("key", "value", "default"), rows, numbers=False)


def _plain(value: Any) -> str:
    return MISSING if value is None else str(value)


def _scores(scores: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """A row per score, without scores of groups of scenes and descriptions of the data."""
    for name, value in scores.items():
        if isinstance(value, Mapping) and "mean" in value:
            mean, std = (significant(value[key]) for key in ("mean", "std"))
            yield name, mean, std, str(value["n"])
        elif isinstance(value, Mapping) and name == "count":
            for key, share in value.items():
                yield _COUNTS.get(key, f"count.{key}"), significant(share), "", ""
        elif isinstance(value, Mapping) and name == "fid":
            number = significant(value.get("fid"))
            yield f"fid ({value.get('extractor')})", number, "", str(value.get("samples"))
        elif isinstance(value, float):
            yield name, significant(value), "", ""


def _history(rows: Sequence[Mapping[str, float]]) -> Table:
    """A line for every logged scalar, at evenly spread steps."""
    chosen = [rows[k] for k in evenly_spread(_COLUMNS, len(rows))]
    names = dict.fromkeys(name for row in rows for name in row if name != "step")
    head = ("step", *(f"{row['step']:.0f}" for row in chosen))
    lines = [(name, *(significant(row.get(name)) for row in chosen)) for name in names]
    return _table("History", head, lines)


def _table(
    title: str,
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    header: bool = True,
    numbers: bool = True,
) -> Table:
    table = Table(title=title, title_justify="left", box=None, show_header=header, pad_edge=False)
    for k, name in enumerate(head):
        right = k > 0 and header and numbers
        table.add_column(Text(name), justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table
