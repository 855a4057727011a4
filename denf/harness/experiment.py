"""Experiment files: one YAML file a table row, resolved and checked before anything runs.

Free of torch at import, so that the workflow reads all experiments in a fraction of a second.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import yaml
from annotated_types import Ge, MinLen
from pydantic import ConfigDict

from denf.errors import DenfError
from denf.files import write_atomically
from denf.harness.registry import Purpose, code_hash, method_names, method_type
from denf.harness.validation import validate

_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


class Group(StrEnum):
    """The block of a table in which a row stands."""

    METHOD = "method"
    ABLATION = "ablation"
    CONTROL = "control"


@dataclass(frozen=True)
class Training:
    """How long and in what portions a method is trained.

    Args:
        epochs: passes over the training set (A.4: 20); used when `steps` is not given.
        steps: number of updates; 0 for methods that do not train.
        batch_size: images a step (A.4: 12).
        precision: arithmetic of the parts of a method that tolerate less than float32.
        graph: on a GPU, record the training step as CUDA graphs and replay them.
        log_every: steps between rows of history.csv (and checks for a finite loss).
        save_minutes: minutes between saved states.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    epochs: Annotated[float, Ge(0)] = 20
    steps: Annotated[int, Ge(0)] | None = None
    batch_size: Annotated[int, Ge(1)] = 12
    precision: Literal["float32", "bfloat16"] = "float32"
    graph: bool = False
    log_every: Annotated[int, Ge(1)] = 25
    save_minutes: Annotated[float, Ge(0)] = 5

    def total_steps(self, images: int) -> int:
        """Number of updates for a training set of so many images."""
        return round(self.epochs * images / self.batch_size) if self.steps is None else self.steps


@dataclass(frozen=True)
class Experiment:
    """A resolved experiment: everything that a run depends on but the data and the seed.

    Args:
        name: of the file, without suffix; a row's identity.
        method: see `denf.harness.registry.method_names`.
        dataset: key of the configuration's `datasets`.
        label, framework: first two columns of the tables.
        group: the table's block.
        tables: numbers of the tables in which the row stands.
        seeds: every seed that shall be run.
        protocol: name of the configuration that the settings were resolved under.
        weights: an experiment from whose run with the same seed the weights come; with
            `training.steps: 0` they are read in another way and not trained at all.
        settings: of the method, complete with defaults, or empty for nothing but defaults.
        training: see `Training`.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    name: str
    method: str
    dataset: str
    label: str
    framework: str = ""
    group: Group = Group.METHOD
    tables: tuple[Literal[1, 2, 3], ...] = ()
    seeds: Annotated[tuple[Annotated[int, Ge(0)], ...], MinLen(1)] = (0,)
    protocol: str = "none"
    weights: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    training: Training = field(default_factory=Training)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types, keys in field order."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    def fingerprint(self) -> str:
        """Hash of what a training depends on: method, settings, training; 16 hex digits."""
        training = dataclasses.asdict(self.training)
        relevant = {"method": self.method, "settings": self.settings, "training": training}
        for name in ("log_every", "save_minutes"):
            training.pop(name)
        # 1 and 1.0 are one value: a default may be an integer where the file's number is a float
        plain = json.loads(json.dumps(relevant), parse_int=float)
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the values of `over`, dictionaries merged key by key."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def load_experiment(
    path: Path,
    protocol: Mapping[str, Any] | None = None,
    changes: Sequence[str] = (),
    cache: Path | None = None,
) -> Experiment:
    """Resolve and check one experiment file.

    The file it extends comes first, then the protocol's `overrides` for the method and for the
    experiment, then the file's own keys, then `changes`: an ablation's change survives a protocol
    that shrinks every run. An extending file is an ablation in Table 3 unless it says otherwise.

    Args:
        path: the YAML file, or the resolved `experiment.yaml` of a run.
        protocol: a configuration with the keys `protocol`, `seeds` and `overrides`.
        changes: `key.subkey=value` with values in YAML.
        cache: folder in which checked settings are remembered; None: check them anew.

    Raises:
        DenfError: naming file, key, value and what is allowed.
    """
    protocol = protocol or {}
    own = _read(path)
    values: dict[str, Any] = {"name": path.stem, "label": path.stem}
    if "extends" in own:
        parent = path.with_name(f"{own.pop('extends')}.yaml")
        if not parent.exists():
            raise DenfError(
                f"{path}: extends",
                expected="the name of a file beside it",
                got=repr(parent.stem),
                fix=f"There are: {', '.join(sorted(p.stem for p in path.parent.glob('*.yaml')))}.",
            )
        inherited = _read(parent)
        if "extends" in inherited:
            raise DenfError(
                f"{path}: extends",
                expected="a file that extends nothing",
                got=f"{parent.name}, which extends {inherited['extends']}",
                fix="Extend that one and repeat the changed keys.",
            )
        ablation = {"label": path.stem, "group": "ablation", "tables": [3]}
        values = merge(merge(values, inherited), ablation)
        overrides = _overrides(protocol, {**values, **own})
        values = merge(merge(values, overrides), own)
    else:
        values = merge(values, own)
        overrides = _overrides(protocol, values)
        values = merge(values, overrides)
    if protocol:
        values["protocol"] = protocol["protocol"]
        values.setdefault("seeds", protocol.get("seeds", [0]))
    for change in changes:
        values = merge(values, _parse_change(change))
    where = f"{path} with the overrides of protocol {values['protocol']}" if overrides else path
    return _check(str(where), values, cache)


def load_experiments(
    folder: Path, protocol: Mapping[str, Any], cache: Path | None = None
) -> list[Experiment]:
    """Resolve all experiment files of a folder, in alphabetical order.

    Raises:
        DenfError: as `load_experiment`, and when there is no file.
    """
    paths = sorted(folder.glob("*.yaml"))
    if not paths:
        raise DenfError(
            f"folder of experiment files {folder}",
            expected="*.yaml files",
            got="none",
            fix="Check the path.",
        )
    return [load_experiment(path, protocol, cache=cache) for path in paths]


def _read(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise DenfError(
            f"experiment file {path}", expected="a readable YAML file", got=error, fix="Mend it."
        ) from error
    if not isinstance(values, dict):
        raise DenfError(
            f"experiment file {path}",
            expected="a mapping with the key `method` or `extends`",
            got=type(values).__name__,
            fix="See config/README.md.",
        )
    return values


def _overrides(protocol: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The protocol's changes to an experiment: those of its method, then those of its name."""
    overrides = protocol.get("overrides") or {}
    method, name = str(values.get("method")), str(values["name"])
    merged: dict[str, Any] = {}
    for key in [method] if name in method_names() else [method, name]:  # a shared name is a method
        changes = overrides.get(key) or {}
        if not isinstance(changes, Mapping):
            raise DenfError(
                f"protocol {protocol.get('protocol')}: overrides.{key}",
                expected="a mapping of an experiment's keys",
                got=repr(changes),
                fix="See config/README.md.",
            )
        merged = merge(merged, changes)
    return merged


def _parse_change(change: str) -> dict[str, Any]:
    key, separator, text = change.partition("=")
    if not separator:
        raise DenfError(
            "--set", expected="key.subkey=value", got=repr(change), fix="Add the value."
        )
    try:
        value: Any = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise DenfError(
            f"--set {key}", expected="a value in YAML", got=repr(text), fix="Quote or correct it."
        ) from error
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


def _check(where: str, values: Mapping[str, Any], cache: Path | None) -> Experiment:
    experiment: Experiment = validate(Experiment, values, where=where)
    if experiment.method not in method_names():
        raise DenfError(
            f"{where}: method",
            expected=f"one of {', '.join(method_names())}",
            got=repr(experiment.method),
            fix=f"Correct it, or write baselines/{experiment.method.replace('-', '_')}.py.",
        )
    if not experiment.settings:
        return experiment  # the method's defaults: nothing to check, no need to import it
    settings = _checked_settings(experiment, where, cache)
    return dataclasses.replace(experiment, settings=settings)


def _checked_settings(experiment: Experiment, where: str, cache: Path | None) -> dict[str, Any]:
    """Settings with the method's defaults filled in.

    Checking needs the method's module, and with it torch; the answer is kept by the hash of the
    module's sources and the settings, so that only a change pays for the import.
    """
    key = f"{code_hash(Purpose.TRAIN, experiment.method)} {experiment.settings!r}"
    digest = hashlib.sha256(key.encode()).hexdigest()[:24]
    known = None if cache is None else cache / f"{digest}.json"
    if known is not None and known.exists():
        return json.loads(known.read_text())
    kind = settings_type(experiment.method)
    checked = validate(kind, experiment.settings, where=f"{where}: settings")
    plain = json.loads(json.dumps(dataclasses.asdict(checked)))
    if known is not None:
        known.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(known, json.dumps(plain))
    return plain


def settings_type(method: str) -> type:
    """The settings dataclass of a method; DeNF's is found without importing torch."""
    if method == "denf":
        from denf.model.settings import DenfSettings

        return DenfSettings
    return method_type(method).Settings
