"""Plain values into settings, with errors that name key, value and fix."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar, get_args, get_type_hints

from pydantic import BaseModel, TypeAdapter, ValidationError

from denf.errors import DenfError

Kind = TypeVar("Kind")


def validate(kind: type[Kind], values: Mapping[str, Any], *, where: str) -> Kind:
    """Check plain values against a type of settings.

    Raises:
        DenfError: with file, key, value and what is allowed, one line per problem.
    """
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        problems = error.errors()
    lines = [_explain(problem, kind) for problem in problems]
    raise DenfError(
        where,
        expected=lines[0][0],
        got=lines[0][1],
        fix="".join(f"\n  also: expected {a}, got {b}" for a, b in lines[1:])
        or "Correct the value.",
    )


def check_name(name: str, known: Iterable[str], *, where: str) -> None:
    """Refuse a name that does not exist.

    Raises:
        DenfError: with the nearest known names, and all of them.
    """
    names = sorted(known)
    if name in names:
        return
    near = get_close_matches(name, names, n=3)
    hint = f"Did you mean {' or '.join(near)}?" if near else "Correct the name."
    raise DenfError(
        where, expected=f"one of {', '.join(names) or 'none'}", got=repr(name), fix=hint
    )


def _explain(problem: Any, kind: type) -> tuple[str, str]:
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        allowed = ", ".join(_fields_at(kind, problem["loc"][:-1]))
        return f"only the keys {allowed}", f"{key}: {problem['input']!r}"
    if problem["type"] in ("missing", "missing_argument"):
        return f"the key {key}", "nothing"
    message = f"{key}: {problem['msg']}" if key else str(problem["msg"])
    return message, repr(problem["input"])


def _fields_at(kind: Any, location: Sequence[Any]) -> list[str]:
    for part in location:
        kind = get_type_hints(kind).get(str(part), kind)
        kind = next((k for k in get_args(kind) if _is_section(k)), kind)  # Section | None
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return list(kind.model_fields)
    return [f.name for f in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else []


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and (
        issubclass(kind, BaseModel) or dataclasses.is_dataclass(kind)
    )
