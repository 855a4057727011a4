"""One step of an adversarial game: alternating updates of two players.

Goodfellow et al., Generative adversarial nets, NeurIPS 2014.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from baselines.blocks.adversarial_settings import Updates
from denf.harness.method import descend

Terms = Mapping[str, Tensor]  # scalars; `objective` is minimised, all are logged


def alternate(
    discriminator: tuple[nn.Module, Optimizer],
    generator: tuple[nn.Module, Optimizer],
    discriminator_terms: Callable[[], Terms],
    generator_terms: Callable[[], Terms],
    updates: Updates,
) -> dict[str, Tensor]:
    """One training step of the game (Goodfellow et al. 2014, Algorithm 1).

    Args:
        discriminator, generator: each player and its optimiser.
        discriminator_terms: the discriminator's terms, computed anew at each update, on images that
            carry no gradient to the generator.
        generator_terms: the generator's terms, computed anew at each update.
        updates: number of updates of each player.

    Returns:
        detached terms, averaged over the updates of their player; `loss` is the sum of the two
        objectives, which is finite only if both are.
    """
    judged = _descents(*discriminator, discriminator_terms, updates.discriminator)
    with frozen(discriminator[0]):
        forged = _descents(*generator, generator_terms, updates.generator)
    loss = judged.pop("objective") + forged.pop("objective")
    return {"loss": loss, **judged, **forged}


def _descents(
    player: nn.Module, optimizer: Optimizer, terms: Callable[[], Terms], count: int
) -> dict[str, Tensor]:
    made = []
    for _ in range(count):
        found = terms()
        descend(found["objective"], optimizer, player, clip=None)
        made.append({name: value.detach() for name, value in found.items()})
    return {name: torch.stack([m[name] for m in made]).mean() for name in made[0]}


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Inside the context the module's parameters get no gradients; its input still does."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    try:
        for parameter in parameters:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)
