"""Style of all figures: palette, fonts, saving, and the error for a figure without runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from denf.errors import DenfError
from denf.files import atomic_path

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
SEEDS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f3c8d")
GROUPS: Mapping[str, str] = {"method": "#0072b2", "ablation": "#e69f00", "control": "#8c8c8c"}
ABSENT = "#e6e6e6"


class NothingToDrawError(Exception):
    """The runs that a figure shows do not exist; the text names what is missing."""


def save(figure: Figure, out: Path, name: str, kinds: Sequence[str] = ("png", "pdf")) -> list[Path]:
    """Save under temporary names, then rename; equal figures give equal files."""
    paths = []
    without = {"png": {"Software": None}, "pdf": {"CreationDate": None}}
    for suffix, metadata in ((kind, without[kind]) for kind in kinds):
        path = out / f"{name}.{suffix}"
        with atomic_path(path) as temporary:
            figure.savefig(temporary, format=suffix, dpi=DPI, metadata=metadata)
        paths.append(path)
    return paths


def check_png(out: Path) -> None:
    """Refuse a name that does not end in .png, before a figure is drawn.

    Raises:
        DenfError: names the file.
    """
    if out.suffix != ".png":
        raise DenfError(
            str(out),
            expected="a file name that ends in .png",
            got=repr(out.name),
            fix="Rename it.",
        )


def save_png(figure: Figure, out: Path) -> Path:
    """Save as the PNG file `out`, whose folder is made; see `save`."""
    out.parent.mkdir(parents=True, exist_ok=True)
    [path] = save(figure, out.parent, out.stem, kinds=("png",))
    return path
