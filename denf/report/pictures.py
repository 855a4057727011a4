"""Figures 3 to 6 of the paper: decompositions, backgrounds, and scenes with one object."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from denf.report.panels import (
    PRESENT,
    Panels,
    draw_boxes,
    draw_image,
    draw_map,
    draw_segmentation,
    load_panels,
    present_norm,
)
from denf.report.records import Row
from denf.report.style import NothingToDrawError

log = logging.getLogger(__name__)
SCENES = 8  # columns of figures 3 to 5
SINGLES = 6  # objects a row of figure 6
SINGLE_SCENES = 4  # rows a data set of figure 6
_CELL, _GAP, _LEFT, _RIGHT, _EDGE = 0.92, 0.04, 0.95, 0.62, 0.06  # inches


@dataclass(frozen=True)
class Strip:
    """One row of a picture grid.

    Args:
        label: at the left.
        draw: draws scene i into an axes.
        scale: colours and range of a map, for the bar at the right.
    """

    label: str
    draw: Callable[[Axes, int], None]
    scale: tuple[Normalize, str] | None = None


def decomposition(rows: Sequence[Row], experiment: str, *, segmentation: bool) -> Figure:
    """Figures 3 and 4: image, boxes, (segmentation,) presence, |scale|, |loc|, background.

    Args:
        rows: all rows.
        experiment: whose first seed is shown, a finished one if there is.
        segmentation: whether instances have a row (Figure 3 has it, Figure 4 has not).

    Raises:
        NothingToDrawError: without such a run.
    """
    keys = ["boxes", "presence", "scale", "loc", "background"] + ["labels"] * segmentation
    panels = find_panels(rows, experiment, *keys)
    present = panels["presence"] > PRESENT
    scale = np.linalg.norm(panels["scale"], axis=-1)
    loc = np.linalg.norm(panels["loc"], axis=-1)
    unit, sizes = Normalize(0, 1), present_norm(scale, present)
    distances = present_norm(loc, present)
    image, labels = panels["image"], panels.arrays.get("labels")
    strips = [
        Strip("image", lambda axes, i: draw_image(axes, image[i])),
        Strip(
            "boxes",
            lambda axes, i: draw_boxes(
                axes, image[i], panels["boxes"][i], None if labels is None else labels[i]
            ),
        ),
    ]
    if labels is not None and segmentation:
        strips.append(
            Strip("segmentation", lambda axes, i: draw_segmentation(axes, image[i], labels[i]))
        )
    strips += [
        Strip(
            r"$z_\mathrm{pres}$",
            lambda axes, i: draw_map(axes, panels["presence"][i], unit, "gray", None),
            (unit, "gray"),
        ),
        Strip(
            r"$\Vert z_\mathrm{scale}\Vert$",
            lambda axes, i: draw_map(axes, scale[i], sizes, "viridis", present[i]),
            (sizes, "viridis"),
        ),
        Strip(
            r"$\Vert z_\mathrm{loc}\Vert$",
            lambda axes, i: draw_map(axes, loc[i], distances, "magma", present[i]),
            (distances, "magma"),
        ),
        Strip("background", lambda axes, i: draw_image(axes, panels["background"][i])),
    ]
    return _grid(strips, min(SCENES, len(panels)))


def backgrounds(rows: Sequence[Row], experiment: str) -> Figure:
    """Figure 5: input images over the backgrounds generated from them."""
    panels = find_panels(rows, experiment, "background")
    strips = [
        Strip("image", lambda axes, i: draw_image(axes, panels["image"][i])),
        Strip("background", lambda axes, i: draw_image(axes, panels["background"][i])),
    ]
    return _grid(strips, min(SCENES, len(panels)))


def singles(rows: Sequence[Row], experiments: Sequence[tuple[str, str]]) -> Figure:
    """Figure 6: the scene reconstructed with one object at a time; the first column is the input.

    Args:
        rows: all rows.
        experiments: (label, experiment) of each data set; those without a run are left out.

    Raises:
        NothingToDrawError: when none has a run.
    """
    parts: list[tuple[str, Panels]] = []
    missing = []
    for label, experiment in experiments:
        try:
            parts.append((label, find_panels(rows, experiment, "singles", "single_count")))
        except NothingToDrawError as error:
            missing.append(str(error))
    chosen = [
        (label, panels, int(scene))
        for label, panels in parts
        for scene in np.flatnonzero(panels["single_count"] > 0)[:SINGLE_SCENES]
    ]
    if not chosen:
        raise NothingToDrawError("; ".join(missing) or "no scene has an object")
    columns = 1 + min(SINGLES, max(int(panels["single_count"][i]) for _, panels, i in chosen))

    def strip(label: str, panels: Panels, scene: int) -> Strip:
        def draw(axes: Axes, column: int) -> None:
            if column == 0:
                draw_image(axes, panels["image"][scene])
            elif column <= panels["single_count"][scene]:
                draw_image(axes, panels["singles"][scene, column - 1])
            else:
                axes.set_axis_off()  # its column keeps its title

        return Strip(label, draw)

    labels = [label for label, _, _ in chosen]
    strips = [
        strip(label if labels.index(label) == k else "", panels, scene)
        for k, (label, panels, scene) in enumerate(chosen)
    ]
    heads = ["image", *(f"object {k}" for k in range(1, columns))]
    return _grid(strips, columns, heads)


def find_panels(rows: Sequence[Row], experiment: str, *keys: str) -> Panels:
    """The pictures of the first seed of an experiment that has them, finished runs before diverged.

    Raises:
        NothingToDrawError: when no seed has, or the method lacks one of `keys`.
    """
    runs = [run for row in rows if row.name == experiment for run in row.runs]
    for run in sorted(runs, key=lambda run: run.diverged):
        file = run.folder / "panels.npz"
        if not file.exists():
            continue
        panels = load_panels(file)
        if lacking := panels.lacks("image", *keys):
            raise NothingToDrawError(f"{file} has no {', '.join(lacking)}")
        if run.diverged:
            log.warning("%s diverged: its last good state is shown", run.folder)
        return panels
    raise NothingToDrawError(f"no run of experiment {experiment} with panels.npz")


def _grid(strips: Sequence[Strip], columns: int, heads: Sequence[str] = ()) -> Figure:
    """Square cells of one size; labels at the left, colour bars at the right of maps."""
    right = _RIGHT if any(strip.scale for strip in strips) else _EDGE
    top = _EDGE + (0.2 if heads else 0)
    width = _LEFT + columns * (_CELL + _GAP) - _GAP + right
    height = top + len(strips) * (_CELL + _GAP) - _GAP + _EDGE
    figure = Figure(figsize=(width, height))
    for r, strip in enumerate(strips):
        bottom = height - top - r * (_CELL + _GAP) - _CELL
        for column in range(columns):
            left = _LEFT + column * (_CELL + _GAP)
            axes = figure.add_axes(
                (left / width, bottom / height, _CELL / width, _CELL / height),
                label=f"{r}-{column}",
            )
            strip.draw(axes, column)
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            if heads and r == 0:
                axes.set_title(heads[column], pad=3)
        middle = (bottom + _CELL / 2) / height
        figure.text((_LEFT - 0.08) / width, middle, strip.label, ha="right", va="center")
        if strip.scale:
            norm, cmap = strip.scale
            left = _LEFT + columns * (_CELL + _GAP)
            bar = figure.add_axes(
                (left / width, bottom / height, 0.08 / width, _CELL / height), label=f"{r}-scale"
            )
            figure.colorbar(ScalarMappable(norm, cmap), cax=bar)
            bar.set_yticks([norm.vmin or 0, norm.vmax or 1])
            bar.set_yticklabels([f"{norm.vmin or 0:.2g}", f"{norm.vmax or 1:.2g}"])
            low, high = bar.get_yticklabels()
            low.set_verticalalignment("bottom")
            high.set_verticalalignment("top")
    return figure
