"""Quality of each method beside its cost: training time and parameters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from denf.report.budget import seconds_before
from denf.report.loading import titles
from denf.report.numbers import count
from denf.report.records import Group, Metric, Row
from denf.report.statistics import summarise
from denf.report.style import GROUPS, NothingToDrawError

_SCALE = {Metric.ARI_FG: 100.0, Metric.FID: 1.0}
_TABLES = {Metric.ARI_FG: (1, 3), Metric.FID: (2,)}  # tables whose rows share one data set
_QUALITY = {Metric.ARI_FG: "foreground ARI × 100", Metric.FID: "FID, lower is better"}
_COSTS = {"seconds": "training, minutes", "parameters": "parameters"}
_FEW_DECADES = 20  # ratio of largest to least cost below which decades alone are few labels
_GAP = 0.055  # between labels, as a fraction of a panel's height


@dataclass(frozen=True)
class Point:
    """One trained experiment.

    Args:
        label: of its row.
        group: of its row.
        quality: mean over the seeds.
        costs: mean over the seeds of minutes and of parameters. The minutes include those of the
            training that gave the first weights, where it is among the rows.
    """

    label: str
    group: Group
    quality: float
    costs: tuple[float, float]


def quality_beside_cost(rows: Sequence[Row]) -> Figure:
    """A row of panels per metric: quality over training time and over parameters, log axes.

    Raises:
        NothingToDrawError: when no trained run has a score.
    """
    points = {metric: list(_points(rows, metric)) for metric in _SCALE}
    shown = {metric: found for metric, found in points.items() if found}
    if not shown:
        raise NothingToDrawError("no trained run with a score")
    heights = [0.9 + 0.13 * max(10, len(found)) for found in shown.values()]
    figure = Figure(figsize=(7.2, sum(heights)), layout="constrained")
    grid = figure.subplots(
        len(shown), 2, sharey="row", squeeze=False, gridspec_kw={"height_ratios": heights}
    )
    for line, (metric, found) in zip(grid, shown.items(), strict=True):
        for k, (axes, name) in enumerate(zip(line, _COSTS.values(), strict=True)):
            for point in found:
                axes.plot(point.costs[k], point.quality, "o", ms=4, color=GROUPS[point.group])
            _log_axis(axes, [point.costs[k] for point in found])
            axes.set_xlabel(name)
            axes.grid(lw=0.3, color="#dddddd")
            axes.set_axisbelow(True)
        line[0].set_ylabel(_QUALITY[metric])
        _name_points(line[1], found)
    groups = dict.fromkeys(point.group for found in shown.values() for point in found)
    if len(groups) > 1:
        handles = [
            Line2D([], [], marker="o", ls="", ms=4, color=GROUPS[g], label=g) for g in groups
        ]
        figure.legend(handles=handles, loc="outside upper left", ncols=len(groups), frameon=False)
    return figure


def _log_axis(axes: Axes, values: Sequence[float]) -> None:
    """A logarithmic axis with labels in numbers, at 1, 2 and 5 where there are few decades."""
    axes.set_xscale("log")
    few = max(values) < _FEW_DECADES * min(values)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: count(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())  # labels of minor ticks overlap


def _points(rows: Sequence[Row], metric: Metric) -> Iterator[Point]:
    shown = [row for row in rows if set(row.tables) & set(_TABLES[metric])]
    for row, label in zip(shown, titles(shown), strict=True):
        scored = {reading.seed: reading.value for reading in row.read(metric)}
        runs = [run for run in row.runs if scored.get(run.seed) is not None]
        records = [run.record or {} for run in runs]
        if not records or not all(r.get("steps") and r.get("seconds") for r in records):
            continue
        values = [value * _SCALE[metric] for value in scored.values() if value is not None]
        seconds = [
            record["seconds"] + seconds_before(row, run, rows)
            for run, record in zip(runs, records, strict=True)
        ]
        minutes = summarise(seconds).mean / 60
        yield Point(
            label, row.group, summarise(values).mean, (minutes, float(records[0]["parameters"]))
        )


def _name_points(axes: Axes, points: Sequence[Point]) -> None:
    """Labels beside the panel, in the order of the points and without overlap."""
    low, high = axes.get_ylim()
    ordered = sorted(points, key=lambda point: point.quality)
    heights = [(point.quality - low) / (high - low) for point in ordered]
    gap = min(_GAP, 1 / max(1, len(ordered) - 1))
    for k in range(1, len(heights)):
        heights[k] = max(heights[k], heights[k - 1] + gap)
    excess = max(0.0, heights[-1] - 1)
    for k in reversed(range(len(heights))):  # labels pushed beyond the top move down again
        heights[k] = min(heights[k], 1 - gap * (len(heights) - 1 - k)) if excess else heights[k]
    for point, height in zip(ordered, heights, strict=True):
        axes.annotate(
            point.label,
            (point.costs[1], point.quality),
            xytext=(1.06, height),
            textcoords="axes fraction",
            fontsize=6.5,
            va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "lw": 0.3, "color": "#999999", "relpos": (0, 0.5)},
        )
