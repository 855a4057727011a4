"""Names of data sets for people, in place of the names of their folders."""

from __future__ import annotations

from collections.abc import Sequence

from denf.report.records import Row

_WRITTEN = {"clevr6": "CLEVR6", "traffic": "Traffic"}  # as the paper writes them


def dataset_names(rows: Sequence[Row]) -> dict[str, str]:
    """A name for the folder of every data set, with the folder's name where a name is shared."""
    names = {row.dataset: row.dataset for row in rows}
    for row in rows:
        known = next((run.experiment["dataset"] for run in row.runs if run.experiment), None)
        if known:
            names[row.dataset] = _WRITTEN.get(str(known), str(known))
    shared = list(names.values())
    return {
        folder: name if shared.count(name) == 1 else f"{name} ({folder})"
        for folder, name in names.items()
    }
