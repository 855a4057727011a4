"""Reference runs: those in the repository, shown beside the rows of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from denf.report.budget import starts_from
from denf.report.loading import load_row, load_rows
from denf.report.numbers import duration
from denf.report.records import Metric, Row, Run
from denf.report.statistics import Summary, summarise

RUNS = "runs"  # of the reference protocol; released weights are run folders beside this one


@dataclass(frozen=True)
class Reference:
    """The reference runs of one experiment on one data set.

    Args:
        name: unique among all.
        row: the experiment, with its runs.
    """

    name: str
    row: Row

    def summary(self, metric: Metric, factor: float) -> Summary | None:
        """Summary over the seeds with a value, times `factor`; None without a value."""
        readings = self.row.read(metric)
        values = [reading.value * factor for reading in readings if reading.value is not None]
        return summarise(values) if values else None

    @property
    def budget(self) -> str:
        """Mean time of a training, its device, the experiment that it comes on top of, and the
        number of samples of a Fréchet distance, which is larger with fewer."""
        recorded = [(run.record or {}).get("seconds") for run in self.row.runs]
        seconds = [value for value in recorded if value is not None]
        budget = ", ".join(dict.fromkeys(map(_device, self.row.runs)))
        if seconds:
            first = starts_from(self.row)
            after = f" after {first}" if first else ""
            budget = f"{duration(sum(seconds) / len(seconds))} of {budget}{after}"
        samples = sorted({run.fid["samples"] for run in self.row.runs if run.fid})
        return budget + "".join(f", {count:,} samples" for count in samples)

    @property
    def data(self) -> str:
        """The data that its scores were measured on."""
        run = self.row.runs[0]
        data = ((run.metrics or {}).get("data") or (run.fid or {}).get("data")) or {}
        size = data.get("size", "?")
        return (
            f"{data.get('count', '?')} scenes of {data.get('name', 'unnamed data')}, "
            f"{size} × {size} pixels"
        )


def _device(run: Run) -> str:
    record = run.record or {}
    if record.get("cuda"):
        return run.device
    threads = record.get("threads") or 1
    return f"{threads} CPU core{'s' if threads > 1 else ''}"


def load_references(folder: Path | str) -> list[Reference]:
    """Runs of the reference protocol, then released weights; none when the folder is missing.

    Args:
        folder: holds `runs/<dataset>/<experiment>/seed-<k>/`, and folders of single runs.
    """
    folder = Path(folder)
    rows = load_rows(folder / RUNS)
    found = [Reference(f"{row.name} on {row.dataset}", row) for row in rows if row.runs]
    for file in sorted(folder.glob("*/experiment.yaml")):
        found.append(Reference(file.parent.name, load_row(file.parent)))
    return found


def reference_of(name: str, metric: Metric, references: Sequence[Reference]) -> Reference | None:
    """The first reference of an experiment that has a value of the metric."""
    for reference in references:
        if reference.row.name == name and reference.summary(metric, 1) is not None:
            return reference
    return None
