"""Reference runs of the repository, and which of them a row of a table may be set beside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from denf.report.lines import Line
from denf.report.loading import load_run
from denf.report.records import Run


@dataclass(frozen=True)
class Reference:
    """One run under `results/reference`.

    Args:
        name: of its folder.
        run: what it holds.
    """

    name: str
    run: Run

    @property
    def experiment(self) -> str:
        """Name of the experiment that was trained."""
        return str(self.run.experiment.get("name", ""))

    @property
    def data(self) -> str:
        """What its scores were measured on."""
        data = (self.run.metrics or {}).get("data") or {}
        size = data.get("size", "?")
        return (
            f"{data.get('count', '?')} scenes of {data.get('name', 'unnamed data')}, "
            f"{size} × {size} pixels"
        )


def load_references(folder: Path | str) -> list[Reference]:
    """The runs in a folder, by name; none when the folder is not there."""
    found = sorted(Path(folder).glob("*/experiment.yaml"))
    runs = [load_run(file.parent) for file in found]
    return [Reference(run.folder.name, Run(**{**vars(run), "seed": _seed(run)})) for run in runs]


def _seed(run: Run) -> int:
    return int((run.record or {}).get("seed", 0))


def reference_of(line: Line, references: Sequence[Reference]) -> Reference | None:
    """The reference run of the same experiment that has the table's metric."""
    for reference in references:
        has_value = reference.run.read(line.table.metric).value is not None
        if reference.experiment == line.name and has_value:
            return reference
    return None
