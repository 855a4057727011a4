"""The plan of a protocol: every experiment resolved once, and written to a file for its trainings.

A training reads its file of the plan and no other configuration, so that an edited configuration,
or another protocol in the same checkout, cannot change what it computes. The files are named by
their content.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from denf.data.archive import listing_digest
from denf.data.sources.published import Published, published_name
from denf.data.sources.source import Source
from denf.errors import DenfError
from denf.files import write_atomically
from denf.harness.experiment import Experiment, check_unused_overrides, load_experiments
from denf.harness.lease import count_gpus
from denf.harness.protocol import (
    EXPERIMENTS,
    Protocol,
    check_protocol,
    check_references,
    chosen,
)
from denf.harness.sources import Purpose, code_hash
from denf.harness.validation import check_name
from denf.settings import as_plain

FID_TABLE = 2  # its rows also get a Fréchet distance
_OF_METHODS = (Purpose.TRAIN, Purpose.EVALUATE, Purpose.FID)
_OF_ALL = (Purpose.TABLES, Purpose.FIGURES, Purpose.CARD, Purpose.PAGE)


def make_plan(
    folder: Path | None,
    protocol: Mapping[str, Any],
    out: Path,
    *,
    where: str,
    elsewhere: bool = False,
) -> dict[str, Any]:
    """Resolve a protocol's experiments and write them to `out`, `<name>-<hash>.yaml` each.

    The hash is that of the whole file, label and protocol included: a new plan never changes a file
    that a training has read or will read.

    Args:
        folder: of the experiment files; None: the protocol's.
        protocol: values of a protocol; empty for every file as it is.
        out: folder of the plan.
        where: source of the protocol, for errors.
        elsewhere: whether the files that the protocol names are on another machine, so that nobody
            looks for them.

    Returns:
        `experiments`, each with its `file` and `inputs_hash`; `code`, hashes of the sources that
        the commands depend on, by purpose, then by experiment where they depend on a method;
        `cards`, the number of GPUs; and, of a protocol that is not empty, `protocol`, complete with
        defaults, `datasets` by their key, each as `_plan_dataset` says, and `rows`, a file for
        `--listing` of the commands that make tables and figures.

    Raises:
        DenfError: for a mistake in any of the files, or a name that does not exist.
    """
    checked = check_protocol(protocol, where=where) if protocol else None
    resolved = load_experiments(
        folder or Path(checked.experiments if checked else EXPERIMENTS), protocol
    )
    known = [e.name for e in resolved]  # before some are left out
    plan: dict[str, Any] = {}
    if checked is not None:
        plan["protocol"] = as_plain(checked)
        everything = resolved
        resolved = chosen_experiments(checked, everything, where=where)
        check_unused_overrides(protocol, everything)
        if not elsewhere:
            _check_files(checked, resolved, where)
        datasets = checked.datasets.items()
        plan["datasets"] = {key: _plan_dataset(dataset, out) for key, dataset in datasets}
        rows = json.dumps(listing_rows(resolved, checked), sort_keys=True)
        plan["rows"] = str(_write_text(out, "rows", ".json", rows))
    _check_weights(resolved, known)
    code: dict[str, Any] = {
        purpose.name.lower(): {
            e.name: code_hash(purpose, e.method, aided=bool(e.aids)) for e in resolved
        }
        for purpose in _OF_METHODS
    }
    code |= {purpose.name.lower(): code_hash(purpose) for purpose in _OF_ALL}
    experiments = [
        {**values, "file": str(_write(out, e.name, values)), "inputs_hash": e.inputs_hash()}
        for e, values in ((e, e.as_dict()) for e in resolved)
    ]
    return {**plan, "experiments": experiments, "code": code, "cards": count_gpus()}


def chosen_experiments(
    protocol: Protocol, known: Sequence[Experiment], *, where: str
) -> list[Experiment]:
    """The experiments that a protocol runs, of all those in its folder.

    Raises:
        DenfError: as `check_references`, and when the protocol leaves out all of them.
    """
    check_references(protocol, {e.name: e.dataset for e in known}, where=where)
    names = chosen(protocol, [e.name for e in known])
    if not names:
        raise DenfError(
            f"{where}: skip",
            expected="one experiment or more that is not left out",
            got=f"all {len(known)} of {protocol.experiments}",
            fix="Remove one from `skip`, or name those to run in `only`.",
        )
    return [e for e in known if e.name in names]


def listing_rows(experiments: Sequence[Experiment], protocol: Protocol) -> list[dict[str, Any]]:
    """What tables and figures show of the experiments beyond their runs' files."""
    keys = ("name", "label", "framework", "group", "tables", "seeds", "protocol")
    rows = []
    for e in experiments:
        values = e.as_dict()
        data = protocol.datasets[e.dataset].id
        rows.append({**{k: values[k] for k in keys}, "data": data, "aids": bool(e.aids)})
    return rows


def _plan_dataset(dataset: Source, out: Path) -> dict[str, Any]:
    """What the workflow needs to know of a data set.

    Returns:
        `file`, its specification; `content_hash`, of all that the prepared data depend on, without
        the location of the published file; `id`, `splits`, `one_pass`, `has_masks`,
        `training_images`, `validation` and `resources` of `Source`; `fetch`, the arguments of
        `denf data fetch`, None for a source that is on this machine; `path` of that source, None
        for one that is made here; `own_files`, by split, a hash of the files in the user's folders;
        and `code`, the hash of the code that renders the data, None where they are not rendered.
    """
    values = as_plain(dataset)
    content = json.dumps(dataset.content(), sort_keys=True)
    fetch = None
    if isinstance(dataset, Published) and dataset.url is not None and dataset.path is None:
        given = ("url", "sha256", "bytes", "mirror")
        fetch = {key: values[key] for key in given} | {"name": published_name(dataset.url)}
    return {
        "file": str(_write(out, f"data-{dataset.id}", values)),
        "content_hash": _short_hash(content),
        "id": dataset.id,
        "splits": list(dataset.splits),
        "one_pass": dataset.one_pass,
        "has_masks": dataset.has_masks,
        "training_images": dataset.training_images,
        "validation": dataset.validation,
        "resources": dataclasses.asdict(dataset.resources),
        "fetch": fetch,
        "path": values.get("path"),
        "own_files": {
            split: listing_digest(*files)
            for split in dataset.splits
            if (files := dataset.own_files(split))
        },
        "code": code_hash(Purpose.RENDER) if dataset.drawn_here else None,
    }


def check_inputs(experiment: Experiment, expected: str, *, where: str) -> None:
    """Refuse an experiment that is not the planned one.

    Raises:
        DenfError: with both hashes.
    """
    got = experiment.inputs_hash()
    if got != expected:
        raise DenfError(
            where,
            expected=f"the experiment that was planned, {expected}",
            got=f"another, {got}",
            fix="The experiment or the suite changed after planning: start the workflow again.",
        )


def _check_files(protocol: Protocol, experiments: Sequence[Experiment], where: str) -> None:
    """Refuse files that are missing, and data too small for the scores that are planned."""
    weights = protocol.fid.weights
    if weights is not None and not Path(weights).is_file():
        raise DenfError(
            f"{where}: fid.weights",
            expected="a file of Inception weights",
            got=f"no such file: {weights}",
            fix="Check the path, or leave the key out for a download.",
        )
    for key, dataset in protocol.datasets.items():
        place = f"{where}: datasets.{key}"
        counts = dataset.examine(place)
        for e in experiments:
            if e.dataset == key and FID_TABLE in e.tables and min(counts.values(), default=2) < 2:
                raise DenfError(
                    place,
                    expected=f"2 or more images in each split, since experiment {e.name} of "
                    f"Table {FID_TABLE} gets a Fréchet distance",
                    got=", ".join(f"{split}: {count}" for split, count in counts.items()),
                    fix="Add images, or leave the experiment out.",
                )


def _check_weights(experiments: Sequence[Experiment], known: Sequence[str]) -> None:
    """Refuse initial weights of an experiment that does not exist, is not run or does not fit.

    Args:
        experiments: those of the invocation.
        known: names of all experiment files.
    """
    by_name = {e.name: e for e in experiments}
    for e in experiments:
        if e.weights is None:
            continue
        where = f"experiment {e.name}: weights"
        check_name(e.weights, [name for name in known if name != e.name], where=where)
        first = by_name.get(e.weights)
        if first is None:
            raise DenfError(
                where,
                expected="an experiment of the same invocation",
                got=f"{e.weights}, which the protocol leaves out",
                fix=f"Add {e.weights} to `only`, or remove it from `skip`.",
            )
        if first.method != e.method:
            raise DenfError(
                where,
                expected=f"an experiment of the same method, {e.method}",
                got=f"{first.name}, which is one of {first.method}",
                fix="Name another experiment, or remove the key `weights`.",
            )
        if missing := sorted(set(e.seeds) - set(first.seeds)):
            raise DenfError(
                f"experiment {e.name}: seeds",
                expected=f"some of those of {first.name}, whose weights it starts from: "
                f"{', '.join(map(str, first.seeds))}",
                got=", ".join(map(str, missing)),
                fix=f"Add the seed to {first.name}, or remove it here.",
            )
    for e in experiments:
        _check_ends(e, by_name)


def _check_ends(experiment: Experiment, by_name: Mapping[str, Experiment]) -> None:
    """Refuse initial weights that depend on themselves."""
    chain = [experiment.name]
    while (first := by_name[chain[-1]].weights) is not None:
        if first in chain:
            raise DenfError(
                f"experiment {first}: weights",
                expected="a chain of experiments that ends with one without `weights`",
                got=f"the cycle {', '.join([*chain[chain.index(first) :], first])}",
                fix="Remove the key `weights` from one of them.",
            )
        chain.append(first)


def _write(out: Path, name: str, values: Mapping[str, Any]) -> Path:
    return _write_text(out, name, ".yaml", yaml.safe_dump(values, sort_keys=False))


def _write_text(out: Path, name: str, suffix: str, text: str) -> Path:
    path = out / f"{name}-{_short_hash(text)}{suffix}"
    # Every job of a cluster makes the plan again, and many start in the same second.
    if not path.exists() or path.read_text() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text)
    return path


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
