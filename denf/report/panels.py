"""Pictures of decompositions as stored in `panels.npz`, and drawing each of them into an axes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from denf.errors import DenfError
from denf.palette import instance_colours
from denf.reading import reading
from denf.report.style import ABSENT

PRESENT = 0.5  # presence above which a cell holds an object


@dataclass(frozen=True)
class Panels:
    """The arrays of a `panels.npz`, n scenes each; a key that the method lacks is absent.

    A method that cannot segment has an archive without arrays.
    """

    file: Path
    arrays: Mapping[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(self.arrays["image"])

    def __getitem__(self, key: str) -> NDArray[Any]:
        return self.arrays[key]

    def lacks(self, *keys: str) -> list[str]:
        """Those of `keys` that are absent."""
        return [key for key in keys if key not in self.arrays]


def load_panels(file: Path) -> Panels:
    """Read a `panels.npz`.

    Raises:
        DenfError: when the file cannot be read, or its arrays differ in length.
    """
    with (
        reading(file, expected="a NumPy archive", fix="Evaluate the run again."),
        file.open("rb") as data,  # NumPy does not close a file that it cannot read
        np.load(data, allow_pickle=False) as archive,
    ):
        arrays = dict(archive)
    lengths = {key: array.shape[:1] for key, array in arrays.items()}  # () for a scalar
    if arrays and (len(set(lengths.values())) != 1 or not all(map(len, arrays.values()))):
        raise DenfError(
            str(file),
            expected="arrays of one or more scenes each, the same number in all",
            got=lengths,
            fix="Evaluate the run again.",
        )
    return Panels(file, arrays)


def draw_image(axes: Axes, image: NDArray[np.uint8]) -> None:
    """Draw an image (H, W, 3) without a frame, in pixel coordinates."""
    height, width = image.shape[:2]
    axes.imshow(image, extent=(0, width, height, 0), interpolation="antialiased")


def draw_blank(axes: Axes, text: str) -> None:
    """Fill a cell that has nothing to show with light grey and the reason."""
    axes.set_facecolor(ABSENT)
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color="#737373")


def recompose(
    panels: Panels, scene: int, kept: NDArray[np.bool_], background: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Objects of a scene over a background, which may be another scene's.

    Args:
        panels: with `labels` and `singles`.
        scene: its number in the archive.
        kept: (K,), whether objects 1…K are kept.
        background: (H, W, 3).

    Returns:
        (H, W, 3).
    """
    picture = background.copy()
    for k in np.flatnonzero(kept):
        own = panels["labels"][scene] == k + 1
        picture[own] = panels["singles"][scene, k][own]
    return picture


def draw_boxes(
    axes: Axes, image: NDArray[np.uint8], boxes: NDArray[Any], labels: NDArray[Any]
) -> None:
    """Draw detected boxes over the image, each in the colour of its instance.

    Args:
        image: (H, W, 3).
        boxes: (K, 4), x0 y0 x1 y1 in pixels, NaN where unused.
        labels: (H, W), 0 background.
    """
    draw_image(axes, image)
    used = boxes[np.isfinite(boxes).all(axis=1)]
    order = box_instances(used, labels)
    colours = instance_colours(int(order.max(initial=0)) + 1)
    for (x0, y0, x1, y1), index in zip(used, order, strict=True):
        axes.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, lw=1.2, ec=colours[index]))
    height, width = image.shape[:2]
    axes.set(xlim=(0, width), ylim=(height, 0))  # boxes may extend beyond the image


def box_instances(boxes: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.int64]:
    """The instance of the segmentation that each box belongs to, so that both have one colour.

    Boxes are matched one to one with the instances' own bounding boxes by the largest sum of
    intersection over union; a box without an instance gets an index that no instance has.

    Args:
        boxes: (K, 4), x0 y0 x1 y1 in pixels.
        labels: (H, W), 0 background and 1… instances.

    Returns:
        (K,) indices, label minus one.
    """
    present = np.setdiff1d(np.unique(labels), [0])
    extents = np.zeros((len(present), 4))
    for i, label in enumerate(present):
        ys, xs = np.nonzero(labels == label)
        extents[i] = xs.min(), ys.min(), xs.max() + 1, ys.max() + 1
    low = np.maximum(boxes[:, None, :2], extents[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], extents[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    areas = [np.clip(b[:, 2:] - b[:, :2], 0, None).prod(axis=1) for b in (boxes, extents)]
    overlap = shared / np.maximum(areas[0][:, None] + areas[1][None] - shared, 1e-9)
    index = np.arange(len(boxes)) + int(labels.max(initial=0))
    for box, instance in zip(*linear_sum_assignment(-overlap), strict=True):
        if overlap[box, instance] > 0:
            index[box] = present[instance] - 1
    return index.astype(np.int64)


def draw_segmentation(axes: Axes, image: NDArray[np.uint8], labels: NDArray[Any]) -> None:
    """Draw `segmentation_picture`."""
    draw_image(axes, segmentation_picture(image, labels))


def segmentation_picture(image: NDArray[np.uint8], labels: NDArray[Any]) -> NDArray[np.uint8]:
    """Instances in their colours, shaded by the image, over a faint grey background.

    Args:
        image: (H, W, 3).
        labels: (H, W), 0 background and 1… instances.

    Returns:
        (H, W, 3).
    """
    grey = image.mean(axis=2, keepdims=True) / 255
    colours = instance_colours(max(1, int(labels.max(initial=0))))
    shade = 0.6 + 0.4 * grey / max(float(grey.max()), 1e-9)
    objects = colours[np.maximum(labels, 1) - 1] * shade
    faint = np.broadcast_to(0.72 + 0.22 * grey, objects.shape)
    picture = np.where((labels > 0)[..., None], objects, faint)
    return (picture * 255).round().astype(np.uint8)


def draw_map(
    axes: Axes, values: NDArray[Any], norm: Normalize, cmap: str, present: NDArray[Any] | None
) -> None:
    """Draw a map of cells; cells that are not present are grey, since they describe no object.

    Args:
        values: (h, w).
        norm: common to all scenes, so that their colours are comparable.
        present: (h, w) bool; None shows every cell.
    """
    colours = colormaps[cmap].with_extremes(bad=ABSENT)
    shown = values if present is None else np.ma.masked_array(values, ~present)
    axes.imshow(shown, norm=norm, cmap=colours, interpolation="nearest")


def present_norm(values: NDArray[Any], present: NDArray[Any]) -> Normalize:
    """Colour range over the present cells of all scenes, from 0 to their 99th percentile."""
    chosen = values[present & np.isfinite(values)]
    top = float(np.percentile(chosen, 99)) if chosen.size else 1.0
    return Normalize(0.0, max(top, 1e-6), clip=True)
