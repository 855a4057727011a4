"""Rendering embedded scenes into the prepared format; the bytes do not depend on `workers`."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from tqdm import tqdm

from denf.data.prepared import Array
from denf.data.prepared_writer import PreparedWriter
from denf.data.scenes import clevr6, traffic
from denf.data.scenes.layout import Layout, project, stack
from denf.data.scenes.shading import Window, labels, pictures
from denf.data.sources.rendered import MOST_RENDERED_SIDE, SceneKind
from denf.data.sources.source import LEAST_SIDE
from denf.errors import DenfError

BATCH = 32  # scenes per write; an interrupted run repeats at most this many per process
_MODULES = {"clevr6": clevr6, "traffic": traffic}
_SOURCE = {
    "clevr6": "ray cast by DeNF with the parameters of CLEVR's generator (Johnson et al. 2017)",
    "traffic": "ray cast by DeNF: vehicles on a street seen by one camera, under a moving sun",
}


@dataclass(frozen=True)
class Drawn:
    """Finished scenes.

    Args:
        images: uint8 (n, S, S, 3).
        masks: uint8 (n, S, S).
        factors: one row per object.
        empty: uint8 (n, S, S, 3), the scenes without their objects; None unless asked for.
    """

    images: Array
    masks: Array
    factors: Sequence[dict[str, Any]]
    empty: Array | None = None


def scene(kind: SceneKind, seed: int, index: int) -> Layout:
    """Scene `index` of a seed; it depends on nothing else, not even on the picture's size."""
    key = (get_args(SceneKind).index(kind), index)
    return _MODULES[kind].scene(np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key)))


@torch.inference_mode()
def draw(
    kind: SceneKind,
    layouts: Sequence[Layout],
    size: int,
    *,
    numbers: Sequence[int] | None = None,
    empty: bool = False,
) -> Drawn:
    """Pictures and exact masks of scenes of one kind.

    Args:
        layouts: at least one.
        size: side of the pictures in pixels.
        numbers: of the scenes in their split, for their factors; 0, 1, … unless given.
        empty: whether to draw the scenes without their objects as well.
    """
    look = _MODULES[kind].LOOK
    images, masks, bare = [], [], []
    for layout in layouts:  # one by one: a scene fits a core's cache
        scenes = stack([layout])
        images.append(pictures(scenes, look, size).numpy())
        masks.append(labels(scenes, look.window, size, size).numpy())
        if empty:
            bare.append(pictures(stack([layout.without_objects()]), look, size).numpy())
    mask = np.concatenate(masks)
    numbers = range(len(layouts)) if numbers is None else numbers
    rows = [
        row
        for number, layout, labelled in zip(numbers, layouts, mask, strict=True)
        for row in _factors(number, layout, labelled, look.window)
    ]
    return Drawn(np.concatenate(images), mask, rows, np.concatenate(bare) if empty else None)


def render(
    kind: SceneKind,
    *,
    count: int,
    size: int,
    seed: int,
    out: Path,
    split: str = "train",
    workers: int = 1,
    first: int = 0,
    empty: bool = False,
) -> None:
    """Render scenes `first` … `first + count − 1` of a seed into a prepared folder.

    An interrupted run continues where it stopped. The files do not depend on `workers`.

    Args:
        kind: of the scenes.
        count: number of scenes, at least 1.
        size: side of the pictures in pixels, from 16 to 512.
        seed: of all scenes; at least 0. Two splits of one seed need ranges that do not overlap.
        out: the folder to make; must not exist.
        split: the name of the split, for `dataset.json`.
        workers: processes, at least 1, each with one thread.
        first: number of the first scene, at least 0.
        empty: whether to write `empty.npy` as well, the same scenes without their objects: the same
            camera and lamps, no object and no shadow or reflection of one.

    Raises:
        DenfError: when an argument is out of range, or `out` exists.
    """
    _check(kind, count, size, seed, workers, first)
    module = _MODULES[kind]
    info = {
        "name": kind,
        "source": _SOURCE[kind],
        "licence": "MIT",
        "split": split,
        "crop": module.CROP,
        "resize": "none: rendered at this size, 2 × 2 rays a pixel; masks at the pixels' centres",
        "seed": seed,
        "first": first,
        "count": count,
    }
    with PreparedWriter(out, size=size, masks=True, info=info, empty=empty, count=count) as writer:
        last = first + count
        starts = range(first + writer.count, last, BATCH)
        batches = [(start, min(start + BATCH, last)) for start in starts]
        job = partial(_batch, kind, seed, size, empty, first)
        bar = tqdm(
            desc=f"{kind} scenes",
            total=count,
            initial=writer.count,
            unit="scene",
            file=sys.stderr,
            disable=None,
        )
        with bar, _ordered(workers, job, batches) as results:
            for drawn in results:
                writer.append(drawn.images, drawn.masks, drawn.factors, drawn.empty)
                bar.update(len(drawn.images))


def _batch(
    kind: SceneKind, seed: int, size: int, empty: bool, first: int, span: tuple[int, int]
) -> Drawn:
    layouts = [scene(kind, seed, i) for i in range(*span)]
    rows = range(span[0] - first, span[1] - first)  # of images.npy
    return draw(kind, layouts, size, numbers=rows, empty=empty)


def _factors(number: int, layout: Layout, mask: Array, window: Window) -> Iterator[dict[str, Any]]:
    """The layout's rows with each object's centre in the picture and number of visible pixels."""
    for row in layout.factors:
        centre = np.array([row["x"], row["y"], row["z"]])
        x, y = project(layout, centre, window, len(mask))
        pixels = int((mask == row["object"]).sum())
        yield {
            "scene": number, **row,
            "pixel_x": round(x, 3), "pixel_y": round(y, 3), "pixels": pixels,
        }  # fmt: skip


@contextmanager
def _ordered(
    workers: int, job: partial[Drawn], batches: Sequence[tuple[int, int]]
) -> Iterator[Iterator[Drawn]]:
    """Results in the order of `batches`, made here or by worker processes."""
    if workers == 1 or len(batches) < 2:
        yield map(job, batches)
        return
    context = multiprocessing.get_context("spawn")  # CUDA and threads do not survive a fork
    processes = min(workers, len(batches))
    with context.Pool(processes, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        yield pool.imap(job, batches)


def _check(kind: str, count: int, size: int, seed: int, workers: int, first: int) -> None:
    if kind not in _MODULES:
        raise DenfError("scene kind", expected=list(_MODULES), got=kind, fix="Choose one of these.")
    for name, value, least in (
        ("count", count, 1),
        ("seed", seed, 0),
        ("workers", workers, 1),
        ("first", first, 0),
    ):
        if value < least:
            raise DenfError(
                name, expected=f"at least {least}", got=value, fix="Choose a larger one."
            )
    if not LEAST_SIDE <= size <= MOST_RENDERED_SIDE:
        raise DenfError(
            "size",
            expected=f"{LEAST_SIDE} to {MOST_RENDERED_SIDE} pixels",
            got=size,
            fix="The paper uses 128.",
        )
