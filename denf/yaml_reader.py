"""YAML files and values, read strictly: a repeated key is an error."""

from __future__ import annotations

import os
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from denf.errors import DenfError
from denf.reading import read_text, reading

_READABLE, _CORRECT = "a readable YAML file", "Correct it."


class _StrictLoader(yaml.SafeLoader):
    """A loader that refuses repeated keys, of which PyYAML silently keeps the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: dict[str, yaml.Mark] = {}
        for key, _ in node.value:
            name = str(key.value)
            if key.tag == "tag:yaml.org,2002:merge":
                continue  # keys merged from an anchor may be overridden
            if name in seen:
                raise yaml.constructor.ConstructorError(
                    f"while reading a mapping, key {name!r} was first given",
                    seen[name],
                    f"and again as {name!r}; keep one",
                    key.start_mark,
                )
            seen[name] = key.start_mark
        return super().construct_mapping(node, deep)


def parse_yaml(text: str) -> Any:
    """The value that a text in YAML holds.

    Raises:
        yaml.YAMLError: when the text is not YAML or repeats a key.
    """
    return yaml.load(text, _StrictLoader)


def read_mapping(path: Path, *, what: str, fix: str) -> dict[str, Any]:
    """The mapping that a YAML file holds.

    Args:
        path: the file.
        what: the kind of file, for errors.
        fix: where to read more about such files.

    Raises:
        DenfError: when the file cannot be read, repeats a key or holds no mapping.
    """
    named = f"{what} {path}"
    readable = path.is_file() and os.access(path, os.R_OK)
    text = read_text(
        path, what=named, expected=_READABLE, fix=_CORRECT if readable else "Check the path."
    )
    return parse_mapping(text, what=named, fix=fix)


def parse_mapping(text: str, *, what: str, fix: str) -> dict[str, Any]:
    """The mapping that a text in YAML holds.

    Args:
        text: the text.
        what: the kind of text and its source, for errors.
        fix: where to read more about such texts.

    Raises:
        DenfError: when the text is not YAML, repeats a key or holds no mapping.
    """
    with reading(what, expected=_READABLE, fix=_CORRECT):
        values = parse_yaml(text)
    if not isinstance(values, dict):
        raise DenfError(what, expected="a mapping of keys", got=type(values).__name__, fix=fix)
    return values
