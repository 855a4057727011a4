"""Reading run folders into rows, and refusing what may not be averaged."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from denf.errors import DenfError
from denf.files import natural_key, walk
from denf.reading import read_json_mapping
from denf.report.checks import check_run, check_same_data, check_types
from denf.report.records import Group, Row, Run
from denf.run_folder import SHARED, seed_of
from denf.yaml_reader import read_mapping


def load_rows(
    runs: Path | str, experiments: Sequence[Mapping[str, Any]] | None = None
) -> list[Row]:
    """Load the runs under a folder, grouped by data set and experiment.

    Args:
        runs: a folder that holds `<dataset>/<experiment>/seed-<k>/` at any depth; links are
            followed, hidden folders left out.
        experiments: resolved experiments, one per row, shown even when nothing was run; `data`
            names the folder of the data set (any, when absent), `seeds` the runs that count.
            Their label, framework, group and tables take precedence over those that a run recorded,
            so that editing a label reruns nothing. None: all runs that exist.

    Returns:
        rows in the order of `experiments`, or by data set and name.

    Raises:
        DenfError: for a folder that cannot be listed or, without `experiments`, holds files but no
            run; for a file that cannot be parsed or does not belong to the run in its folder; for
            two folders of one seed; for seeds of one experiment whose settings or data differ, so
            that a mean over them would be meaningless.
    """
    runs = Path(runs)
    found: dict[tuple[str, str], list[Path]] = {}
    entries = list(walk(runs)) if runs.exists() else []
    folders = (path for path, state in entries if stat.S_ISDIR(state.st_mode))
    for path in sorted(folders, key=natural_key):
        if seed_of(path.name) is not None:
            folder = runs / path
            found.setdefault((folder.parent.parent.name, folder.parent.name), []).append(folder)
    if experiments is None:
        if entries and not found:
            raise DenfError(
                f"folder of runs {runs}",
                expected="<data set>/<experiment>/seed-<k> in it",
                got="none",
                fix="Check the path, or train a run first.",
            )
        return [_row(*key, folders, {}) for key, folders in sorted(found.items())]
    rows = []
    for experiment in experiments:
        name = str(experiment["name"])
        check_types(f"experiment {name} of the listing", "listing", experiment)
        wanted = experiment.get("data")
        keys = sorted(k for k in found if k[1] == name and wanted in (None, k[0]))
        for key in keys or [(str(wanted or ""), name)]:
            rows.append(_row(*key, found.get(key, []), experiment))
    return rows


def titles(rows: Sequence[Row]) -> list[str]:
    """A label for each row, with its name where rows of one data set share a label."""
    labels = [(row.dataset, row.label) for row in rows]
    return [
        row.label if labels.count(key) == 1 else f"{row.label} ({row.name})"
        for row, key in zip(rows, labels, strict=True)
    ]


def load_row(folder: Path) -> Row:
    """One run folder as a row of its own; the folder may have any name."""
    run = load_run(folder)
    run = replace(run, seed=int((run.record or {}).get("seed", 0)))
    return _row_of("", str(run.experiment.get("name", "")), [run], {"seeds": [run.seed]})


def load_run(folder: Path) -> Run:
    """The contents of one run folder; a missing file is None in the run.

    Raises:
        DenfError: for a file that cannot be parsed, or does not belong to the run in its folder.
    """
    run = Run(
        folder,
        seed_of(folder.name) or 0,
        _load(folder / "experiment.yaml") or {},
        _load(folder / "metrics.json"),
        _load(folder / "fid.json"),
        _load(folder / "run.json"),
    )
    check_run(run)
    return run


def _load(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    if path.suffix == ".json":
        content = read_json_mapping(path, expected="a mapping in JSON", fix="Make it again.")
    else:
        content = read_mapping(path, what="experiment file", fix="Make it again.")
    check_types(path, path.name, content)
    return content


def _row(dataset: str, name: str, folders: Sequence[Path], experiment: Mapping[str, Any]) -> Row:
    by_seed: dict[int, Path] = {}
    for folder in folders:
        seed = seed_of(folder.name) or 0
        if by_seed.setdefault(seed, folder) != folder:
            raise DenfError(
                f"runs of {dataset}/{name}",
                expected="one folder per seed",
                got=f"{by_seed[seed]} and {folder}",
                fix="Move one of them out of the folder of runs.",
            )
    wanted = {int(seed) for seed in experiment.get("seeds", by_seed)}
    runs = [load_run(by_seed[seed]) for seed in sorted(wanted & by_seed.keys())]
    return _row_of(dataset, name, runs, experiment)


def _row_of(dataset: str, name: str, runs: list[Run], experiment: Mapping[str, Any]) -> Row:
    if "seeds" in experiment:
        seeds = {int(seed) for seed in experiment["seeds"]}
    else:
        asked = {int(seed) for run in runs for seed in run.experiment.get("seeds", ())}
        seeds = asked | {run.seed for run in runs}
    _check_equal_settings(runs)
    check_same_data(runs)
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
    described = [run for run in runs if run.experiment]
    for run in described[1:]:
        first = described[0]
        for key in SHARED:
            if run.experiment.get(key) != first.experiment.get(key):
                raise DenfError(
                    f"{run.folder}/experiment.yaml, {key}",
                    expected=f"the value in {first.folder}: {first.experiment.get(key)!r}",
                    got=repr(run.experiment.get(key)),
                    fix="Seeds of one experiment share its settings: remove the stale runs.",
                )
