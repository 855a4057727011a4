"""The plan of a protocol: every experiment resolved once, and written down for its trainings.

A training reads its file of the plan and nothing else, so that an edited configuration, or another
protocol in the same checkout, cannot change what it computes. The files are named by their content.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from denf.data.archive import listing_digest
from denf.errors import DenfError
from denf.files import write_atomically
from denf.harness.experiment import Experiment, load_experiments
from denf.harness.lease import count_cards
from denf.harness.protocol import check_protocol, check_references, chosen
from denf.harness.registry import Purpose, code_hash
from denf.harness.validation import check_name

_OWN = ("images", "masks")  # keys of a data set of own pictures that name a folder or file
_OF_METHODS = (Purpose.TRAIN, Purpose.EVALUATE, Purpose.FID)
_OF_ALL = (Purpose.RENDER, Purpose.TABLES, Purpose.FIGURES, Purpose.CARD, Purpose.PAGE)


def make_plan(
    folder: Path, protocol: Mapping[str, Any], out: Path, *, where: str
) -> dict[str, Any]:
    """Resolve a protocol's experiments and write them to `out`, `<name>-<hash>.yaml` each.

    The hash is that of what a run depends on. A file that is there already stays, or gets another
    label: a plan changes nothing that a training has read or will read.

    Args:
        folder: of the experiment files.
        protocol: values of a protocol; empty for every file as it is.
        out: folder of the plan.
        where: the protocol came from, for errors.

    Returns:
        `experiments`, each with its `file` and `inputs_hash`; `code`, hashes of the sources that
        the commands depend on, by purpose, then by experiment where a method has a part in it;
        `listings`, hashes of what lies in folders of own pictures, by data set and split; and
        `cards`, the number of GPUs.

    Raises:
        DenfError: for a mistake in any of the files, or a name that does not exist.
    """
    resolved = load_experiments(folder, protocol)
    if protocol:
        checked = check_protocol(protocol, where=where)
        check_references(checked, {e.name: e.dataset for e in resolved}, where=where)
        names = chosen(checked, [e.name for e in resolved])
        resolved = [e for e in resolved if e.name in names]
    _check_weights(resolved)
    code: dict[str, Any] = {
        purpose.name.lower(): {
            e.name: code_hash(purpose, e.method, aided=bool(e.aids)) for e in resolved
        }
        for purpose in _OF_METHODS
    }
    code |= {purpose.name.lower(): code_hash(purpose) for purpose in _OF_ALL}
    experiments = [
        {**e.as_dict(), "file": str(_write(e, out)), "inputs_hash": e.inputs_hash()}
        for e in resolved
    ]
    return {
        "experiments": experiments,
        "code": code,
        "cards": count_cards(),
        "listings": _listings(protocol.get("datasets") or {}),
    }


def _listings(datasets: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """What lies in the folders of own pictures, by a data set's id and split."""
    return {
        dataset["id"]: {
            split: listing_digest(*(dataset[split][k] for k in _OWN if k in dataset[split]))
            for split in ("train", "test")
        }
        for dataset in datasets.values()
        if dataset.get("source") == "folder"
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
            fix="It was changed after the plan, or the suite was: start the workflow again.",
        )


def _check_weights(experiments: Sequence[Experiment]) -> None:
    names = [e.name for e in experiments]
    for e in experiments:
        if e.weights is not None:
            where = f"experiment {e.name}: weights, from an experiment of the same invocation"
            check_name(e.weights, names, where=where)


def _write(experiment: Experiment, out: Path) -> Path:
    path = out / f"{experiment.name}-{experiment.inputs_hash()}.yaml"
    text = yaml.safe_dump(experiment.as_dict(), sort_keys=False)
    if not path.exists() or path.read_text() != text:
        out.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text)
    return path
