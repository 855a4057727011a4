"""Experiment files: one YAML file per table row, resolved and checked before anything runs.

A value of a run comes from the last of these that sets it; mappings are merged key by key, lists
are replaced:

1. the default of the method's settings;
2. the file named by `extends`, or, without `extends`, the file itself;
3. the preset that the protocol names, for the method, then for the experiment's name;
4. the protocol's `overrides` for the method, then for the experiment's name;
5. the file's own keys, when it extends another;
6. `--set key.subkey=value`.

A protocol that shrinks every run therefore does not undo what an ablation changes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, MinLen

from denf.errors import DenfError, within
from denf.harness.changes import parse_change
from denf.harness.layers import Layer, merge, merge_layers, source_of
from denf.harness.overrides import override_layers
from denf.harness.problems import all_keys
from denf.harness.registry import aids_type, method_names, settings_type
from denf.harness.validation import check_name, validate
from denf.run_folder import Group
from denf.settings import Count, NonNegative, Seed, Settings, Steps, as_plain
from denf.yaml_reader import read_mapping

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_MOST_THREADS = 1024  # more than a machine has cores; starting many more takes minutes
_SUFFIXES = (".yaml", ".yml")
WITH_AIDS = " (with aids)"
_WITHOUT_EFFECT = ("log_every", "save_minutes", "validations")  # on the weights


class Training(Settings):
    """Length of a training and size of its batches."""

    epochs: NonNegative = 20
    """Passes over the training set (A.4); used when `steps` is not given."""
    steps: Steps | None = None
    """Number of updates; 0 for methods that do not train."""
    batch_size: Count = 12
    """Images per step (A.4)."""
    threads: Annotated[int, Ge(1), Le(_MOST_THREADS)] = 1
    """CPU threads, at most 1024. Another number of threads changes the order of sums, and with it
    the last digits of the weights, and after some hundred steps all digits."""
    log_every: Count = 25
    """Steps between rows of history.csv, and between checks for a finite loss."""
    save_minutes: NonNegative = 5
    """Minutes between saved states."""
    validations: Count = 5
    """How many times, evenly spread over the rows of history.csv, foreground ARI is scored where
    validation scenes are given. Scoring does not change the weights."""

    def total_steps(self, images: int) -> int:
        """Number of updates for a training set of `images` images."""
        return round(self.epochs * images / self.batch_size) if self.steps is None else self.steps


class Experiment(Settings):
    """A resolved experiment: everything that a run depends on except the data and the seed."""

    name: str
    """Identity of the row: the file's name without suffix."""
    method: str
    """`denf`, or the name of a file or package in baselines/, with hyphens."""
    dataset: str
    """Key of the protocol's `datasets`."""
    label: str
    """First column of the tables; a note is added to rows with aids."""
    framework: str = ""
    """Second column of the tables."""
    group: Group = Group.METHOD
    """Block of the table: `method`, `ablation` or `control`."""
    tables: tuple[Literal[1, 2, 3], ...] = ()
    """Numbers of the tables that contain the row; a row of Table 2 also gets an FID."""
    seeds: Annotated[tuple[Seed, ...], MinLen(1)] = (0,)
    """Every seed to run; default: the protocol's."""
    protocol: str = "none"
    """Name of the protocol that the settings were resolved under."""
    weights: str | None = None
    """An experiment of the same method whose run with the same seed gives the initial weights; with
    `training: {steps: 0}` the same weights are evaluated with other settings, without training."""
    settings: Mapping[str, Any] = {}
    """Settings of the method, complete with defaults; empty where all are defaults."""
    aids: Mapping[str, Any] = {}
    """Settings of the method's aids, complete with defaults; empty for the published method."""
    training: Training = Training()
    """Length of the training and size of its batches."""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types, keys in field order; without aids there is no key `aids`."""
        values = as_plain(self)
        if not self.aids:
            del values["aids"]
        return values

    def fingerprint(self) -> str:
        """Hash of what a training depends on: method, settings, aids, training; 16 hex digits."""
        return _digest(self._relevant(("method", "settings"), _WITHOUT_EFFECT))

    def inputs_hash(self) -> str:
        """Hash of all that the files of a run depend on except data and seed; 16 hex digits.

        Labels and tables are left out, so that editing them retrains nothing.
        """
        return _digest(self._relevant(("name", "method", "dataset", "weights", "settings"), ()))

    def _relevant(self, keys: Sequence[str], without: Sequence[str]) -> dict[str, Any]:
        values = self.as_dict()
        relevant = {key: values[key] for key in keys}
        training = values["training"].items()
        relevant["training"] = {key: value for key, value in training if key not in without}
        return relevant | ({"aids": values["aids"]} if self.aids else {})


def load_experiment(
    path: Path,
    protocol: Mapping[str, Any] | None = None,
    changes: Sequence[str] = (),
) -> Experiment:
    """Resolve and check one experiment file, in the order given in the module's docstring.

    A file that extends another is an ablation in Table 3 unless it sets `group` or `tables`.

    Args:
        path: the YAML file, or the resolved `experiment.yaml` of a run.
        protocol: a configuration with the keys `protocol`, `seeds`, `preset` and `overrides`.
        changes: `key.subkey=value` with values in YAML.

    Raises:
        DenfError: naming file, key, value and what is allowed.
    """
    protocol = protocol or {}
    own, name = _read(path), {"name": path.stem, "label": path.stem}
    if "extends" in own:
        ablation = {"label": path.stem, "group": "ablation", "tables": [3]}
        parent = _extended(path, own.pop("extends"))
        base = merge({**name, **parent.values}, ablation)
        overrides = override_layers(protocol, {**base, **own})
        layers = [Layer(parent.source, base), *overrides, Layer(str(path), own)]
    else:
        own = {**name, **own}
        layers = [Layer(str(path), own), *override_layers(protocol, own)]
    if protocol:
        known = merge_layers(layers)
        given = {"protocol": protocol["protocol"]}
        given |= {} if "seeds" in known else {"seeds": protocol.get("seeds", [0])}
        layers.append(Layer(f"protocol {protocol['protocol']}", given))
    return _check([*layers, *map(parse_change, changes)], path)


def load_experiments(folder: Path, protocol: Mapping[str, Any]) -> list[Experiment]:
    """Resolve all experiment files of a folder, in alphabetical order.

    Raises:
        DenfError: as `load_experiment`, when there is no file, for a name with another suffix or
            with characters other than letters, digits, hyphens and underscores, and for a file
            whose key `name` is not the file's.
    """
    paths = sorted(p for p in folder.glob("*") if p.suffix.lower() in _SUFFIXES)
    paths = [path for path in paths if not path.name.startswith(".")]
    for path in paths:
        if path.suffix != ".yaml" or not NAME.fullmatch(path.stem):
            raise DenfError(
                f"experiment file {path}",
                expected="a name of letters, digits, hyphens and underscores that starts with a "
                "letter or digit, since folders and commands contain it, and the suffix .yaml",
                got=repr(path.name),
                fix="Rename the file.",
            )
    if not paths:
        raise DenfError(
            f"folder of experiment files {folder}",
            expected="*.yaml files",
            got="none",
            fix="Check the path.",
        )
    experiments = [load_experiment(path, protocol) for path in paths]
    for path, experiment in zip(paths, experiments, strict=True):
        if experiment.name != path.stem:  # two experiments of one name would share a folder
            raise DenfError(
                f"experiment file {path}, name",
                expected=f"{path.stem}, as the file",
                got=repr(experiment.name),
                fix="Leave the key out, or rename the file.",
            )
    return experiments


def _extended(path: Path, name: Any) -> Layer:
    """The file that a file extends."""
    named = isinstance(name, str) and NAME.fullmatch(name)
    parent = path.with_name(f"{name}.yaml") if named else None
    if parent is None or not parent.exists():
        raise DenfError(
            f"{path}: extends",
            expected="the name of a file beside it",
            got=repr(name),
            fix=f"There are: {', '.join(sorted(p.stem for p in path.parent.glob('*.yaml')))}.",
        )
    values = _read(parent)
    if "extends" in values:
        raise DenfError(
            f"{path}: extends",
            expected="a file that extends nothing",
            got=f"{parent.name}, which extends {values['extends']}",
            fix="Extend that one and repeat the changed keys.",
        )
    return Layer(str(parent), values)


def check_unused_overrides(protocol: Mapping[str, Any], experiments: Sequence[Experiment]) -> None:
    """Check the overrides of methods that no experiment has; `load_experiment` checks the others.

    Raises:
        DenfError: as `load_experiment`.
    """
    used = {name for e in experiments for name in (e.name, e.method)}
    for key in protocol.get("overrides") or {}:
        if key not in used:
            values = {"name": key, "method": key, "label": key, "dataset": ""}
            _check([Layer("", values), *override_layers({**protocol, "preset": None}, values)], key)


def _read(path: Path) -> dict[str, Any]:
    values = read_mapping(
        path,
        what="experiment file",
        fix="It needs the key `method` or `extends`; see config/README.md.",
    )
    if "datasets" in values:
        raise DenfError(
            f"experiment file {path}",
            expected="an experiment, which has the key `method` or `extends`",
            got="a protocol",
            fix=f"Give an experiment, such as config/experiments/denf.yaml, and --protocol {path}.",
        )
    return values


def _check(layers: Sequence[Layer], path: Path | str) -> Experiment:
    """The experiment of some layers; an error names the layer that set the value."""
    values = merge_layers(layers)

    def where(keys: Sequence[str]) -> str:
        return source_of(layers, keys, otherwise=str(path))

    def where_in(section: str) -> Callable[[Sequence[str]], str]:
        return lambda keys: f"{where((section, *keys))}: {section}"

    found = validate(Experiment, values, where=where, known=_keys_of(values.get("method")))
    check_name(found.method, method_names(), where=f"{where(('method',))}: method")
    complete: dict[str, Any] = {}
    # Without settings the method has its defaults, and its module need not be imported.
    if found.settings:
        kind = settings_type(found.method)
        complete["settings"] = as_plain(validate(kind, found.settings, where=where_in("settings")))
    if found.aids:
        with within(where(("aids",))):
            kind_of_aids = aids_type(found.method)
        aids = validate(kind_of_aids, found.aids, where=where_in("aids"))
        complete["aids"] = as_plain(aids) if aids != type(aids)() else {}
        if complete["aids"] and not found.label.endswith(WITH_AIDS):
            complete["label"] = found.label + WITH_AIDS
    return found.changed(**complete)


def _keys_of(method: Any) -> Iterator[str]:
    """The keys of a method's settings as those of an experiment."""
    if method in method_names():
        yield from all_keys(settings_type(method), "settings.")


def _digest(values: Mapping[str, Any]) -> str:
    # 1 and 1.0 are one value: a default may be an integer where the file's number is a float
    plain = json.loads(json.dumps(values), parse_int=float)
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]
