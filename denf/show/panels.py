"""The pictures that an evaluation stored for a run, on one sheet with scenes as columns."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np

from denf.errors import DenfError
from denf.report.grid import Strip, grid
from denf.report.panels import Panels, draw_boxes, draw_image, draw_segmentation, load_panels
from denf.report.style import RC, check_png, save_png

SCENES = 8  # largest number of columns


def draw_panels(folder: Path, out: Path) -> Path:
    """Draw `panels.npz` of a run folder as a PNG file.

    Rows, as far as they were stored: image, truth, segmentation, boxes, reconstruction, background
    and one generated image.

    Args:
        folder: the run folder.
        out: the file to write, `*.png`.

    Returns:
        `out`.

    Raises:
        DenfError: when nothing was stored, or `out` is not a PNG file.
    """
    check_png(out)
    file = folder / "panels.npz"
    if not file.exists():
        raise DenfError(
            f"run folder {folder}",
            expected="panels.npz in it",
            got="none",
            fix=f"Evaluate the run with `--panels {file}`.",
        )
    panels = load_panels(file)
    if panels.lacks("image"):
        raise DenfError(str(file), expected="pictures", got="none", fix="The method makes none.")
    with mpl.rc_context(RC):
        return save_png(grid(_strips(panels), min(SCENES, len(panels))), out)


def _strips(panels: Panels) -> list[Strip]:
    image = panels["image"]
    labels = np.zeros(image.shape[:3], int) if panels.lacks("labels") else panels["labels"]
    strips = {
        "image": Strip("image", lambda axes, i: draw_image(axes, image[i])),
        "truth": Strip(
            "truth", lambda axes, i: draw_segmentation(axes, image[i], panels["truth"][i])
        ),
        "labels": Strip(
            "segmentation", lambda axes, i: draw_segmentation(axes, image[i], panels["labels"][i])
        ),
        "boxes": Strip(
            "boxes",
            lambda axes, i: draw_boxes(axes, image[i], panels["boxes"][i], labels[i]),
        ),
        "reconstruction": Strip(
            "reconstruction", lambda axes, i: draw_image(axes, panels["reconstruction"][i])
        ),
        "background": Strip(
            "background", lambda axes, i: draw_image(axes, panels["background"][i])
        ),
        "samples": Strip("sample", lambda axes, i: draw_image(axes, panels["samples"][i, 0])),
    }
    return [strip for key, strip in strips.items() if not panels.lacks(key)]
