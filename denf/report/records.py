"""Records of runs from their files: one `Run` per seed, one `Row` per experiment.

Run folders are `<dataset>/<experiment>/seed-<k>/`; any file in them may be missing.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from denf.errors import DenfError
from denf.run_folder import Group


class Metric(StrEnum):
    """A score of a run, named as in its file; `PLACES` has those with another place in the file."""

    ARI_FG = "ari_fg"
    ARI_FG_STRICT = "ari_fg_strict"
    ARI = "ari"
    ARI_FG_TOUCHING = "ari_fg_touching"
    ARI_FG_APART = "ari_fg_apart"
    BOX_IOU = "box_iou"
    COUNT_RIGHT = "count_right"
    COUNT_TOO_FEW = "count_too_few"
    COUNT_TOO_MANY = "count_too_many"
    COUNT_ERROR = "count_error"
    COVERAGE = "coverage"
    COVERAGE_WORST_TENTH = "coverage_worst_tenth"
    BACKGROUND_PSNR = "background_psnr"
    BACKGROUND_PSNR_POOLED = "background_psnr_pooled"
    BACKGROUND_PSNR_OBJECTS = "background_psnr_objects"
    BACKGROUND_PSNR_OBJECTS_POOLED = "background_psnr_objects_pooled"
    FID = "fid"
    KID = "kid"
    PRECISION = "precision"
    RECALL = "recall"

    @property
    def of_samples(self) -> bool:
        """Whether the metric scores generated images and not a segmentation."""
        return self in (Metric.FID, Metric.KID, Metric.PRECISION, Metric.RECALL)

    @property
    def file(self) -> str:
        """Name of the file in the run folder that holds the number."""
        return "fid.json" if self.of_samples else "metrics.json"

    @property
    def place(self) -> tuple[str, ...]:
        """Keys that lead to the number in the file."""
        return PLACES.get(self, (str(self),))

    @property
    def has_own_unit(self) -> bool:
        """Whether the number has a unit of its own and not that of its table: decibels, objects."""
        return self is Metric.COUNT_ERROR or self.startswith(Metric.BACKGROUND_PSNR)

    @property
    def range(self) -> tuple[float, float]:
        """Least and largest value as stored."""
        if self.startswith("ari"):
            return -1.0, 1.0
        if self in (Metric.FID, Metric.KID):  # unbiased or rounded: a little below 0
            return -1.0, math.inf
        return 0.0, math.inf if self.has_own_unit else 1.0

    @property
    def capability(self) -> str:
        """The capability that a method needs for this metric."""
        return "sampling" if self.of_samples else "segmentation"


PLACES: Mapping[Metric, tuple[str, ...]] = {
    Metric.ARI_FG_TOUCHING: ("by_touching", "touching", "ari_fg"),
    Metric.ARI_FG_APART: ("by_touching", "apart", "ari_fg"),
    Metric.COUNT_RIGHT: ("count", "right"),
    Metric.COUNT_TOO_FEW: ("count", "too_few"),
    Metric.COUNT_TOO_MANY: ("count", "too_many"),
}


class Status(StrEnum):
    """Status of one seed for one metric."""

    VALUE = "value"
    NO_RUN = "no run"
    DIVERGED = "diverged"
    NOT_EVALUATED = "not evaluated"
    LACKING = "lacking"
    NOT_FINITE = "not finite"


@dataclass(frozen=True)
class Reading:
    """One metric of one seed.

    Args:
        seed: the seed.
        status: `Status.VALUE` exactly when there is a value.
        value: the number as in the file (ARI in [-1, 1]; FID), None without one.
        file: the file it was read from, None without a value.
    """

    seed: int
    status: Status
    value: float | None = None
    file: Path | None = None


@dataclass(frozen=True)
class Run:
    """One run folder.

    Args:
        folder: its path.
        seed: from the folder's name.
        experiment: contents of `experiment.yaml`, resolved; empty when missing.
        metrics, fid, record: contents of `metrics.json`, `fid.json`, `run.json`; None when missing.
    """

    folder: Path
    seed: int
    experiment: Mapping[str, Any]
    metrics: Mapping[str, Any] | None
    fid: Mapping[str, Any] | None
    record: Mapping[str, Any] | None

    @property
    def diverged(self) -> bool:
        """Whether training stopped at a loss that was not finite."""
        return self.record is not None and self.record.get("status") == "diverged"

    @property
    def code(self) -> str:
        """Commit that made the run, marked when files differed from it."""
        record = self.record or {}
        commit = str(record.get("commit") or "unknown")
        return commit + " with local changes" if record.get("dirty") else commit

    @property
    def command(self) -> str:
        """The command that made the run."""
        command = (self.record or {}).get("command") or "unknown"
        return shlex.join(map(str, command)) if isinstance(command, list) else str(command)

    @property
    def device(self) -> str:
        """The device that made the run."""
        return str((self.record or {}).get("device") or "unknown")

    @property
    def notes(self) -> tuple[str, ...]:
        """The method's notes on its training, such as a discriminator that has won."""
        return tuple(map(str, (self.record or {}).get("notes") or ()))

    @property
    def floor(self) -> float | None:
        """FID of real training images, as of perfect samples; None where not measured."""
        floor = (self.fid or {}).get("floor")
        return float(floor["fid"]) if floor else None

    def document(self, metric: Metric) -> Mapping[str, Any] | None:
        """Contents of the file that holds `metric`, None when missing."""
        return self.fid if metric.of_samples else self.metrics

    def read(self, metric: Metric) -> Reading:
        """The value of one metric, or the reason why there is none.

        Raises:
            DenfError: when the value in the file is not a number, or is out of the metric's range.
        """
        document = self.document(metric)
        if self.diverged:
            return Reading(self.seed, Status.DIVERGED)
        if document is None:
            return Reading(self.seed, Status.NOT_EVALUATED)
        entry: Any = document
        for key in metric.place:
            entry = entry.get(key) if isinstance(entry, Mapping) else None
        if isinstance(entry, Mapping):
            entry = entry.get("mean")
        if entry is None:
            return Reading(self.seed, Status.LACKING)
        file = self.folder / metric.file
        if isinstance(entry, bool) or not isinstance(entry, int | float):
            raise DenfError(
                f"{file}, {metric}",
                expected="a number, or null where the method lacks it",
                got=repr(entry),
                fix="Evaluate the run again.",
            )
        if not math.isfinite(entry):
            return Reading(self.seed, Status.NOT_FINITE)
        low, high = metric.range
        if not low <= entry <= high:
            raise DenfError(
                f"{file}, {metric}",
                expected=f"a number within {low:g} and {high:g}",
                got=repr(entry),
                fix="Evaluate the run again.",
            )
        return Reading(self.seed, Status.VALUE, float(entry), file)


@dataclass(frozen=True)
class Row:
    """One experiment on one data set, with every seed that was requested or run.

    Args:
        dataset: folder name of the data set in the runs; "" for an experiment without runs.
        name: of the experiment.
        label, framework, protocol: as in `experiment.yaml`.
        group: the block of the tables that it belongs to.
        tables: numbers of the tables that it belongs to.
        seeds: all seeds, ascending.
        runs: the existing run folders, by seed.
    """

    dataset: str
    name: str
    label: str
    framework: str
    group: Group
    protocol: str
    tables: tuple[int, ...]
    seeds: tuple[int, ...]
    runs: tuple[Run, ...] = field(repr=False)

    def read(self, metric: Metric) -> list[Reading]:
        """The readings of every seed, including missing ones."""
        runs = {run.seed: run for run in self.runs}
        return [
            runs[seed].read(metric) if seed in runs else Reading(seed, Status.NO_RUN)
            for seed in self.seeds
        ]
