"""Tables of settings for config/README.md, made from the settings themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from denf.settings import as_plain


def settings_table(kind: type[BaseModel], prefix: str = "") -> str:
    """A Markdown table of all settings: dotted key, default, meaning.

    Args:
        kind: a type of settings, its sections included.
        prefix: of the keys.
    """
    lines = ["| key | default | meaning |", "|---|---|---|"]
    lines += [
        f"| `{key}` | {default} | {_escaped(meaning)} |"
        for key, default, meaning in rows(kind, prefix)
    ]
    return "\n".join(lines)


def rows(
    kind: type[BaseModel], prefix: str = "", values: BaseModel | None = None
) -> Iterator[tuple[str, str, str]]:
    """Dotted key, default as Markdown and meaning of every setting; sections come one by one.

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
    """A value as YAML writes it in one line."""
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


def with_tables(document: str) -> str:
    """The document with every table between markers made anew.

    A marker is `<!-- settings: NAME -->`, with a method's name, `aids of NAME`, or one of
    `experiment`, `training` and `protocol`; the table ends at `<!-- end -->`.
    """
    parts = document.split("<!-- settings: ")
    made = [parts[0]]
    for part in parts[1:]:
        name, _, rest = part.partition(" -->")
        _, _, after = rest.partition("<!-- end -->")
        made.append(f"<!-- settings: {name} -->\n\n{_table(name)}\n\n<!-- end -->{after}")
    return "".join(made)


def _table(name: str) -> str:
    from denf.harness.experiment import Experiment, Training
    from denf.harness.protocol import Protocol
    from denf.harness.registry import aids_type, settings_type

    if name.startswith("aids of "):
        return settings_table(aids_type(name.removeprefix("aids of ")))
    known: dict[str, tuple[type[BaseModel], str]] = {
        "experiment": (Experiment, ""),
        "training": (Training, "training."),
        "protocol": (Protocol, ""),
    }
    kind, prefix = known[name] if name in known else (settings_type(name), "")
    return settings_table(kind, prefix)
