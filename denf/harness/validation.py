"""Checking plain values against settings, with errors that name key, value and fix."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from itertools import chain
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from denf.errors import DenfError
from denf.harness.problems import Problem, all_keys, booleans_as_numbers, problems_of

Kind = TypeVar("Kind")
Where = str | Callable[[Sequence[str]], str]
_SHOWN = 3  # problems in one message


def validate(
    kind: type[Kind], values: Mapping[str, Any], *, where: Where, known: Iterable[str] = ()
) -> Kind:
    """Check plain values against a type of settings.

    Args:
        kind: the type.
        values: the values.
        where: their source, or a function that gives the source of the value at some keys.
        known: further keys, dotted, that a user may have meant.

    Raises:
        DenfError: in one line, with source, key, value and what is allowed.
    """
    try:
        found = TypeAdapter(kind).validate_python(values)
        problems = booleans_as_numbers(found, values)
    except ValidationError as error:
        problems = problems_of(error, kind)
    else:
        if not problems:
            return found
    first, *others = problems
    also = [f"; expected {p.expected}, got {p.got}" for p in others[: _SHOWN - 1]]
    also += [f"; and {len(problems) - _SHOWN} more"] * (len(problems) > _SHOWN)
    raise DenfError(
        where if isinstance(where, str) else where(first.keys),
        expected=first.expected,
        got=first.got + "".join(also),
        fix=_fix(first, chain(all_keys(kind), known)),
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


def _fix(problem: Problem, known: Iterable[str]) -> str:
    near = _nearest(problem, [*problem.beside, *known]) if problem.unknown else []
    return f"Did you mean {' or '.join(near)}?" if near else problem.fix


def _nearest(problem: Problem, known: Sequence[str]) -> list[str]:
    """Known keys that may have been meant: spelled almost so, or the same in another section."""
    last = problem.unknown[-1]
    inside = [key for key in known if key.endswith(f".{'.'.join(problem.unknown)}")]
    near = _spelled(last, problem.beside) or inside or _spelled(last, known)
    return list(dict.fromkeys(near))[:3]


def _spelled(last: str, known: Sequence[str]) -> list[str]:
    """The dotted keys of which the last part is spelled almost as a given one."""
    ends = [key.rpartition(".")[2] for key in known]
    near = get_close_matches(last, ends, n=3, cutoff=0.7)
    return [key for key, end in zip(known, ends, strict=True) if end in near]
