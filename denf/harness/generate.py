"""New images by any method, for samples and Fréchet distances."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from denf.data.prepared import Prepared
from denf.errors import DenfError
from denf.evenly import evenly_spread
from denf.harness.method import Capability, Method
from denf.harness.scenes import channels_first


class SampleMode(StrEnum):
    """Where generated images come from (Table 2 states it)."""

    OBJECTS_SUBSET = "objects-subset"  # real images, a random subset of their objects kept
    PRIOR = "prior"


@torch.no_grad()
def generate(
    method: Method, count: int, *, source: Prepared | None, seed: int, batch_size: int = 32
) -> tuple[np.ndarray, SampleMode]:
    """New images by a method: recomposed from real ones where these are given, else from its prior.

    Args:
        method: with RECOMPOSE or SAMPLE.
        count: images wanted. Fewer than `source` has are made from images evenly spread over it;
            more from all of them in order, and again, the last time from evenly spread ones.
        source: real images to recompose; not those that the samples will be compared with.
        seed: of every random draw.
        batch_size: images per batch.

    Returns:
        uint8 (count, H, W, 3) and the mode.

    Raises:
        DenfError: for a method that cannot generate, or not from `source`.
    """
    able = ", ".join(sorted(method.capabilities)) or "no capability"
    recomposes = Capability.RECOMPOSE in method.capabilities
    samples = Capability.SAMPLE in method.capabilities
    if source is not None and samples and not recomposes:
        raise DenfError(
            type(method).__name__,
            expected="a method that can recompose the images of --source",
            got=able,
            fix="Leave --source out to sample the prior, or choose another method.",
        )
    generator = torch.Generator(method.device).manual_seed(seed)
    if recomposes and source is not None:
        mode = SampleMode.OBJECTS_SUBSET
        made = _recompositions(method, source, generator, count, batch_size)
    elif samples:
        mode = SampleMode.PRIOR
        made = _samples(method, generator, min(batch_size, count))
    else:
        raise DenfError(
            type(method).__name__,
            expected="a method that samples, or one that recomposes and real images to start from",
            got=able,
            fix="Give --source, or choose another method.",
        )
    parts: list[np.ndarray] = []
    missing = count
    with tqdm(total=count, desc="samples", unit="image", disable=None) as bar:
        while missing:
            parts.append(next(made)[:missing].permute(0, 2, 3, 1).cpu().numpy())
            missing -= len(parts[-1])
            bar.update(len(parts[-1]))
    return np.concatenate(parts), mode


def _recompositions(
    method: Method, source: Prepared, generator: torch.Generator, count: int, batch_size: int
) -> Iterator[Tensor]:
    for done in range(0, count, len(source)):
        chosen = evenly_spread(count - done, len(source))
        for start in range(0, len(chosen), batch_size):
            images = source.images[chosen[start : start + batch_size]]
            yield method.recompose(channels_first(images, method.device), generator)


def _samples(method: Method, generator: torch.Generator, batch_size: int) -> Iterator[Tensor]:
    while True:
        yield method.sample(batch_size, generator)
