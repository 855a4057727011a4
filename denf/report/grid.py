"""Grids of pictures: rows with a label, square cells of one size, colour bars and notes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

_CELL, _GAP, _LEFT, _RIGHT, _EDGE = 0.92, 0.04, 0.95, 0.62, 0.06  # inches


@dataclass(frozen=True)
class Strip:
    """One row of a picture grid.

    Args:
        label: at the left.
        draw: draws scene i into an axes.
        scale: colours and range of a map, for the bar at the right.
        note: at the right, where there is no bar.
    """

    label: str
    draw: Callable[[Axes, int], None]
    scale: tuple[Normalize, str] | None = None
    note: str = ""


def grid(strips: Sequence[Strip], columns: int, heads: Sequence[str] = ()) -> Figure:
    """Square cells of one size; labels at the left, colour bars and notes at the right.

    Args:
        strips: rows from the top.
        columns: cells per row.
        heads: titles of the columns; empty for none.
    """
    right = _RIGHT if any(strip.scale or strip.note for strip in strips) else _EDGE
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
        left = _LEFT + columns * (_CELL + _GAP)
        if strip.note:
            figure.text((left + 0.04) / width, middle, strip.note, ha="left", va="center")
        if strip.scale:
            norm, cmap = strip.scale
            bar = figure.add_axes(
                (left / width, bottom / height, 0.08 / width, _CELL / height), label=f"{r}-scale"
            )
            figure.colorbar(ScalarMappable(norm, cmap), cax=bar)
            ends = norm.vmin or 0, norm.vmax or 1
            bar.set_yticks(ends, [f"{end:z.2g}".replace("-", "−") for end in ends])
            low, high = bar.get_yticklabels()
            low.set_verticalalignment("bottom")
            high.set_verticalalignment("top")
    return figure
