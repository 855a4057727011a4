"""The distribution of the scores per scene of each experiment."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from denf.reading import reading
from denf.report.loading import titles
from denf.report.names import dataset_name
from denf.report.records import Group, Row
from denf.report.style import GROUPS, NothingToDrawError


def score_distribution(rows: Sequence[Row]) -> Figure:
    """Foreground ARI × 100 of every scene, by experiment: points, quartiles and mean.

    Raises:
        NothingToDrawError: when no run has per-scene scores.
    """
    labelled = zip(rows, titles(rows), strict=True)
    parts = [part for row, label in labelled if (part := _scores(row, label)) is not None]
    if not parts:
        raise NothingToDrawError("no run with ari_fg in scores.csv")
    scores = pd.concat(parts, ignore_index=True)
    datasets = list(dict.fromkeys(scores["dataset"]))
    counts = [scores.loc[scores["dataset"] == name, "label"].nunique() for name in datasets]
    heights = [0.32 * count + 0.5 for count in counts]
    figure = Figure(figsize=(6.5, sum(heights) + 0.45), layout="constrained")
    grid = figure.subplots(
        len(datasets), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights}
    )
    for axes, dataset in zip(grid[:, 0], datasets, strict=True):
        _draw_scores(axes, scores[scores["dataset"] == dataset])
        axes.set_title(dataset_name(dataset), loc="left", weight="bold")
    groups = [group for group in Group if (scores["group"] == group).any()]
    grid[0, 0].legend(
        handles=[Line2D([], [], marker="o", ls="", ms=3, color=GROUPS[g], label=g) for g in groups],
        loc="lower right",
        bbox_to_anchor=(1, 1),
        ncols=len(groups),
        frameon=False,
        handletextpad=0,
    )
    grid[-1, 0].set_xlabel("foreground ARI × 100, one point per scene and seed; ◆ mean")
    return figure


def _scores(row: Row, label: str) -> pd.DataFrame | None:
    frames = []
    for run in row.runs:
        file = run.folder / "scores.csv"
        if run.diverged or not file.exists():
            continue
        with reading(file, expected="a CSV file of numbers", fix="Evaluate the run again."):
            frame = pd.read_csv(file, encoding="utf-8")
            if "ari_fg" in frame:
                frames.append(frame["ari_fg"].astype(float).dropna() * 100)
    if not frames or not sum(map(len, frames)):
        return None
    values = pd.concat(frames, ignore_index=True)
    return pd.DataFrame(
        {"dataset": row.dataset, "label": label, "group": row.group, "ari_fg": values}
    )


def _draw_scores(axes: Axes, scores: pd.DataFrame) -> None:
    means = scores.groupby(["group", "label"], sort=False)["ari_fg"].mean().reset_index()
    rank = {group: k for k, group in enumerate(Group)}
    means = means.sort_values(
        ["group", "ari_fg"],
        key=lambda column: column.map(rank) if column.name == "group" else -column,
    )
    order = list(means["label"])
    place = scores["label"].map({label: k for k, label in enumerate(order)}).to_numpy(float)
    # seaborn's own strip draws its jitter from NumPy's global state
    place += np.random.default_rng(0).uniform(-0.22, 0.22, len(scores))
    axes.scatter(
        scores["ari_fg"],
        place,
        c=list(scores["group"].map(GROUPS)),
        s=3,
        alpha=0.4,
        lw=0,
        rasterized=True,  # thousands of points would make the PDF slow to draw
    )
    sns.boxplot(
        scores,
        x="ari_fg",
        y="label",
        order=order,
        ax=axes,
        width=0.6,
        showfliers=False,
        linewidth=0.8,
        fill=False,
        color="black",
    )
    axes.plot(means["ari_fg"], range(len(order)), "D", ms=3, color="black", zorder=5)
    axes.set(xlabel="", ylabel="")
    axes.grid(axis="x", lw=0.4, color="#dddddd")
    axes.set_axisbelow(True)
