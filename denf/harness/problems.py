"""What pydantic finds wrong in plain values, in words that a user of YAML files knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, is_dataclass, replace
from dataclasses import fields as dataclass_fields
from itertools import groupby
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ValidationError

LONGEST = 80  # characters of a value in a message
_WORDS = {
    "tuple_type": "a list, such as [a, b]",
    "list_type": "a list, such as [a, b]",
    "dict_type": "a mapping of keys",
    "mapping_type": "a mapping of keys",
    "model_attributes_type": "a mapping of keys",
    "string_type": "a text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number of fewer digits",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "finite_number": "a finite number",
    "greater_than": "a number above {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "a number below {lt}",
    "less_than_equal": "{le} or less",
    "multiple_of": "a multiple of {multiple_of}",
    "literal_error": "one of {expected}",
    "enum": "one of {expected}",
    "too_short": "{min_length} or more of them",
    "string_too_short": "{min_length} or more characters",
}
_CORRECT = "Correct the value."


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Args:
        keys: that lead to it.
        expected: what is allowed there.
        got: what is there.
        fix: what to do about it.
        unknown: keys that are misspelt or in the wrong place, if any are.
        beside: the keys that are allowed beside them.
    """

    keys: tuple[str, ...]
    expected: str
    got: str
    fix: str = _CORRECT
    unknown: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()


def problems_of(error: ValidationError, kind: Any) -> list[Problem]:
    """The problems that an error of pydantic lists, each place once.

    Where a value may be of several types, the problem is that of the type that came closest.

    Args:
        error: of the validation.
        kind: the type that was checked against.
    """
    found = []
    choices = groupby(error.errors(), key=lambda p: _choice(kind, p["loc"]))
    for union, problems in ((union, list(group)) for union, group in choices):
        several = [_problem(problem, kind) for problem in problems]
        if union is not None:
            deepest = max(len(p.keys) for p in several)
            several = [p for p in several if len(p.keys) == deepest]
            key = ".".join(several[0].keys)
            texts = dict.fromkeys(
                p.expected.removeprefix(f"{key}: ").removeprefix("one of ") for p in several
            )
            several = [replace(several[0], expected=f"{key}: {' or '.join(texts)}")]
        found += several
    places = [p.keys for p in found]
    # An entry of a list that is wrong is left out, so that pydantic also finds the list too short.
    below = [any(q[: len(p)] == p and len(q) > len(p) for q in places) for p in places]
    found = [problem for problem, hidden in zip(found, below, strict=True) if not hidden]
    return sorted(found, key=lambda p: not p.unknown)  # a mistyped key is often a missing one too


def booleans_as_numbers(found: Any, given: Any, keys: tuple[str, ...] = ()) -> list[Problem]:
    """Booleans that pydantic took for the numbers 0 and 1, which nobody means by them.

    Args:
        found: settings, or a value in them.
        given: the plain values that they were made from.
        keys: that lead to them.
    """
    if isinstance(given, bool):
        number = isinstance(found, int | float) and not isinstance(found, bool)
        here = f"{'.'.join(keys)}: a number"
        return [Problem(keys, here, f"{shown(given)}, which YAML reads as a boolean")] * number
    return [
        problem
        for key, inner in _entries(given)
        for problem in booleans_as_numbers(_at(found, key), inner, (*keys, str(key)))
    ]


def shown(value: Any) -> str:
    """A value for a message, cut where it is long."""
    text = {None: "null", True: "true", False: "false"}[value] if _is_word(value) else repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _is_word(value: Any) -> bool:
    return value is None or isinstance(value, bool)


def _entries(given: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(given, Mapping):
        yield from given.items()
    elif isinstance(given, list | tuple):
        yield from enumerate(given)


def _at(found: Any, key: Any) -> Any:
    if isinstance(found, Mapping):
        return found.get(key)
    if isinstance(found, list | tuple):
        return found[key] if isinstance(key, int) and key < len(found) else None
    return getattr(found, key, None) if isinstance(key, str) else None


def _problem(problem: Any, kind: Any) -> Problem:
    keys, here = _place(kind, problem["loc"])
    key, name = ".".join(keys), problem["type"]
    context = {k: _whole(v) for k, v in problem.get("ctx", {}).items()}
    got = shown(problem["input"])
    if name in ("unexpected_keyword_argument", "extra_forbidden"):
        allowed = fields(_place(kind, problem["loc"][:-1])[1])
        beside = tuple(".".join((*keys[:-1], field)) for field in allowed)
        expected = f"only the keys {', '.join(allowed)}" if allowed else "no keys"
        return Problem(keys, expected, f"{key}: {got}", "Correct or remove it.", keys, beside)
    if name in ("missing", "missing_argument"):
        return Problem(keys, f"the key {key}", "nothing", "Add it.")
    if name in ("union_tag_not_found", "union_tag_invalid"):
        tag = (*keys, context["discriminator"].strip("'"))
        expected = f"the key {'.'.join(tag)}, one of {', '.join(_tagged(here))}"
        if "tag" not in context:
            return Problem(tag, expected, "nothing", "Add it.")
        return Problem(tag, expected, shown(context["tag"]))
    if name.endswith("_type") and (inside := fields(here)):
        expected = f"a mapping with keys among {', '.join(inside)}"
    elif name in _WORDS:
        expected = _WORDS[name].format_map(context)
    else:
        message = str(problem["msg"]).removeprefix("Value error, ")
        expected = message.removeprefix("Input should be ")
    if problem["loc"][-1:] == ("[key]",):
        expected = f"{expected} as a key"
    inner = problem["input"] if isinstance(problem["input"], Mapping) else {}
    unknown = (*keys, *map(str, list(inner)[:1])) if inner and not fields(here) else ()
    return Problem(keys, f"{key}: {expected}" if key else expected, got, unknown=unknown)


def _whole(bound: Any) -> Any:
    """A bound without `.0`."""
    return int(bound) if isinstance(bound, float) and bound.is_integer() else bound


def _choice(kind: Any, location: Sequence[Any]) -> tuple[Any, ...] | None:
    """The place of the last value of several types on the way to a place, if there is one."""
    found = None
    for length in range(len(location)):
        if _is_choice(_place(kind, location[:length])[1]):
            found = tuple(location[:length])
    return found


def _is_choice(kind: Any) -> bool:
    return len(_members(kind)) > 1


def _members(kind: Any) -> list[Any]:
    """The types that a value may have, without null."""
    if get_origin(kind) not in (Union, UnionType):
        return []
    return [member for member in get_args(kind) if member is not type(None)]


def _place(kind: Any, location: Sequence[Any]) -> tuple[tuple[str, ...], Any]:
    """The keys that lead to a place in settings of a type, and the type there.

    In a union, pydantic's location names the member that was tried.
    """
    keys = []
    for part in location:
        chosen = _tagged(kind).get(part)
        if chosen is not None:
            kind = chosen
            continue
        if _is_choice(kind):
            tried = str(part).partition("[")[0]
            kind = next((m for m in _members(kind) if tried in (_name(m), repr(m))), None)
            continue
        if part != "[key]":
            keys.append(str(part))
        kind = _inside(kind, part)
    return tuple(keys), kind


def _name(kind: Any) -> str:
    origin = get_origin(kind)
    return getattr(origin or kind, "__name__", str(kind))


def _inside(kind: Any, part: Any) -> Any:
    if get_origin(kind) is Annotated:
        return _inside(get_args(kind)[0], part)
    if get_origin(kind) in (dict, Mapping):
        return get_args(kind)[1]
    if get_origin(kind) is tuple:
        return get_args(kind)[0]
    section = _section(kind)
    if section is None:
        return None
    if is_dataclass(section):
        return get_type_hints(section).get(str(part))
    field = section.model_fields.get(str(part))
    return None if field is None else field.annotation


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


def fields(kind: Any) -> list[str]:
    """The keys of settings of a type, or of a section that may be absent; none of other types."""
    section = _section(kind)
    if is_dataclass(section):
        return [field.name for field in dataclass_fields(section)]
    return [] if section is None else list(section.model_fields)


def all_keys(kind: Any, prefix: str = "") -> Iterator[str]:
    """The dotted keys of all settings of a type, those of sections included.

    Args:
        kind: a type of settings.
        prefix: of the keys.
    """
    for field in fields(kind):
        yield prefix + field
        yield from all_keys(_inside(kind, field), f"{prefix}{field}.")


def _section(kind: Any) -> Any:
    """The type of settings that a type is, or has beside null."""
    if get_origin(kind) is Annotated:
        return _section(get_args(kind)[0])
    kinds = [k for k in (kind, *_members(kind)) if isinstance(k, type)]
    found = [k for k in kinds if issubclass(k, BaseModel) or is_dataclass(k)]
    return found[0] if len(found) == 1 else None
