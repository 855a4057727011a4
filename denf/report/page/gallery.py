"""The gallery and the samples: pictures of every method on the same scenes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from denf.evenly import evenly_spread
from denf.report.loading import titles
from denf.report.names import dataset_name
from denf.report.numbers import decimal, significant
from denf.report.page.images import (
    Picture,
    boxed,
    data_url,
    fitted,
    matched,
    segmented,
    tiled,
)
from denf.report.page.links import record_id
from denf.report.panels import Panels, load_panels
from denf.report.records import Group, Metric, Row, Run

SCENES = 8
STRIP = 4  # scenes per picture: two pictures are side by side, or stacked on a narrow screen
SAMPLE_COLUMNS, SAMPLE_ROWS = 4, 4
KINDS = ("segmentation", "boxes", "reconstruction", "background")


@dataclass(frozen=True)
class Strips:
    """One row of the gallery.

    Args:
        kind: `image`, `truth`, or one of `KINDS`.
        pictures: data URLs, `STRIP` scenes each.
    """

    kind: str
    pictures: tuple[str, ...]


@dataclass(frozen=True)
class Entry:
    """The outputs of one method for the scenes.

    Args:
        label: of the method.
        detail: its score, and the seed that is shown.
        group: of the experiment.
        record: anchor of the page's record of the runs.
        strips: its rows, some of `KINDS`.
    """

    label: str
    detail: str
    group: Group
    record: str
    strips: tuple[Strips, ...]


@dataclass(frozen=True)
class Gallery:
    """The methods that were evaluated on the same scenes of one data set.

    Args:
        dataset: its name.
        scenes: rows with the images and, where there are masks, the truth.
        entries: methods, ablations, controls; each by score.
        missing: labels of experiments without pictures.
    """

    dataset: str
    scenes: tuple[Strips, ...]
    entries: tuple[Entry, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Samples:
    """One picture with a grid of images.

    Args:
        label: of the method, or `real images`.
        detail: how the images were made, and their FID.
        record: anchor of the page's record of the runs; empty for real images.
        picture: a data URL.
    """

    label: str
    detail: str
    record: str
    picture: str


def shown_run(row: Row) -> tuple[Run, Panels] | None:
    """The first seed that has pictures, finished runs before diverged ones."""
    for run in sorted(row.runs, key=lambda run: run.diverged):
        file = run.folder / "panels.npz"
        if file.exists() and len((panels := load_panels(file)).arrays):
            return run, panels
    return None


def galleries(rows: Sequence[Row]) -> list[Gallery]:
    """One gallery per data set, in the order of the rows."""
    datasets = dict.fromkeys(row.dataset for row in rows if row.dataset)
    made = [
        _gallery(dataset_name(folder), [row for row in rows if row.dataset == folder])
        for folder in datasets
    ]
    return [gallery for gallery in made if gallery.entries]


def _gallery(dataset: str, rows: Sequence[Row]) -> Gallery:
    scenes: dict[str, Strips] = {}
    entries: list[tuple[float, Entry]] = []
    missing = []
    for row, label in zip(rows, titles(rows), strict=True):
        found = shown_run(row)
        strips = _strips(found[1]) if found else ()
        if not found or not strips:
            missing.append(label)
            continue
        run, panels = found
        if not scenes:
            scenes = {strip.kind: strip for strip in _scenes(panels)}
        value = run.read(Metric.ARI_FG).value
        score = "" if value is None else f"ARI-FG {decimal(100 * value)}"
        parts = [score, f"seed {run.seed}", "diverged" if run.diverged else ""]
        detail = " · ".join(part for part in parts if part)
        entry = Entry(label, detail, row.group, record_id(row), strips)
        entries.append((np.inf if value is None else -value, entry))
    rank = {group: k for k, group in enumerate(Group)}
    entries.sort(key=lambda pair: (rank[pair[1].group], pair[0]))
    return Gallery(
        dataset, tuple(scenes.values()), tuple(entry for _, entry in entries), tuple(missing)
    )


def _scenes(panels: Panels) -> list[Strips]:
    images = panels["image"]
    strips = [_strip("image", panels, lambda i: fitted(images[i]))]
    if "truth" in panels.arrays:
        truth = panels["truth"]
        strips.append(_strip("truth", panels, lambda i: _segmentation(images[i], truth[i], None)))
    return strips


def _strips(panels: Panels) -> tuple[Strips, ...]:
    images, arrays = panels["image"], panels.arrays
    truth, labels = arrays.get("truth"), arrays.get("labels")
    strips = []
    if labels is not None:
        strips.append(
            _strip(
                "segmentation",
                panels,
                lambda i: _segmentation(images[i], labels[i], None if truth is None else truth[i]),
            )
        )
    if (boxes := arrays.get("boxes")) is not None:
        side = images.shape[2]
        strips.append(
            _strip(
                "boxes",
                panels,
                lambda i: boxed(
                    fitted(images[i]),
                    boxes[i] / side,
                    _coloured(labels, truth, i),
                ),
            )
        )
    for kind in ("reconstruction", "background"):
        if (pictures := arrays.get(kind)) is not None:
            strips.append(_strip(kind, panels, _fitted_scene(pictures)))
    return tuple(strips)


def _fitted_scene(pictures: NDArray[Any]) -> Callable[[int], Picture]:
    return lambda i: fitted(pictures[i])


def _coloured(
    labels: NDArray[Any] | None, truth: NDArray[Any] | None, scene: int
) -> NDArray[Any] | None:
    """Labels by which boxes get the colours of the segmentation above them."""
    if labels is None:
        return None
    return labels[scene] if truth is None else matched(labels[scene], truth[scene])


def _segmentation(image: Picture, labels: NDArray[Any], truth: NDArray[Any] | None) -> Picture:
    return fitted(segmented(image, labels, truth), Image.Resampling.BOX)


def _strip(kind: str, panels: Panels, draw: Callable[[int], Picture]) -> Strips:
    pictures = [draw(i) for i in range(min(SCENES, len(panels)))]
    parts = [pictures[k : k + STRIP] for k in range(0, len(pictures), STRIP)]
    return Strips(kind, tuple(data_url(tiled(part, STRIP)) for part in parts))


def _split(run: Run) -> str:
    split = ((run.metrics or {}).get("data") or {}).get("split")
    return f"of the {split} split" if split else ""


def samples(rows: Sequence[Row]) -> list[tuple[str, list[Samples]]]:
    """For each data set with generating methods: real images, then a grid per method by FID."""
    found: dict[str, list[tuple[float, Samples]]] = {}
    for row, label in zip(rows, titles(rows), strict=True):
        shown = shown_run(row)
        if shown is None or "samples" not in shown[1].arrays or row.group is Group.CONTROL:
            continue
        run, panels = shown
        grids = found.setdefault(row.dataset, [])
        if not grids:
            real = [fitted(image) for image in panels["image"][:SCENES]]
            picture = data_url(tiled(real, SAMPLE_COLUMNS))
            grids.append((-np.inf, Samples("real images", _split(run), "", picture)))
        drawn = panels["samples"].reshape(-1, *panels["samples"].shape[2:])
        chosen = evenly_spread(SAMPLE_COLUMNS * SAMPLE_ROWS, len(drawn))
        picture = data_url(tiled([fitted(drawn[k]) for k in chosen], SAMPLE_COLUMNS))
        fid = run.read(Metric.FID).value
        mode = (run.fid or {}).get("mode", "")
        parts = [f"FID {significant(fid)}" if fid is not None else "", str(mode)]
        detail = " · ".join([*(part for part in parts if part), f"seed {run.seed}"])
        grid = Samples(label, detail, record_id(row), picture)
        grids.append((np.inf if fid is None else fid, grid))
    return [
        (dataset_name(dataset), [grid for _, grid in sorted(grids, key=lambda pair: pair[0])])
        for dataset, grids in found.items()
    ]
