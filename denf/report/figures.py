"""Every figure of the report by name, and writing those whose runs exist."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from denf.errors import DenfError
from denf.report.cost import quality_beside_cost
from denf.report.curves import Page, training_curves
from denf.report.loading import load_rows
from denf.report.pictures import backgrounds, decomposition, singles
from denf.report.records import Row
from denf.report.spread import score_distribution
from denf.report.style import RC, NothingToDrawError, save

CLEVR, TRAFFIC = "denf", "denf-traffic"  # names of the experiments that the paper's figures show

FIGURES: Mapping[str, Callable[[Sequence[Row]], Figure]] = {
    "figure3": lambda rows: decomposition(rows, CLEVR),
    "figure4": lambda rows: decomposition(rows, TRAFFIC),
    "figure5": lambda rows: backgrounds(rows, TRAFFIC),
    "figure6": lambda rows: singles(rows, [CLEVR, TRAFFIC]),
    **{f"training-curves-{page}": partial(training_curves, page=page) for page in Page},
    "ari-distribution": score_distribution,
    "cost": quality_beside_cost,
}
log = logging.getLogger(__name__)


def write_figures(
    runs: Path | str,
    out: Path | str,
    *,
    names: Sequence[str] | None = None,
    experiments: Sequence[Mapping[str, Any]] | None = None,
) -> list[Path]:
    """Write figures as PNG and PDF.

    Args:
        runs: folder with `<dataset>/<experiment>/seed-<k>/`.
        out: folder for the figures; created when missing.
        names: keys of `FIGURES`; None for all.
        experiments: resolved experiments whose runs are shown; see
            `denf.report.loading.load_rows`. None: all runs that exist.

    Returns:
        the files written. A figure without anything to show is left out; if it is named in `names`,
        its file is written and states the reason, since a caller expects the file.

    Raises:
        DenfError: for an unknown name.
    """
    unknown = sorted(set(names or ()) - set(FIGURES))
    if unknown:
        raise DenfError(
            "--name",
            expected=f"some of {', '.join(FIGURES)}",
            got=", ".join(unknown),
            fix="Correct the name.",
        )
    rows = load_rows(runs, experiments)
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for name in names or FIGURES:
        with mpl.rc_context(RC):
            try:
                figure = FIGURES[name](rows)
            except NothingToDrawError as reason:
                log.warning("%s has nothing to show: %s", name, reason)
                if names is None:
                    continue
                figure = _reason_as_figure(str(reason))
            written += save(figure, out, name)
    return written


def _reason_as_figure(reason: str) -> Figure:
    """A figure that states why there is nothing to show."""
    figure = Figure(figsize=(6, 1.5))
    figure.text(0.5, 0.5, reason, ha="center", va="center", wrap=True)
    return figure
