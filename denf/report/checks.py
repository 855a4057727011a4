"""Whether the files of a run can be trusted: types, means against scores.csv, hashes.

Tables are made long after the runs, from files that may have been edited, copied or partly remade.
A number that does not come from the run in its folder is refused.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from denf.errors import DenfError
from denf.reading import read_text, reading
from denf.report.records import Run
from denf.run_folder import check_scores

_AGAIN = "Evaluate the run again."
_TOLERANCE = 1e-9  # relative; the order of addition changes a mean by less


class _Data(TypedDict, total=False):
    __pydantic_config__ = ConfigDict(strict=True, extra="allow")  # type: ignore[misc]
    name: str | None
    split: str | None
    count: int | None
    size: int | None
    source: str | None
    sha256: str | None


class _Record(TypedDict, total=False):
    __pydantic_config__ = ConfigDict(strict=True, extra="allow")  # type: ignore[misc]
    status: str
    notes: list[str] | None
    steps: int | None
    parameters: int | float | None
    images_per_second: int | float | None
    seconds: int | float | None
    peak_memory_bytes: int | float | None
    weights_sha256: str | None
    commit: str | None
    device: str | None
    command: str | list[Any] | None
    data: _Data


class _Floor(TypedDict):
    __pydantic_config__ = ConfigDict(strict=True, extra="allow")  # type: ignore[misc]
    fid: int | float


class _Measured(TypedDict, total=False):
    __pydantic_config__ = ConfigDict(strict=True, extra="allow")  # type: ignore[misc]
    data: _Data
    run_weights_sha256: str | None
    empty_scenes: int | None
    one_object_scenes: int | None
    samples: int | None
    reference: int | None
    extractor: str | None
    mode: str | None
    rank_note: str | None
    floor: _Floor | None


class _Resolved(TypedDict, total=False):
    __pydantic_config__ = ConfigDict(strict=True, extra="allow")  # type: ignore[misc]
    name: str
    label: str
    framework: str
    group: str
    method: str
    protocol: str
    tables: list[int]
    seeds: list[int]


_KINDS: Mapping[str, TypeAdapter[Any]] = {
    "run.json": TypeAdapter(_Record),
    "metrics.json": TypeAdapter(_Measured),
    "fid.json": TypeAdapter(_Measured),
    "experiment.yaml": TypeAdapter(_Resolved),
    "listing": TypeAdapter(_Resolved),
}


def check_types(what: object, kind: str, content: Mapping[str, Any]) -> None:
    """Refuse values of a type that the tables do not accept.

    Args:
        what: the file, for the message.
        kind: name of the file in a run folder, or "listing" for a resolved experiment.
        content: of the file.
    """
    try:
        _KINDS[kind].validate_python(content)
    except ValidationError as error:
        problem = error.errors()[0]
        raise DenfError(
            f"{what}, {'.'.join(map(str, problem['loc']))}",
            expected=problem["msg"].removeprefix("Input should be "),
            got=repr(problem["input"]),
            fix="Correct the value, or make the file again.",
        ) from error


def check_run(run: Run) -> None:
    """Refuse a run whose scores and weights do not belong together.

    Raises:
        DenfError: when a mean differs from that of scores.csv, or metrics or distances were
            measured on other weights than the training made, or at another size.
    """
    measured = {"metrics.json": run.metrics or {}, "fid.json": run.fid or {}}
    check_scores(run.folder, run.record or {}, measured)
    scores = run.folder / "scores.csv"
    if run.metrics is not None and scores.exists():
        _check_means(run.folder / "metrics.json", run.metrics, scores)


def check_same_data(runs: Sequence[Run]) -> None:
    """Refuse seeds of one experiment on different data, of which a mean would be meaningless.

    Raises:
        DenfError: names the file.
    """
    for name in ("run.json", "metrics.json", "fid.json"):
        documents = [(run, _document(run, name)) for run in runs]
        seen = [(run, d["data"]["sha256"]) for run, d in documents if _data_hash(d)]
        for run, sha256 in seen[1:]:
            if sha256 != seen[0][1]:
                raise DenfError(
                    f"{run.folder / name}, data",
                    expected=f"the data of {seen[0][0].folder}, SHA-256 {seen[0][1]}",
                    got=sha256,
                    fix="Seeds of one experiment share their data: run the older ones again.",
                )


def _document(run: Run, name: str) -> Mapping[str, Any]:
    return {"run.json": run.record, "metrics.json": run.metrics, "fid.json": run.fid}[name] or {}


def _data_hash(document: Mapping[str, Any]) -> str | None:
    return (document.get("data") or {}).get("sha256")


def _check_means(file: Path, metrics: Mapping[str, Any], scores: Path) -> None:
    with reading(scores, expected="one line of numbers per scene", fix=_AGAIN):
        text = read_text(scores, expected="a CSV file", fix=_AGAIN)
        rows = list(csv.DictReader(io.StringIO(text)))
        if not rows:
            raise ValueError("no lines")
        columns = {
            name: [float(row[name]) for row in rows]
            for name, entry in metrics.items()
            if isinstance(entry, Mapping) and "mean" in entry
        }
    for name, values in columns.items():
        finite = [value for value in values if math.isfinite(value)]
        mean = math.fsum(finite) / len(finite) if finite else None
        stated = metrics[name].get("mean")
        same = stated is mean or (
            isinstance(stated, int | float)
            and mean is not None
            and math.isclose(stated, mean, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
        )
        if not same:
            raise DenfError(
                f"{file}, {name}",
                expected=f"the mean of {scores.name}, {mean!r}",
                got=repr(stated),
                fix=f"One of the two was edited, or is of another evaluation. {_AGAIN}",
            )
