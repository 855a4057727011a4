"""The card of a data set: its facts, scenes by number of objects, mean images and examples."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from denf.data.prepared import Prepared, open_prepared
from denf.errors import DenfError
from denf.evenly import evenly_spread
from denf.report.panels import draw_image, draw_segmentation
from denf.report.style import RC, SEEDS, check_png, save_png

EXAMPLES, COLUMNS = 16, 8
MEAN_OF = 1000  # scenes at most, evenly spread
FACTS = ("source", "licence", "filter", "crop", "resize")
_WIDTH, _LINE, _CHART, _GAP = 7.1, 0.15, 1.4, 0.06  # inches
_EDGE = 0.15


def write_card(folders: Sequence[Path | str], out: Path | str) -> Path:
    """Draw the card of a data set as a PNG file.

    Args:
        folders: its prepared splits; the examples are from the first.
        out: the file to write, `*.png`.

    Returns:
        `out`.

    Raises:
        DenfError: when a folder is not prepared, the splits are of several data sets or sizes, or
            `out` is not a PNG file.
    """
    out = Path(out)
    check_png(out)
    splits = [open_prepared(folder) for folder in folders]
    named = {(str(s.info["name"]), s.size) for s in splits}
    if len(named) != 1:
        raise DenfError(
            "the card's folders",
            expected="splits of one data set",
            got=", ".join(f"{name} at {size}" for name, size in sorted(named)) or "none",
            fix="Make a card for each.",
        )
    with mpl.rc_context(RC):
        return save_png(card(splits), out)


def card(splits: Sequence[Prepared]) -> Figure:
    """Facts, objects per scene, mean images, and examples from the first split with their masks."""
    lines = _facts(splits)
    cell = (_WIDTH - 2 * _EDGE - (COLUMNS - 1) * _GAP) / COLUMNS
    scenes = evenly_spread(EXAMPLES, len(splits[0])).tolist()
    rows = -(-len(scenes) // COLUMNS) * (1 if splits[0].masks is None else 2)
    height = 2 * _EDGE + len(lines) * _LINE + _CHART + 0.7 + rows * (cell + _GAP)
    figure = Figure(figsize=(_WIDTH, height))

    def axes(left: float, top: float, width: float, tall: float) -> Axes:
        return figure.add_axes(
            (left / _WIDTH, 1 - (top + tall) / height, width / _WIDTH, tall / height),
            label=f"{left:.3f}-{top:.3f}",
        )

    for k, line in enumerate(lines):
        weight = "bold" if k == 0 else "normal"
        top = 1 - (_EDGE + k * _LINE) / height
        figure.text(_EDGE / _WIDTH, top, line, va="top", weight=weight)
    top = _EDGE + len(lines) * _LINE + 0.25
    means = len(splits) * (_CHART + _GAP)
    right = _EDGE  # where the mean images begin
    if any(split.masks is not None for split in splits):
        right = _WIDTH - _EDGE - means + _GAP
        _draw_objects(axes(0.5, top, max(1.5, right - 0.75), _CHART - 0.15), splits)
    for k, split in enumerate(splits):
        at = axes(right + k * (_CHART + _GAP), top, _CHART, _CHART)
        _draw_picture(at, mean_image(split))
        at.set_title(f"mean of {split.info.get('split', split.folder.name)}", pad=3)
    top += _CHART + 0.3
    for k, scene in enumerate(scenes):
        step = rows // -(-len(scenes) // COLUMNS)
        left = _EDGE + k % COLUMNS * (cell + _GAP)
        down = top + k // COLUMNS * step * (cell + _GAP)
        image = splits[0].images[scene]
        _draw_picture(axes(left, down, cell, cell), image)
        if splits[0].masks is not None:
            at = axes(left, down + cell + _GAP, cell, cell)
            draw_segmentation(at, image, splits[0].masks[scene])
            _bare(at)
    return figure


def _facts(splits: Sequence[Prepared]) -> list[str]:
    first = splits[0].info
    facts = [f"{first['name']}, {splits[0].size} × {splits[0].size} pixels"]
    facts += [f"{key}: {first[key]}" for key in FACTS if key in first]
    for split in splits:
        rule = split.info.get("split_rule")
        name = split.info.get("split", split.folder.name)
        facts.append(f"{name}: {len(split)} scenes" + (f"; {rule}" if rule else ""))
    return [line for fact in facts for line in textwrap.wrap(fact, 118, subsequent_indent="    ")]


def objects_per_scene(split: Prepared) -> dict[int, int]:
    """Number of scenes by the number of labels in their mask.

    Raises:
        DenfError: when `dataset.json` lacks these numbers.
    """
    try:
        return {int(k): int(n) for k, n in split.info["objects_per_scene"].items()}
    except (KeyError, AttributeError, ValueError, TypeError) as error:
        raise DenfError(
            f"{split.folder}/dataset.json",
            expected="the key objects_per_scene",
            got=error,
            fix="It was prepared by an earlier version: prepare the data again.",
        ) from error


def mean_image(split: Prepared) -> NDArray[np.uint8]:
    """The mean of at most `MEAN_OF` images, evenly spread over the split."""
    total = np.zeros(split.images.shape[1:])
    chosen = evenly_spread(MEAN_OF, len(split))
    for scene in chosen:
        total += split.images[scene]
    return (total / len(chosen)).round().astype(np.uint8)


def _draw_objects(axes: Axes, splits: Sequence[Prepared]) -> None:
    shown = [split for split in splits if split.masks is not None]
    width = 0.8 / len(shown)
    for k, split in enumerate(shown):
        counts = objects_per_scene(split)
        at = np.array(sorted(counts)) + (k - (len(shown) - 1) / 2) * width
        share = [100 * counts[n] / len(split) for n in sorted(counts)]
        name = str(split.info.get("split", split.folder.name))
        axes.bar(at, share, width, color=SEEDS[k % len(SEEDS)], label=name)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="objects in the mask", ylabel="scenes, %")
    axes.legend(frameon=False)


def _draw_picture(axes: Axes, image: NDArray[np.uint8]) -> None:
    draw_image(axes, image)
    _bare(axes)


def _bare(axes: Axes) -> None:
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
