"""Plain values into strict settings dataclasses, with errors that name key, value and fix."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from denf.errors import DenfError


def validate(kind: type, values: Mapping[str, Any], *, where: str) -> Any:
    """Check plain values against a strict dataclass.

    Raises:
        DenfError: with file, key, value and what is allowed, one line a problem.
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
    return [f.name for f in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else []
