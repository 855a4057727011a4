"""What all figures share: palette and type, how they are saved, and how one is declined."""

from __future__ import annotations

import colorsys
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

DPI = 200
RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # ships with matplotlib: the same figure on every machine
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "pdf.fonttype": 42,  # text stays text
    "svg.fonttype": "none",
}
# Okabe and Ito's colours first (distinguishable with any colour vision), then four darker ones.
_INSTANCES = (
    *("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7"),
    *("#7f3c8d", "#882255", "#44aa99", "#999933", "#661100"),
)
SEEDS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f3c8d")
GROUPS: Mapping[str, str] = {"method": "#0072b2", "ablation": "#e69f00", "control": "#8c8c8c"}
ABSENT = "#e6e6e6"


class NothingToDrawError(Exception):
    """The runs that a figure shows are not there; the text says what is missing."""


def instance_colours(count: int) -> NDArray[np.float64]:
    """Colours of instances 0…count-1, the same for an index in every figure.

    Args:
        count: any number; beyond the twelve named colours, hues turn by the golden ratio.

    Returns:
        (count, 3) in [0, 1].
    """
    named = [tuple(int(text[i : i + 2], 16) / 255 for i in (1, 3, 5)) for text in _INSTANCES]
    further = [
        colorsys.hsv_to_rgb((0.1 + 0.618034 * i) % 1, 0.75, 0.8)
        for i in range(max(0, count - len(named)))
    ]
    return np.array([*named, *further][:count]).reshape(count, 3)


def save(figure: Figure, out: Path, name: str, kinds: Sequence[str] = ("png", "pdf")) -> list[Path]:
    """Save under temporary names, then rename; equal figures give equal files."""
    paths = []
    without = {"png": {"Software": None}, "pdf": {"CreationDate": None}}
    for suffix, metadata in ((kind, without[kind]) for kind in kinds):
        path = out / f"{name}.{suffix}"
        temporary = path.with_name(path.name + ".tmp")
        figure.savefig(temporary, format=suffix, dpi=DPI, metadata=metadata)
        os.replace(temporary, path)
        paths.append(path)
    return paths
