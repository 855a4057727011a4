"""`denf bench growth` as a figure: `python -m denf.bench.draw growth.jsonl figure.png`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator


def draw_growth(lines: Iterable[Mapping[str, Any]], path: Path) -> None:
    """One panel for each quantity that is varied, with seconds per step from zero.

    Args:
        lines: of `denf.bench.growth.bench_growth`.
        path: of the figure.
    """
    panels: dict[str, list[tuple[float, float]]] = {}
    for line in lines:
        panels.setdefault(line["varied"], []).append((line["value"], line["seconds"]))
    figure = Figure(figsize=(2.6 * len(panels), 2.6), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (varied, points) in zip(axes, panels.items(), strict=True):
        axis.plot(*zip(*sorted(points), strict=True), marker="o", color="C0")
        axis.set_xlabel(
            {
                "pixels": "pixels per image",
                "cells": "cells per image",
                "objects": "objects per scene",
                "batch": "images per step",
            }[varied]
        )
        axis.set_ylim(0, 1.1 * max(seconds for _, seconds in points))
        axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        if varied in ("pixels", "cells", "batch"):
            axis.set_xlim(left=0)
    axes[0].set_ylabel("seconds per step")
    figure.savefig(path, dpi=150)


def main() -> None:
    source, target = map(Path, sys.argv[1:])
    draw_growth(map(json.loads, source.read_text().splitlines()), target)


if __name__ == "__main__":
    main()
