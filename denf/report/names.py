"""Names of data sets for people."""

from __future__ import annotations

_WRITTEN = {  # by id, as in config; the published sets as the paper writes them
    "clevr6": "CLEVR6",
    "real-traffic": "Real-Traffic",
    "embedded-clevr6": "CLEVR scenes (embedded)",
    "embedded-traffic": "Street scenes (embedded)",
    "reference-clevr6": "CLEVR scenes (reference)",
    "reference-traffic": "Street scenes (reference)",
}


def dataset_name(dataset: str) -> str:
    """A name for a data set's folder in the runs, which is its id; other ids stay as they are."""
    return _WRITTEN.get(dataset, dataset)
