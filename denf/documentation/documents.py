"""Updating the tables of documents: settings from their types, scores from released runs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from denf.data.sources import Dataset
from denf.errors import DenfError, within
from denf.reading import read_json_mapping
from denf.report.numbers import MISSING
from denf.settings import as_plain

_MARKER = re.compile(r"<!-- (settings|results|reference): (.+?) -->.*?<!-- end -->", re.DOTALL)
_SCORES = ("ari_fg", "ari_fg_strict", "ari", "box_iou", "coverage")


def settings_table(kind: type[BaseModel], prefix: str = "") -> str:
    """A Markdown table of all settings: dotted key, default, meaning.

    Args:
        kind: a type of settings; its sections are included.
        prefix: of the keys.
    """
    lines = ["| key | default | meaning |", "|---|---|---|"]
    lines += [
        f"| `{key}` | {default} | {_escaped(meaning)} |"
        for key, default, meaning in rows(kind, prefix)
    ]
    return "\n".join(lines)


def datasets_table() -> str:
    """A Markdown table of the keys of all specifications of data sets, by their sources.

    Keys with the same meaning and default share a line.
    """
    found: dict[tuple[str, str], dict[str, list[str]]] = {}  # (default, meaning): key: sources
    for source, kind in dataset_types().items():
        for key, default, meaning in rows(kind):
            if key != "source":
                found.setdefault((default, meaning), {}).setdefault(key, []).append(source)
    choices = ", ".join(f"`{source}`" for source in dataset_types())
    lines = ["| key | sources | default | meaning |", "|---|---|---|---|"]
    lines.append(f"| `source` | all | required | Where the images come from: one of {choices}. |")
    for (default, meaning), keys in found.items():
        sources = list(dict.fromkeys(source for of_key in keys.values() for source in of_key))
        named = "all" if len(sources) == len(dataset_types()) else ", ".join(sources)
        written = ", ".join(f"`{key}`" for key in keys)
        lines.append(f"| {written} | {named} | {default} | {_escaped(meaning)} |")
    return "\n".join(lines)


def dataset_types() -> dict[str, type[BaseModel]]:
    """The types of specifications of data sets, by `source`."""
    union = get_args(Dataset)[0]
    return {get_args(kind.model_fields["source"].annotation)[0]: kind for kind in get_args(union)}


def rows(
    kind: type[BaseModel], prefix: str = "", values: BaseModel | None = None
) -> Iterator[tuple[str, str, str]]:
    """Dotted key, default as Markdown and meaning of every setting, including those of sections.

    Args:
        kind: a type of settings.
        prefix: of the keys.
        values: default of a section whose values differ from those of its type.
    """
    for name, field in kind.model_fields.items():
        inner = field.annotation
        required = field.is_required() and values is None
        value = None if required else _value(field) if values is None else getattr(values, name)
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from rows(inner, f"{prefix}{name}.", value)
        else:
            yield prefix + name, "required" if required else _shown(value), _meaning(field)


def _value(field: FieldInfo) -> Any:
    return field.get_default(call_default_factory=True)


def _shown(value: Any) -> str:
    if isinstance(value, StrEnum):
        return f"`{value.value}`"
    plain = as_plain(value) if not isinstance(value, bool | int | float | str | None) else value
    return f"`{_in_one_line(plain)}`"


def _in_one_line(value: Any) -> str:
    """A value as one line of YAML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_in_one_line(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_in_one_line, value)) + "]"
    return value if isinstance(value, str) else json.dumps(value)


def _meaning(field: FieldInfo) -> str:
    text = " ".join((field.description or "").split())
    kinds = [k for k in (field.annotation, *get_args(field.annotation)) if isinstance(k, type)]
    for kind in kinds:
        if issubclass(kind, StrEnum):
            return f"{text} One of {', '.join(f'`{choice.value}`' for choice in kind)}."
        if issubclass(kind, BaseModel):  # a section that may be absent
            keys = ", ".join(f"`{k}` ({d.strip('`')}; {m})" for k, d, m in rows(kind))
            return f"{text} Keys: {keys}"
    return text


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def with_tables(document: str, folder: Path) -> str:
    """The document with every table between markers updated.

    A marker is `<!-- settings: NAME -->`, with a method's name, `aids of NAME`, or one of
    `experiment`, `training`, `protocol` and `datasets`; `<!-- results: FOLDER -->`, with a folder
    of run folders; or `<!-- reference: FILE, N -->`, with the reference protocol's file and the
    number of a table. The table ends at `<!-- end -->`.

    Args:
        document: Markdown.
        folder: of the document; folders in markers are relative to it.

    Raises:
        DenfError: names the marker whose table cannot be made.
    """

    def made(marker: re.Match[str]) -> str:
        kind, name = marker.groups()
        opening = f"<!-- {kind}: {name} -->"
        with within(f"marker {opening}"):
            return f"{opening}\n\n{_made(kind, name, folder)}\n\n<!-- end -->"

    return _MARKER.sub(made, document)


def _made(kind: str, name: str, folder: Path) -> str:
    if kind == "reference":
        from denf.documentation.reference import reference_table

        file, _, number = name.partition(", ")
        return reference_table(folder / file, number)
    return results_table(folder / name) if kind == "results" else _table(name)


def results_table(folder: Path) -> str:
    """A Markdown table of the scores of all run folders in a folder, in percent.

    Args:
        folder: holds run folders; those without `metrics.json` are left out.

    Raises:
        DenfError: when there are no scores in the folder, or a file cannot be read.
    """
    files = sorted(folder.glob("*/metrics.json"))
    if not files:
        raise DenfError(
            f"folder {folder}",
            expected="run folders with metrics.json in it",
            got="none" if folder.is_dir() else "no such folder",
            fix="Correct the path.",
        )
    lines = [
        "| run | scored on | foreground ARI | strict | all pixels "
        "| box IoU | coverage | right number |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for file in files:
        metrics = read_json_mapping(
            file, expected="scores of a run", fix="Run denf evaluate again."
        )
        data = metrics["data"]
        scored_on = f"{data['count']} scenes of {data['name']}, {data['size']} × {data['size']}"
        # scores that the method or the data do not have are missing, others may be None
        found = [metrics.get(score, {}).get("mean") for score in _SCORES]
        found.append(metrics.get("count", {}).get("right"))
        cells = [f"`{file.parent.name}`", scored_on, *map(_percent, found)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _percent(fraction: float | None) -> str:
    return MISSING if fraction is None else f"{100 * fraction:.1f}"


def _table(name: str) -> str:
    from denf.harness.experiment import Experiment, Training
    from denf.harness.protocol import Protocol
    from denf.harness.registry import aids_type, settings_type

    if name.startswith("aids of "):
        return settings_table(aids_type(name.removeprefix("aids of ")))
    if name == "datasets":
        return datasets_table()
    known: dict[str, tuple[type[BaseModel], str]] = {
        "experiment": (Experiment, ""),
        "training": (Training, "training."),
        "protocol": (Protocol, ""),
    }
    kind, prefix = known[name] if name in known else (settings_type(name), "")
    return settings_table(kind, prefix)
