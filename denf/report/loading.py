"""Reading run folders into rows, and refusing what may not be averaged."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from denf.errors import DenfError
from denf.report.records import Group, Row, Run


def load_rows(
    runs: Path | str, experiments: Sequence[Mapping[str, Any]] | None = None
) -> list[Row]:
    """Load the runs under a folder, grouped by data set and experiment.

    Args:
        runs: a folder that holds `<dataset>/<experiment>/seed-<k>/` at any depth.
        experiments: resolved experiments, one a row, shown even when nothing was run; `data`
            names the folder of the data set (any, when absent), `seeds` the runs that count.
            What they say of label, framework, group and tables goes before what a run recorded:
            an edited label reruns nothing. None: whatever was run.

    Returns:
        Rows in the order of `experiments`, or by data set and name.

    Raises:
        DenfError: for a file that cannot be parsed, or seeds of one experiment whose settings
            differ, so that a mean over them would mean nothing.
    """
    found: dict[tuple[str, str], list[Path]] = {}
    for folder in sorted(Path(runs).rglob("seed-*")):
        hidden = any(part.startswith(".") for part in folder.relative_to(runs).parts)  # states
        if folder.is_dir() and not hidden and folder.name.removeprefix("seed-").isdecimal():
            found.setdefault((folder.parent.parent.name, folder.parent.name), []).append(folder)
    if experiments is None:
        return [_row(*key, folders, {}) for key, folders in sorted(found.items())]
    rows = []
    for experiment in experiments:
        name = str(experiment["name"])
        wanted = experiment.get("data")
        keys = sorted(k for k in found if k[1] == name and wanted in (None, k[0]))
        for key in keys or [(str(wanted or ""), name)]:
            rows.append(_row(*key, found.get(key, []), experiment))
    return rows


def titles(rows: Sequence[Row]) -> list[str]:
    """A label for each row; rows of one data set that share a label also get their name."""
    labels = [(row.dataset, row.label) for row in rows]
    return [
        row.label if labels.count(key) == 1 else f"{row.label} ({row.name})"
        for row, key in zip(rows, labels, strict=True)
    ]


def load_run(folder: Path, seed: int) -> Run:
    """What one run folder holds; a file that is missing there is None in the run.

    Raises:
        DenfError: for a file that cannot be parsed.
    """
    return Run(
        folder,
        seed,
        _load(folder / "experiment.yaml") or {},
        _load(folder / "metrics.json"),
        _load(folder / "fid.json"),
        _load(folder / "run.json"),
    )


def _load(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        text = path.read_text()
        content = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        raise DenfError(
            str(path), expected="valid " + path.suffix[1:].upper(), got=error, fix="Make it again."
        ) from error
    if not isinstance(content, dict):
        raise DenfError(
            str(path), expected="a mapping", got=type(content).__name__, fix="Make it again."
        )
    return content


def _row(dataset: str, name: str, folders: Sequence[Path], experiment: Mapping[str, Any]) -> Row:
    loaded = (load_run(folder, int(folder.name.removeprefix("seed-"))) for folder in folders)
    runs = sorted(loaded, key=lambda run: run.seed)
    if "seeds" in experiment:
        seeds = {int(seed) for seed in experiment["seeds"]}
        runs = [run for run in runs if run.seed in seeds]
    else:
        asked = {int(seed) for run in runs for seed in run.experiment.get("seeds", ())}
        seeds = asked | {run.seed for run in runs}
    _check_equal_settings(runs)
    made = next((run.experiment for run in runs if run.experiment), experiment)
    shown = {**made, **experiment}
    return Row(
        dataset=dataset,
        name=name,
        label=str(shown.get("label", name)),
        framework=str(shown.get("framework", "")),
        group=_group(name, shown.get("group", Group.METHOD)),
        protocol=str(made.get("protocol", "")),
        tables=tuple(int(number) for number in shown.get("tables", ())),
        seeds=tuple(sorted(seeds)),
        runs=tuple(runs),
    )


def _group(name: str, value: object) -> Group:
    try:
        return Group(str(value))
    except ValueError as error:
        raise DenfError(
            f"experiment {name}, group",
            expected=" or ".join(Group),
            got=repr(value),
            fix="Correct the experiment's file.",
        ) from error


def _check_equal_settings(runs: Iterable[Run]) -> None:
    keys = ("method", "protocol", "settings", "training")
    described = [run for run in runs if run.experiment]
    for run in described[1:]:
        first = described[0]
        for key in keys:
            if run.experiment.get(key) != first.experiment.get(key):
                raise DenfError(
                    f"{run.folder}/experiment.yaml, {key}",
                    expected=f"the value in {first.folder}: {first.experiment.get(key)!r}",
                    got=repr(run.experiment.get(key)),
                    fix="Seeds of one experiment share its settings: remove the stale runs.",
                )
