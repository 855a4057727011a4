"""Figures 3 to 6 of the paper: decompositions, backgrounds, scenes with some objects or one."""

from __future__ import annotations

import logging
import textwrap
from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from denf.report.grid import Strip, grid
from denf.report.names import dataset_name
from denf.report.panels import (
    PRESENT,
    Panels,
    draw_blank,
    draw_boxes,
    draw_image,
    draw_map,
    draw_segmentation,
    load_panels,
    present_norm,
    recompose,
)
from denf.report.records import Row
from denf.report.style import NothingToDrawError

log = logging.getLogger(__name__)
SCENES = 8  # columns of figures 3 to 5
SINGLES = 6  # objects shown per row of figure 6
SINGLE_SCENES = 4  # rows of each data set in figure 6
LABEL = 14  # characters per line of a label of figure 6
SUBSETS = 3  # rows of figure 5 with some of the objects


def decomposition(rows: Sequence[Row], experiment: str) -> Figure:
    """Figures 3 and 4: image, boxes, segmentation, presence, |scale|, |loc|, background.

    Args:
        rows: all rows.
        experiment: whose first seed is shown, a finished one if there is.

    Raises:
        NothingToDrawError: without such a run.
    """
    keys = "boxes", "labels", "presence", "scale", "loc", "background"
    panels = find_panels(rows, experiment, *keys)
    present = panels["presence"] > PRESENT
    scale = np.linalg.norm(panels["scale"], axis=-1)
    loc = np.linalg.norm(panels["loc"], axis=-1)
    unit, sizes = Normalize(0, 1), present_norm(scale, present)
    distances = present_norm(loc, present)
    image, labels, boxes = panels["image"], panels["labels"], panels["boxes"]
    strips = [
        Strip("image", lambda axes, i: draw_image(axes, image[i])),
        Strip("boxes", lambda axes, i: draw_boxes(axes, image[i], boxes[i], labels[i])),
        Strip("segmentation", lambda axes, i: draw_segmentation(axes, image[i], labels[i])),
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
    return grid(strips, min(SCENES, len(panels)))


def backgrounds(rows: Sequence[Row], experiment: str) -> Figure:
    """Figure 5: one scene under changing light, whole and with subsets of its objects.

    The scene is the one with the most objects. Columns hold the generated background of the scene
    itself, then those of the other images. From top to bottom: background; its brightness minus
    that of the mean of the backgrounds shown; all objects of the scene over it; subsets of them,
    each object kept with probability one half (section 4.1).

    Args:
        rows: all rows.
        experiment: whose first seed is shown, a finished one if there is.

    Raises:
        NothingToDrawError: without such a run.
    """
    panels = find_panels(rows, experiment, "background", "labels", "singles", "single_count")
    shown = min(SCENES, len(panels))
    scene = int(panels["single_count"][:shown].argmax())
    count = int(panels["single_count"][scene])
    lights = [scene, *(i for i in range(shown) if i != scene)]
    background = panels["background"][lights]
    grey = background.mean(axis=3)
    change = grey - grey.mean(axis=0)
    most = max(1.0, float(np.percentile(np.abs(change), 99)))
    levels = Normalize(-most, most)
    kept = np.random.default_rng(0).random((SUBSETS, shown, count)) < 0.5
    everything = np.ones((shown, count), bool)
    image, labels = panels["image"][scene], panels["labels"][scene]

    def beside(
        first: Callable[[Axes], None] | None, draw: Callable[[Axes, int], None]
    ) -> Callable[[Axes, int], None]:
        def cell(axes: Axes, column: int) -> None:
            if column:
                draw(axes, column - 1)
            elif first:
                first(axes)
            else:
                axes.set_axis_off()

        return cell

    def composed(chosen: NDArray[np.bool_]) -> Callable[[Axes, int], None]:
        return lambda axes, i: draw_image(axes, recompose(panels, scene, chosen[i], background[i]))

    strips = [
        Strip(
            "background",
            beside(
                lambda axes: draw_image(axes, image),
                lambda axes, i: draw_image(axes, background[i]),
            ),
        ),
        Strip(
            "background\n− mean",
            beside(
                lambda axes: draw_segmentation(axes, image, labels),
                lambda axes, i: draw_map(axes, change[i], levels, "RdBu_r", None),
            ),
            (levels, "RdBu_r"),
        ),
        Strip("all objects", beside(None, composed(everything))),
        *(Strip("subset", beside(None, composed(kept[k]))) for k in range(SUBSETS)),
    ]
    heads = ["scene", "own light", *(f"light of image {i + 1}" for i in lights[1:])]
    return grid(strips, shown + 1, heads)


def singles(rows: Sequence[Row], experiments: Sequence[str]) -> Figure:
    """Figure 6: image, generated background, and the background with one whole object at a time.

    At most `SINGLES` objects of a scene are shown; "+n" is the number of further objects.

    Args:
        rows: all rows.
        experiments: one of each data set; those without a run are left out.

    Raises:
        NothingToDrawError: when none has a run.
    """
    parts: list[tuple[str, Panels]] = []
    missing = []
    for experiment in experiments:
        try:
            panels = find_panels(rows, experiment, "background", "singles", "single_count")
        except NothingToDrawError as error:
            missing.append(str(error))
        else:
            label = dataset_name(panels.file.parents[2].name)
            parts.append((textwrap.fill(label, LABEL), panels))
    chosen = [
        (label, panels, int(scene))
        for label, panels in parts
        for scene in np.flatnonzero(panels["single_count"] > 0)[:SINGLE_SCENES]
    ]
    if not chosen:
        raise NothingToDrawError("; ".join(missing) or "no scene has an object")
    objects = min(SINGLES, max(int(panels["single_count"][i]) for _, panels, i in chosen))

    def strip(label: str, panels: Panels, scene: int) -> Strip:
        count = int(panels["single_count"][scene])

        def draw(axes: Axes, column: int) -> None:
            if column < 2:
                draw_image(axes, panels[("image", "background")[column]][scene])
            elif column < 2 + count:
                draw_image(axes, panels["singles"][scene, column - 2])
            else:
                draw_blank(axes, "no further\nobject")

        return Strip(label, draw, note=f"+{count - SINGLES}" if count > SINGLES else "")

    labels = [label for label, _, _ in chosen]
    strips = [
        strip(label if labels.index(label) == k else "", panels, scene)
        for k, (label, panels, scene) in enumerate(chosen)
    ]
    heads = ["image", "background", *(f"object {k + 1}" for k in range(objects))]
    return grid(strips, len(heads), heads)


def find_panels(rows: Sequence[Row], experiment: str, *keys: str) -> Panels:
    """Pictures of the first seed of an experiment that has any, finished runs before diverged ones.

    Raises:
        NothingToDrawError: when no seed has pictures, or the method lacks one of `keys`.
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
