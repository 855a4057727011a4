"""Checking plain values against settings, with errors that name key, value and fix."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

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
    lines = [_expected_and_got(problem, kind) for problem in problems]
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


def _expected_and_got(problem: Any, kind: Any) -> tuple[str, str]:
    """What was expected and what was given at the place of one problem."""
    keys, here = _place(kind, problem["loc"])
    key, got = ".".join(keys), repr(problem["input"])
    if problem["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        allowed = ", ".join(_fields(_place(kind, problem["loc"][:-1])[1]))
        return f"only the keys {allowed}", f"{key}: {got}"
    if problem["type"] in ("missing", "missing_argument"):
        return f"the key {key}", "nothing"
    if problem["type"] in ("union_tag_not_found", "union_tag_invalid"):
        tag = ".".join((*keys, problem["ctx"]["discriminator"].strip("'")))
        got = repr(problem["ctx"]["tag"]) if "tag" in problem["ctx"] else "nothing"
        return f"the key {tag}, one of {', '.join(_tagged(here))}", got
    message = str(problem["msg"]).removeprefix("Value error, ")
    return f"{key}: {message}" if key else message, got


def _place(kind: Any, location: Sequence[Any]) -> tuple[list[str], Any]:
    """The keys that lead to a place in settings of a type, and the type there.

    In a union whose members a key distinguishes, pydantic's location names the member chosen.
    """
    keys = []
    for part in location:
        chosen = _tagged(kind).get(part)
        if chosen is not None:
            kind = chosen
            continue
        keys.append(str(part))
        kind = _inside(kind, part)
    return keys, kind


def _inside(kind: Any, part: Any) -> Any:
    if get_origin(kind) is Annotated:
        return _inside(get_args(kind)[0], part)
    if get_origin(kind) in (dict, Mapping):
        return get_args(kind)[1]
    section = next((k for k in (kind, *get_args(kind)) if _is_section(k)), None)  # Section | None
    if section is None:
        return None
    if isinstance(section, type) and issubclass(section, BaseModel):
        field = section.model_fields.get(str(part))
        return None if field is None else field.annotation
    return get_type_hints(section).get(str(part))


def _tagged(kind: Any) -> dict[str, Any]:
    """Members of a union that a key distinguishes, by the key's value; empty for other types."""
    if get_origin(kind) is not Annotated:
        return {}
    union, *more = get_args(kind)
    tags = [str(m.discriminator) for m in more if getattr(m, "discriminator", None)]
    members = {}
    for tag in tags:
        for member in get_args(union):
            (value,) = get_args(member.model_fields[tag].annotation)
            members[value] = member
    return members


def _fields(kind: Any) -> list[str]:
    kind = next((k for k in (kind, *get_args(kind)) if _is_section(k)), None)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return list(kind.model_fields)
    return [f.name for f in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else []


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and (
        issubclass(kind, BaseModel) or dataclasses.is_dataclass(kind)
    )
