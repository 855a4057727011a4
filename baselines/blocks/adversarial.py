"""An adversarial method: a generator, a discriminator, and a note if the discriminator has won.

Goodfellow et al., Generative adversarial nets, NeurIPS 2014.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from baselines.blocks.adversarial_settings import AdversarialSettings
from baselines.blocks.alternation import Terms, alternate
from baselines.blocks.images import check_size, to_unit
from denf.harness.method import Capability, Method, Step

WON = 0.02  # a discriminator loss below this leaves the generator almost no gradient
LONG = 0.1  # fraction of the training; shorter periods of a low loss end by themselves
FEWEST_ROWS = 3  # of the history in such a period


class Adversarial(Method):
    """A generator and a discriminator with one Adam optimiser each; the only capability is SAMPLE.

    A subclass makes both networks and defines the loss of each player and how images are drawn. A
    training step is `updates.discriminator` updates of the discriminator, then `updates.generator`
    of the generator. The saved state holds both networks and both optimisers.
    """

    capabilities = frozenset({Capability.SAMPLE})
    intensity: ClassVar[float] = 1.0  # images are in [-intensity, intensity] inside the networks
    settings: AdversarialSettings
    generator: nn.Module
    discriminator: nn.Module

    def __init__(self, settings: AdversarialSettings) -> None:
        super().__init__(settings)
        self.discriminator, self.generator = self.make_players()

    @abstractmethod
    def make_players(self) -> tuple[nn.Module, nn.Module]:
        """The discriminator and the generator, from `settings`."""

    def make_optimizers(self) -> dict[str, Optimizer]:
        s = self.settings
        players = {"generator": self.generator, "discriminator": self.discriminator}
        return {
            name: Adam(player.parameters(), s.learning_rate, (s.beta1, s.beta2), fused=True)
            for name, player in players.items()
        }

    def training_step(self, batch: Tensor, step: Step) -> Mapping[str, Tensor]:
        real = self._signed(batch)
        return self.play(
            lambda: self.discriminator_terms(real, step.generator),
            lambda: self.generator_terms(len(real), step.generator),
        )

    def play(
        self, discriminator_terms: Callable[[], Terms], generator_terms: Callable[[], Terms]
    ) -> Mapping[str, Tensor]:
        """The updates of one step; see `alternate`."""
        return alternate(
            (self.discriminator, self.optimizers["discriminator"]),
            (self.generator, self.optimizers["generator"]),
            discriminator_terms,
            generator_terms,
            self.settings.updates,
        )

    @abstractmethod
    def discriminator_terms(self, real: Tensor, random: torch.Generator) -> Terms:
        """The discriminator's loss.

        Args:
            real: (B, 3, H, W) in [-intensity, intensity].
            random: source of all noise.

        Returns:
            `objective`, which is minimised, and `discriminator`, the loss of the game alone,
            without penalties.
        """

    @abstractmethod
    def generator_terms(self, count: int, random: torch.Generator) -> Terms:
        """The generator's loss on `count` new images: `objective` and `generator`."""

    @abstractmethod
    def draw(self, count: int, random: torch.Generator) -> Tensor:
        """New images (count, 3, H, W) in [-intensity, intensity]; `sample` clips larger values."""

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        grey = (self.draw(count, generator) / self.intensity + 1) * 127.5
        return grey.round().clamp(0, 255).to(torch.uint8)

    def notes(self, history: Sequence[Mapping[str, float]]) -> list[str]:
        return discriminator_won(history)

    def _signed(self, images: Tensor) -> Tensor:
        """uint8 grey levels to [-intensity, intensity]."""
        check_size(images, self.settings.size, type(self).__name__)
        return (2 * to_unit(images) - 1) * self.intensity


def discriminator_won(history: Sequence[Mapping[str, float]]) -> list[str]:
    """One sentence if the discriminator's loss stayed below `WON` for long, else nothing.

    Args:
        history: rows with `step` and `discriminator`, the loss of the game without penalties.
    """
    best: tuple[int, int] | None = None  # first and last row of the longest period
    start = 0
    for k, row in enumerate(history):
        if row["discriminator"] >= WON:
            start = k + 1
        elif best is None or k - start > best[1] - best[0]:
            best = (start, k)
    if best is None or best[1] - best[0] + 1 < FEWEST_ROWS:
        return []
    first, last, total = (history[k]["step"] for k in (*best, -1))
    if last - first < LONG * total:
        return []
    return [
        f"the discriminator won: its loss stayed below {WON} from step {first:.0f} to "
        f"{last:.0f} of {total:.0f}, where the generator hardly learns"
    ]
