"""What a protocol changes in an experiment: presets, and its key `overrides`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from denf.errors import DenfError
from denf.harness.layers import Layer
from denf.harness.presets import preset_layers, presets_of
from denf.harness.registry import method_names


def override_layers(protocol: Mapping[str, Any], values: Mapping[str, Any]) -> list[Layer]:
    """A protocol's changes to an experiment: its presets', its method's, those of its name.

    Args:
        protocol: values of the protocol, with the keys `preset` and `overrides`, if any.
        values: of the experiment, with its name and method.

    Raises:
        DenfError: for an override that is no mapping, or an unknown preset.
    """
    method, name = str(values.get("method")), str(values["name"])
    layers = []
    if method in method_names():
        layers = preset_layers(presets_of(protocol), method, name)
    overrides = protocol.get("overrides") or {}
    keys = [method] if name in method_names() else [method, name]  # a shared name is a method
    for key in keys:
        where = f"protocol {protocol.get('protocol')}: overrides.{key}"
        changes = overrides.get(key) or {}
        if not isinstance(changes, Mapping):
            raise DenfError(
                where,
                expected="a mapping of an experiment's keys",
                got=repr(changes),
                fix="See config/README.md.",
            )
        layers.append(Layer(where, changes))
    return layers
