"""Mistakes in the words of a command as the one line that other mistakes give."""

from __future__ import annotations

import sys
from typing import Any

from typer.exceptions import TyperException

from denf.errors import DenfError

_WANTED = {  # by pydantic's name of the problem
    "int_parsing": "a whole number",
    "int_parsing_size": "a shorter number",
    "float_parsing": "a number",
    "greater_than_equal": "at least {ge}",
    "less_than_equal": "at most {le}",
}


def usage_error(error: TyperException) -> DenfError:
    """The message of an error that Typer raised: option or argument, expected, got.

    A group of commands that is called without a command prints its help instead.

    Args:
        error: what Typer raised in place of calling a command.

    Raises:
        SystemExit: after printing that help.
    """
    context: Any = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        print(error.format_message(), file=sys.stderr)
        sys.exit(error.exit_code)
    command = context.command_path if context else "denf"
    what, fix = command.removeprefix("denf").strip() or "command line", f"See `{command} --help`."
    option = getattr(error, "option_name", None)
    parameter: Any = getattr(error, "param", None)
    name = parameter.get_error_hint().replace("'", "") if parameter else option
    problems: Any = getattr(error.__cause__, "errors", list)()  # pydantic's
    if problems:
        wanted, got = _wanted(problems[0]), repr(problems[0]["input"])
        return DenfError(f"{what}, {name}", expected=wanted, got=got, fix=fix)
    if hasattr(error, "possibilities"):
        near = " or ".join(error.possibilities or ())
        fix = f"Did you mean {near}? {fix}" if near else fix
        return DenfError(what, expected="one of its options", got=option, fix=fix)
    message = " ".join(error.message.split()).removeprefix("Got ").removesuffix(".")
    message = message[:1].lower() + message[1:]
    if option or (name and not message):
        return DenfError(what, expected=f"a value for {name}", got="none", fix=fix)
    if name:
        return DenfError(f"{what}, {name}", expected="another value", got=message, fix=fix)
    return DenfError(what, expected="commands and arguments that exist", got=message, fix=fix)


def _wanted(problem: dict[str, Any]) -> str:
    if problem["type"] in _WANTED:
        return _WANTED[problem["type"]].format(**problem.get("ctx", {}))
    text = str(problem["msg"])
    _, choice, names = text.partition(" is not one of ")
    return f"one of {names.rstrip('.')}" if choice else text.removeprefix("Input should be ")
