"""Protocols: which data, seeds, experiments and sizes, in one YAML file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TextIO

from annotated_types import Ge, Gt, MinLen
from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from denf.data.sources import Dataset
from denf.data.sources.source import FolderName, PathText, Source
from denf.errors import DenfError
from denf.harness.layers import Layer, merge_layers
from denf.harness.presets import preset_names, presets_of
from denf.harness.registry import method_names
from denf.harness.validation import check_name, validate
from denf.metrics.extractor import Extractor
from denf.settings import Seed, Settings
from denf.yaml_reader import parse_mapping, read_mapping

EXPERIMENTS = "config/experiments"
TAKEN = ("data", "downloads", "figures", "logs", "reference", "runs", "tables")
_STANDARD_INPUT = "protocol on standard input"
_SEE = "See config/README.md."


def _distinct(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(seeds)) < len(seeds):
        raise ValueError("each seed once")
    return seeds


def _free(name: str) -> str:
    if name in TAKEN:
        raise ValueError(f"none of {', '.join(TAKEN)}, which are other folders of results/")
    return name


class Fid(Settings):
    """How Fréchet distances are measured."""

    samples: Annotated[int, Ge(2)]
    """Number of generated images per run, and the largest number of test images, evenly spread,
    that they are compared with (A.5: 10,000)."""
    extractor: Extractor
    """Feature space: Inception with TensorFlow's weights, comparable with the literature, or a
    fixed random network without a download, comparable with itself alone."""
    weights: PathText | None = None
    """File of the Inception weights; default: the torch hub cache, or else a download. Other
    extractors have none."""

    @field_validator("weights")
    @classmethod
    def _are_read(cls, weights: str | None, others: ValidationInfo) -> str | None:
        extractor = others.data.get("extractor")  # absent where it has an error of its own
        if weights is not None and extractor and not extractor.reads_weights:
            raise ValueError(f"none, since {extractor} reads no file")
        return weights


class Runtime(Settings):
    """Time that trainings request from a cluster: start + steps · step, times the attempt."""

    start: Annotated[float, Gt(0)] = 15.0
    """Minutes in addition to the steps, for loading and saving."""
    step: Annotated[float, Gt(0)] = 1.0
    """Seconds per training step, an upper estimate."""
    most: Annotated[int, Ge(1)] = 1200
    """Largest request in minutes: with an evaluation, less than a partition of 24 hours allows. It
    is requested in full where only the prepared data determine the number of steps per epoch."""


class Protocol(Settings):
    """A protocol, such as config/config.yaml or config/paper.yaml."""

    protocol: Annotated[FolderName, AfterValidator(_free)]
    """Name, also of the folder of its results; only runs of `paper` are compared with reported
    values."""
    seeds: Annotated[tuple[Seed, ...], MinLen(1), AfterValidator(_distinct)]
    """Seeds to train and list, for experiments that name none of their own."""
    experiments: PathText = EXPERIMENTS
    """Folder of experiment files, one per table row."""
    only: tuple[str, ...] = ()
    """Names of the experiments to run; empty for all."""
    skip: tuple[str, ...] = ()
    """Names of experiments to leave out, unless `only` names them."""
    preset: str | tuple[str, ...] | None = None
    """Name of the preset that applies to every method, or several names, of which later ones take
    precedence; methods without the preset are not changed."""
    overrides: dict[str, dict[str, Any]] = {}
    """Changes on top of the preset: to every experiment of a method, by the method's name, or to
    one experiment, by its own."""
    cards: Literal["auto"] | bool = "auto"
    """Whether jobs that train or sample ask for a GPU. `auto`: where this machine has one, or, on a
    cluster, where the profile's `resources` allow any."""
    runtime: Runtime = Runtime()
    """Time that trainings request from a cluster."""
    fid: Fid
    """How Fréchet distances are measured."""
    datasets: Annotated[dict[str, Dataset], Field(min_length=1)]
    """Data sets by the key that experiments use."""


def chosen(protocol: Protocol, names: Iterable[str]) -> list[str]:
    """The names of the experiments that a protocol runs, in their given order."""
    if protocol.only:
        return [name for name in names if name in protocol.only]
    return [name for name in names if name not in protocol.skip]


def read_protocol(path: Path) -> dict[str, Any]:
    """The values of a protocol's file, checked.

    Raises:
        DenfError: as `read_values` and `check_protocol`.
    """
    values = read_values(path)
    check_protocol(values, where=str(path))
    return values


def parse_protocol(text: str) -> dict[str, Any]:
    """The values of a protocol from standard input, in YAML or JSON, checked.

    Raises:
        DenfError: as `parse_values` and `check_protocol`.
    """
    values = parse_values(text, where=_STANDARD_INPUT)
    check_protocol(values, where=_STANDARD_INPUT)
    return values


def effective_protocol(
    path: Path | None, configfiles: Sequence[Path], text: TextIO
) -> tuple[dict[str, Any], str]:
    """A protocol that may differ from its files, as with `--config` of Snakemake.

    Args:
        path: its file, or `-` for a text; None: no protocol.
        configfiles: files that it is made from, of which later ones take precedence.
        text: the text.

    Returns:
        its values, unchecked and empty without a protocol, and their source for errors.

    Raises:
        DenfError: when a file or the text repeats a key or is not a protocol.
    """
    layers = [Layer(str(file), read_values(file)) for file in configfiles]
    if path is None:
        return {}, ""
    if str(path) != "-":
        return read_values(path), str(path)
    sources = [layer.source for layer in layers]
    values = parse_values(text.read(), where=_STANDARD_INPUT)
    if values != merge_layers(layers):
        sources.append("--config" if layers else _STANDARD_INPUT)
    return values, " and ".join(sources)


def read_values(path: Path) -> dict[str, Any]:
    """The values of a protocol's file, as they are.

    Raises:
        DenfError: when the file cannot be read, repeats a key or is not a protocol.
    """
    values = read_mapping(path, what="protocol", fix=_SEE)
    return _with_its_name(values, f"protocol {path}")


def parse_values(text: str, *, where: str) -> dict[str, Any]:
    """The values of a protocol as a text, as they are.

    Raises:
        DenfError: when the text repeats a key or is not a protocol.
    """
    return _with_its_name(parse_mapping(text, what=where, fix=_SEE), where)


def _with_its_name(values: dict[str, Any], what: str) -> dict[str, Any]:
    if "protocol" not in values:
        raise DenfError(
            what,
            expected="a mapping with the key `protocol`",
            got=f"one with the keys {', '.join(map(str, values)) or 'none'}",
            fix=_SEE,
        )
    return values


def check_protocol(values: Mapping[str, Any], *, where: str) -> Protocol:
    """Check a protocol by itself; `check_references` checks the names in it.

    Raises:
        DenfError: for unknown keys, values out of range, an unknown preset, or one id for two data
            sets.
    """
    found = validate(Protocol, values, where=where)
    for preset in presets_of(values):
        check_name(preset, preset_names(), where=f"{where}: preset")
    by_id: dict[str, str] = {}
    for key, dataset in found.datasets.items():
        first = by_id.setdefault(dataset.id, key)
        if dataset != found.datasets[first]:
            raise DenfError(
                f"{where}: datasets.{key}.id",
                expected=f"another id than that of datasets.{first}, which is another data set",
                got=repr(dataset.id),
                fix="Folders of data and runs are named by the id: give each data set its own.",
            )
        if not {"train", "test"} <= set(dataset.splits):
            raise DenfError(
                f"{where}: datasets.{key}",
                expected="a data set with a training and a test split",
                got=f"the splits {', '.join(dataset.splits) or 'none'}",
                fix="Choose other records or another variant.",
            )
    return found


def find_dataset(name: str, protocol: Mapping[str, Any], *, where: str) -> Source:
    """The specification of a data set.

    Args:
        name: its YAML file, or, with a protocol, its key there.
        protocol: values of a protocol; empty for a file.
        where: source of the protocol, for errors.

    Raises:
        DenfError: for a file that cannot be read, unknown keys or values out of range, or a key
            that the protocol does not have.
    """
    if not protocol:
        values = read_mapping(Path(name), what="specification", fix=_SEE)
        kind: Any = Dataset
        found: Source = validate(kind, values, where=f"specification {name}")
        return found
    checked = check_protocol(protocol, where=where)
    check_name(name, checked.datasets, where=f"{where}: datasets")
    return checked.datasets[name]


def check_references(protocol: Protocol, datasets: Mapping[str, str], *, where: str) -> None:
    """Check the names of experiments, methods and data sets in a protocol.

    Args:
        protocol: the protocol.
        datasets: by the name of every experiment, the data set that it uses.
        where: the protocol's file, for errors.

    Raises:
        DenfError: with the existing names, and the nearest ones.
    """
    for key, named in (("only", protocol.only), ("skip", protocol.skip)):
        for name in named:
            check_name(name, datasets, where=f"{where}: {key}")
    for name in protocol.overrides:
        check_name(name, {*method_names(), *datasets}, where=f"{where}: overrides")
    for name in chosen(protocol, datasets):
        check_name(
            datasets[name],
            protocol.datasets,
            where=f"{where}: datasets, of which experiment {name} asks for one",
        )
