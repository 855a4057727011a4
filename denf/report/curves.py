"""Training curves: every scalar that the runs logged, as small multiples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import ceil

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from denf.report.loading import titles
from denf.report.names import dataset_name
from denf.report.records import Group, Row, Run
from denf.report.style import SEEDS, NothingToDrawError
from denf.run_folder import VALIDATION_ARI, read_history

COLUMNS = 9  # panels beside each other
BINS = 120  # longer histories are drawn as means over this many bins
_LEADING = ("loss", VALIDATION_ARI)
_TRAILING = ("presence_fraction",)
_WITHIN_ONE = (VALIDATION_ARI, *_TRAILING)  # drawn from 0 to 1
_TITLES = {VALIDATION_ARI: "foreground ARI"}
_WIDTH, _HEIGHT, _COLUMN_GAP, _ROW_GAP, _HEADING = 1.1, 0.62, 0.4, 0.4, 0.27  # inches
_MARGIN, _FOOT, _LEGEND = 0.5, 0.22, 0.3


@dataclass(frozen=True)
class History:
    """Logs of one experiment: a frame for each seed, and the scalars in drawing order."""

    row: Row
    frames: dict[int, pd.DataFrame]
    terms: list[str]


class Page(StrEnum):
    """Figure with the curves of an experiment; workflow/rules/common.smk has the same names."""

    TABLE1 = "table1"
    TABLE2 = "table2"
    ABLATIONS = "ablations"
    OTHERS = "others"


def page_of(row: Row) -> Page:
    """The page of ablations, or the page of the first table that another experiment belongs to."""
    if row.group is Group.ABLATION:
        return Page.ABLATIONS
    return {1: Page.TABLE1, 2: Page.TABLE2}.get(min(row.tables, default=0), Page.OTHERS)


def training_curves(rows: Sequence[Row], page: Page | None = None) -> Figure:
    """Small multiples: each experiment's loss terms, foreground ARI and presence fraction, by seed.

    Args:
        rows: all rows.
        page: the page whose experiments are shown; None for all.

    Raises:
        NothingToDrawError: when no run has a history.
    """
    shown = [row for row in rows if page in (None, page_of(row))]
    histories = [history for row in shown if (history := _history(row)).terms]
    if not histories:
        raise NothingToDrawError("no run with a history.csv of one or more steps")
    columns = min(COLUMNS, max(len(history.terms) for history in histories))
    lines = [ceil(len(history.terms) / columns) for history in histories]
    width = _MARGIN + columns * (_WIDTH + _COLUMN_GAP) - _COLUMN_GAP + 0.15
    height = _LEGEND + _FOOT + sum(_HEADING + n * (_HEIGHT + _ROW_GAP) for n in lines)
    figure = Figure(figsize=(width, height))
    top = height - _LEGEND
    labels = titles([history.row for history in histories])
    for history, label, count in zip(histories, labels, lines, strict=True):
        title = f"{label}  ({dataset_name(history.row.dataset)})"
        figure.text(0.1 / width, (top - 0.1) / height, title, weight="bold", va="center")
        top -= _HEADING
        for k, term in enumerate(history.terms):
            line, column = divmod(k, columns)
            left = _MARGIN + column * (_WIDTH + _COLUMN_GAP)
            bottom = top - 0.1 - line * (_HEIGHT + _ROW_GAP) - _HEIGHT
            axes = figure.add_axes(
                (left / width, bottom / height, _WIDTH / width, _HEIGHT / height),
                label=f"{history.row.dataset}/{history.row.name}/{term}",
            )
            _draw_term(axes, history, term)
        top -= count * (_HEIGHT + _ROW_GAP)
    seeds = sorted({seed for history in histories for seed in history.frames})
    handles = [Line2D([], [], color=_seed_colour(seed), label=f"seed {seed}") for seed in seeds]
    if any(run.diverged for history in histories for run in history.row.runs):
        handles.append(
            Line2D([], [], color="black", marker="x", ls="", ms=4, label="diverged here")
        )
    figure.legend(
        handles=handles, loc="upper right", ncols=len(handles), frameon=False, borderaxespad=0.2
    )
    figure.text(0.5, 0.08 / height, "training step", ha="center")
    return figure


def _history(row: Row) -> History:
    frames = {run.seed: frame for run in row.runs if (frame := history_of(run)) is not None}
    names = dict.fromkeys(name for frame in frames.values() for name in frame.columns)
    terms = [name for name in names if name != "step" and _logged(frames, name)]
    rank = dict(zip(_LEADING, (-2, -1), strict=True)) | {name: 1 for name in _TRAILING}
    return History(row, frames, sorted(terms, key=lambda name: rank.get(name, 0)))


def _logged(frames: dict[int, pd.DataFrame], name: str) -> bool:
    return any(name in frame and frame[name].notna().any() for frame in frames.values())


def history_of(run: Run) -> pd.DataFrame | None:
    """The scalars that a training logged, by step; None without a file or without lines in it."""
    frame = pd.DataFrame(read_history(run.folder), dtype=float).replace([np.inf, -np.inf], np.nan)
    return frame.sort_values("step") if len(frame) else None


def _seed_colour(seed: int) -> str:
    return SEEDS[seed % len(SEEDS)]


def _draw_term(axes: Axes, history: History, term: str) -> None:
    shown = []
    for seed, frame in history.frames.items():
        if term not in frame:
            continue
        series = frame[["step", term]].dropna()
        if series.empty:
            continue
        thinned = binned(series, BINS)
        marker = "o" if len(thinned) == 1 else ""  # a line of one point is invisible
        (line,) = axes.plot(thinned["step"], thinned[term], lw=0.9, alpha=0.8, marker=marker, ms=3)
        line.set_color(_seed_colour(seed))
        if any(run.seed == seed and run.diverged for run in history.row.runs):
            axes.plot(thinned["step"].iloc[-1], thinned[term].iloc[-1], "x", ms=4, color="black")
        shown.append(thinned[term].to_numpy())
    _set_range(axes, np.concatenate(shown), term)
    axes.set_title(_TITLES.get(term, term.replace("_", " ")), pad=3, size=7)
    axes.xaxis.set_major_locator(MaxNLocator(2, integer=True))
    axes.tick_params(length=2, pad=1.5)


def _set_range(axes: Axes, values: np.ndarray, term: str) -> None:
    """Fractions from 0 to 1; a logarithmic axis for terms over two decades; outliers are cut."""
    if term in _WITHIN_ONE:
        axes.set_ylim(min(-0.03, values.min()), 1.03)
        return
    low, high = np.percentile(values, [0, 98])  # the first steps would flatten the rest
    if values.min() > 0 and values.max() > 100 * values.min():
        axes.set_yscale("log")
        return
    axes.yaxis.set_major_locator(MaxNLocator(3))
    pad = 0.06 * (high - low) or 0.06 * max(abs(high), 1e-6)
    axes.set_ylim(low - pad, high + pad)


def binned(series: pd.DataFrame, bins: int) -> pd.DataFrame:
    """Means over at most `bins` groups of consecutive lines, of equal size except the last."""
    size = ceil(len(series) / bins)
    return series.groupby(np.arange(len(series)) // size).mean()
