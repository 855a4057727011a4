"""Changes of an experiment on the command line: `key.subkey=value`."""

from __future__ import annotations

from typing import Any

import yaml

from denf.errors import DenfError
from denf.harness.layers import Layer
from denf.yaml_reader import parse_yaml


def parse_change(change: str) -> Layer:
    """The keys that a change sets.

    Args:
        change: `key.subkey=value`, with the value in YAML.

    Raises:
        DenfError: when it has another form.
    """
    key, separator, text = change.partition("=")
    parts = [part.strip() for part in key.split(".")]
    if not (separator and all(parts)):
        raise DenfError(
            "--set",
            expected="key.subkey=value",
            got=repr(change),
            fix="For example --set training.steps=100.",
        )
    try:
        value: Any = parse_yaml(text)
    except yaml.YAMLError as error:
        raise DenfError(
            f"--set {key}", expected="a value in YAML", got=repr(text), fix="Quote or correct it."
        ) from error
    for part in reversed(parts):
        value = {part: value}
    return Layer(f"--set {key.strip()}", value)
