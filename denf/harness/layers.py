"""Values merged from several sources, and which source each value comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any


@dataclass(frozen=True)
class Layer:
    """Values of one source.

    Args:
        source: its name, for errors.
        values: plain values by key.
    """

    source: str
    values: Mapping[str, Any]


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the values of `over`, dictionaries merged key by key."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def merge_layers(layers: Sequence[Layer]) -> dict[str, Any]:
    """The values of all layers; of a key in several, that of the last."""
    values: dict[str, Any] = reduce(merge, (layer.values for layer in layers), {})
    return values


def source_of(layers: Sequence[Layer], keys: Sequence[str], otherwise: str) -> str:
    """The source of the value at some keys: the last one that sets it.

    Args:
        layers: of the values.
        keys: that lead to the value.
        otherwise: the source to name for a value that no layer has.
    """
    depths = [_depth(layer.values, keys) for layer in layers]
    deepest = max(depths, default=0)
    if not deepest:
        return otherwise
    last = max(number for number, depth in enumerate(depths) if depth == deepest)
    return layers[last].source


def _depth(values: Any, keys: Sequence[str]) -> int:
    """How many of the keys lead somewhere."""
    if not keys or not isinstance(values, Mapping) or keys[0] not in values:
        return 0
    return 1 + _depth(values[keys[0]], keys[1:])
