"""Presets: changes that fit a method to a budget, in files beside it that protocols name.

`<method's package>/presets/<preset>.yaml` has up to four keys. `size` holds settings that adapt
widths and resolutions, `budget` the length of training and the rates and schedules that go with
it, `aids` what the method's paper does not have. `experiments` holds these three keys by the name
of an experiment; they apply on top of the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from denf.harness.layers import Layer, merge
from denf.harness.registry import method_modules, method_names
from denf.harness.validation import check_name, validate
from denf.settings import Settings
from denf.yaml_reader import read_mapping


class Budget(Settings):
    """The length of a training, and the settings that depend on it."""

    training: dict[str, Any] = {}
    """Keys of an experiment's `training`."""
    settings: dict[str, Any] = {}
    """Settings of the method: rates, schedules, and loss weights chosen for this length."""


class Sections(Settings):
    """What a preset changes."""

    size: dict[str, Any] = {}
    """Settings of the method that adapt widths and resolutions."""
    budget: Budget = Budget()
    """The length of training, and the settings that depend on it."""
    aids: dict[str, Any] = {}
    """Settings of the method's aids."""

    def changes(self) -> dict[str, Any]:
        """The sections as keys of an experiment, without empty ones."""
        keys = {
            "settings": merge(self.size, self.budget.settings),
            "training": self.budget.training,
            "aids": self.aids,
        }
        return {key: values for key, values in keys.items() if values}


class Preset(Sections):
    """The contents of a preset's file."""

    experiments: dict[str, Sections] = {}
    """Further changes to single experiments, by the experiment's name."""


def preset_names() -> set[str]:
    """Names of the presets of all methods."""
    return {
        file.stem for name in method_names() for file in method_modules(name).presets.glob("*.yaml")
    }


def presets_of(protocol: Mapping[str, Any]) -> tuple[str, ...]:
    """The names under a protocol's key `preset`: none, one or several."""
    named = protocol.get("preset")
    if named is None:
        return ()
    return (named,) if isinstance(named, str) else tuple(named)


def preset_layers(presets: Sequence[str], method: str, experiment: str) -> list[Layer]:
    """What presets change in an experiment, as its keys; later presets take precedence.

    A preset does not change a method that has no file for it.

    Raises:
        DenfError: for a preset that no method has, or a file that is not a preset.
    """
    return [
        Layer(f"preset {preset} of {method}", _changes_of(preset, method, experiment))
        for preset in presets
    ]


def _changes_of(preset: str, method: str, experiment: str) -> dict[str, Any]:
    file = method_modules(method).presets / f"{preset}.yaml"
    if not file.exists():
        check_name(preset, preset_names(), where="preset")
        return {}
    values = read_mapping(file, what="preset", fix="See config/README.md.")
    found = validate(Preset, values, where=str(file))
    own = found.experiments.get(experiment, Sections())
    return merge(found.changes(), own.changes())
