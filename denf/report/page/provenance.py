"""Provenance of each run: its record in the page, and its settings for comparison with others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from denf.report.loading import titles
from denf.report.names import dataset_name
from denf.report.numbers import MISSING, duration, significant, size
from denf.report.page.links import record_id, reference_id
from denf.report.records import Metric, Row, Run
from denf.report.reference import Reference
from denf.settings import flat

_FACTS = ("steps", "seed", "precision", "threads", "deterministic", "python", "platform", "cuda")
_HASHES = ("code_hash", "first_weights_sha256", "weights_sha256", "tensors_sha256")
_COMPARED = ("seed", "steps", "commit", "code_hash", "device", "threads", "precision")


@dataclass(frozen=True)
class RunRecord:
    """One run.

    Args:
        title: seed and status.
        folder: its path.
        command: the command that made it.
        facts: names and values of its recorded facts, in order.
        scores: names and values of its scores, as stored.
        notes: notes of the method on its training.
    """

    title: str
    folder: str
    command: str
    facts: tuple[tuple[str, str], ...]
    scores: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Record:
    """One experiment: the settings that its seeds share, and its runs."""

    anchor: str
    title: str
    detail: str
    settings: str
    runs: tuple[RunRecord, ...]


def records(rows: Sequence[Row], references: Sequence[Reference]) -> list[Record]:
    """The records of all experiments with a run, then those of the reference runs."""
    made = [
        Record(
            record_id(row),
            label,
            f"{row.name} on {dataset_name(row.dataset)}",
            _settings(row.runs[0]),
            tuple(map(_run, row.runs)),
        )
        for row, label in zip(rows, titles(rows), strict=True)
        if row.runs
    ]
    return made + [
        Record(
            reference_id(reference.name),
            f"Reference run {reference.name}",
            f"scores: {reference.data}",
            _settings(reference.row.runs[0]),
            tuple(map(_run, reference.row.runs)),
        )
        for reference in references
    ]


def _settings(run: Run) -> str:
    """The resolved experiment as YAML."""
    plain: str = yaml.safe_dump(dict(run.experiment), sort_keys=False, allow_unicode=True)
    return plain.strip() if run.experiment else ""


def _run(run: Run) -> RunRecord:
    record = run.record or {}
    state = str(record.get("status") or "no record")
    reason = record.get("reason")
    facts: list[tuple[str, object]] = [
        ("commit", run.code),
        *((key, record.get(key)) for key in _HASHES),
        ("device", run.device),
        *((key, record.get(key)) for key in _FACTS),
        ("started", record.get("started")),
        ("training time", _known(duration, record.get("seconds"))),
        ("memory", _known(size, record.get("peak_memory_bytes"))),
        *((f"version of {name}", text) for name, text in (record.get("versions") or {}).items()),
        *_data("trained on", record.get("data")),
        *_data("scored on", (run.metrics or {}).get("data")),
        *_data("compared with", (run.fid or {}).get("data")),
        ("extractor", (run.fid or {}).get("extractor")),
        ("extractor's weights", (run.fid or {}).get("weights_sha256")),
    ]
    readings = ((metric, run.read(metric)) for metric in Metric)
    return RunRecord(
        title=f"seed {run.seed}: {state}" + (f" ({reason})" if reason else ""),
        folder=run.folder.as_posix(),
        command=run.command,
        facts=tuple((name, str(value)) for name, value in facts if value not in (None, "")),
        scores=tuple(
            (str(metric), significant(reading.value, 4))
            for metric, reading in readings
            if reading.value is not None
        ),
        notes=run.notes,
    )


def _known(text_of: Any, value: Any) -> str | None:
    return None if value is None or text_of(value) == MISSING else str(text_of(value))


def _data(role: str, data: Mapping[str, Any] | None) -> list[tuple[str, object]]:
    if not data:
        return []
    what = (
        f"{data.get('name', 'unnamed data')} {data.get('split', '')}, {data.get('count', '?')} "
        f"scenes of {data.get('size', '?')} × {data.get('size', '?')} pixels"
    )
    return [(role, what), (f"{role}, sha256", data.get("sha256"))]


def compared_settings(
    rows: Sequence[Row], references: Sequence[Reference]
) -> list[dict[str, object]]:
    """Flat settings of every run, for comparing any two.

    Returns:
        `label` and `settings`: dotted key to value as text.
    """
    named = [
        (f"{label}, seed {run.seed} ({dataset_name(row.dataset)})", run)
        for row, label in zip(rows, titles(rows), strict=True)
        for run in row.runs
    ]
    named += [
        (f"Reference run {reference.name}, seed {run.seed}", run)
        for reference in references
        for run in reference.row.runs
    ]
    return [
        {"label": label, "settings": {**_flat(run.experiment), **_flat(_made(run), "run.json.")}}
        for label, run in named
    ]


def _made(run: Run) -> dict[str, Any]:
    record = run.record or {}
    data = record.get("data") or {}
    known = {key: record[key] for key in _COMPARED if key in record}
    return {
        **known,
        "data": {key: data[key] for key in ("name", "count", "size", "sha256") if data},
    }


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Dotted keys and values as YAML."""
    return {
        key: yaml.safe_dump(value, default_flow_style=True).strip().removesuffix("...").strip()
        for key, value in flat(values, prefix)
    }
