"""Pictures of a few scenes, for the figures and the results page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from denf.data.prepared import Prepared
from denf.evenly import evenly_spread
from denf.files import atomic_path
from denf.harness.method import Capability, Method
from denf.harness.scenes import batches

SAMPLES = 4  # generated images per scene


@torch.no_grad()
def panels(method: Method, data: Prepared, count: int) -> dict[str, np.ndarray]:
    """Pictures of `count` scenes, evenly spread, for the figures and the results page.

    Returns:
        `image` uint8 (n, H, W, 3), `truth` (n, H, W) where there are masks, and the outputs that
        the method is capable of:

        - `labels` and `object_labels` (n, H, W);
        - `reconstruction` and `background`, uint8 (n, H, W, 3);
        - `boxes` (n, K, 4), x0, y0, x1, y1 in pixels, NaN where unused;
        - `samples` uint8 (n, `SAMPLES`, H, W, 3): recomposed from each scene where the method
          generates by recomposing, otherwise from the prior;
        - the arrays of its `inspect`.

        Empty for a method that has none of these outputs.
    """
    chosen = evenly_spread(count, len(data))
    masks = None if data.masks is None else data.masks[chosen]
    shown = replace(data, images=data.images[chosen], masks=masks, empty=None)
    _, images, truth = next(batches(shown, method.device, len(chosen)))
    found = dict(_pictures(method, images, truth))
    if not found:
        return {}
    arrays = {"image": images.permute(0, 2, 3, 1)} | ({} if truth is None else {"truth": truth})
    return {name: value.cpu().numpy() for name, value in (arrays | found).items()}


def _pictures(method: Method, images: Tensor, truth: Tensor | None) -> Iterator[tuple[str, Tensor]]:
    """Outputs of a method for images, by the names of `panels`."""
    can = method.capabilities
    if Capability.SEGMENT in can:
        found = method.segment(images, truth if Capability.ORACLE in can else None)
        yield "labels", found.labels
        yield "object_labels", found.object_labels
    if Capability.RECONSTRUCT in can:
        yield "reconstruction", _as_bytes(method.reconstruct(images))
    if Capability.BACKGROUND in can:
        yield "background", _as_bytes(method.without_objects(images))
    if Capability.BOXES in can:
        proposals = method.boxes(images)
        boxes = proposals.boxes * images.shape[-1]
        boxes = boxes.masked_fill(~proposals.present[..., None], torch.nan)
        first = proposals.present.int().argsort(dim=1, descending=True, stable=True)
        most = int(proposals.present.sum(1).max())
        yield "boxes", boxes.take_along_dim(first[..., None], 1)[:, :most]
    if Capability.INSPECT in can:  # its `boxes`, of whole objects, replace those above
        yield from method.inspect(images).items()
    if can & {Capability.SAMPLE, Capability.RECOMPOSE}:
        generator = torch.Generator(method.device).manual_seed(0)
        if method.starts_from_images:
            rounds = [method.recompose(images, generator) for _ in range(SAMPLES)]
            made = torch.stack(rounds, 1)
        else:
            made = method.sample(len(images) * SAMPLES, generator).unflatten(0, (-1, SAMPLES))
        yield "samples", made.movedim(2, -1)


def _as_bytes(images: Tensor) -> Tensor:
    """Float (n, 3, H, W) in [0, 1] as uint8 (n, H, W, 3)."""
    return (images.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)


def save_panels(arrays: Mapping[str, np.ndarray], path: Path) -> None:
    """Write the arrays as compressed .npz, atomically."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
