"""Adversarial training: two players, alternating updates, and a sign when one has won.

Goodfellow et al., Generative adversarial nets, NeurIPS 2014.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt, Lt
from pydantic import ConfigDict
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from baselines.blocks.averaging import WeightAverage
from baselines.blocks.images import to_unit
from denf.errors import DenfError
from denf.harness.method import Capability, Method, Step, descend

Terms = Mapping[str, Tensor]  # scalars; `objective` is descended, all are logged

WON = 0.02  # a discriminator loss below this leaves the generator next to no gradient
LONG = 0.1  # of the training; shorter spells end by themselves
FEWEST_ROWS = 3  # of the history; less says nothing about a spell


@dataclass(frozen=True)
class Updates:
    """Descents of each player in one training step; all see the same real images.

    Args:
        discriminator: first.
        generator: then, against the updated discriminator, with new noise each time.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    discriminator: Annotated[int, Ge(1)] = 1
    generator: Annotated[int, Ge(1)] = 1


@dataclass(frozen=True)
class AdversarialSettings:
    """Settings of every adversarial method.

    Args:
        size: side of the images in pixels; the networks are made for it.
        learning_rate: Adam's, of both players.
        beta1: Adam's decay of the mean gradient.
        beta2: Adam's decay of the squared gradient.
        updates: see `Updates`.
        average: decay of the average of the generator's weights that samples are drawn with; see
            `WeightAverage`. At 0 they are drawn with the last weights.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    size: Annotated[int, Ge(16)] = 128
    learning_rate: Annotated[float, Gt(0)] = 2e-4
    beta1: Annotated[float, Ge(0), Lt(1)] = 0.5
    beta2: Annotated[float, Ge(0), Lt(1)] = 0.999
    updates: Updates = field(default_factory=Updates)
    average: Annotated[float, Ge(0), Lt(1)] = 0.0


class Adversarial(Method):
    """A generator and a discriminator with one Adam each; it can sample, and nothing else.

    A subclass makes the two, and says what each player descends and how an image is drawn. The
    training loop knows nothing of them: a step is `updates.discriminator` descents of one and
    `updates.generator` of the other, and both networks and both optimisers are in the saved state,
    as with any method. All arithmetic is float32, whatever `precision` says.
    """

    Settings: ClassVar[type] = AdversarialSettings
    capabilities = frozenset({Capability.SAMPLE})
    intensity: ClassVar[float] = 1.0  # images are in [-intensity, intensity] inside the networks
    settings: AdversarialSettings
    generator: nn.Module
    discriminator: nn.Module

    def __init__(
        self, settings: AdversarialSettings, precision: torch.dtype = torch.float32
    ) -> None:
        super().__init__(settings, precision)
        self.discriminator, self.generator = self.make_players()
        decay = settings.average
        self.average = WeightAverage(self.generator, decay) if decay else None

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
    ) -> dict[str, Tensor]:
        """The updates of one step, see `alternate`, and the average of the weights."""
        terms = alternate(
            (self.discriminator, self.optimizers["discriminator"]),
            (self.generator, self.optimizers["generator"]),
            discriminator_terms,
            generator_terms,
            self.settings.updates,
        )
        if self.average is not None:
            self.average.update(self.generator)
        return terms

    @abstractmethod
    def discriminator_terms(self, real: Tensor, random: torch.Generator) -> Terms:
        """What the discriminator descends.

        Args:
            real: (B, 3, H, W) in [-intensity, intensity].
            random: source of all noise.

        Returns:
            `objective`, and `discriminator`, the part of it that is the game.
        """

    @abstractmethod
    def generator_terms(self, count: int, random: torch.Generator) -> Terms:
        """What the generator descends, on so many new images: `objective` and `generator`."""

    @abstractmethod
    def draw(self, count: int, random: torch.Generator) -> Tensor:
        """New images (count, 3, H, W) in [-intensity, intensity], or beyond where clipped later."""

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        with self.average.worn_by(self.generator) if self.average else nullcontext():
            images = self.draw(count, generator)
        grey = (images / self.intensity + 1) * 127.5
        return grey.round().clamp(0, 255).to(torch.uint8)

    def notes(self, history: Sequence[Mapping[str, float]]) -> list[str]:
        return discriminator_won(history)

    def _signed(self, images: Tensor) -> Tensor:
        """uint8 grey levels to [-intensity, intensity]."""
        side = self.settings.size
        if images.shape[2:] != (side, side):
            raise DenfError(
                f"images for {type(self).__name__}",
                expected=f"{side}×{side} pixels, the setting `size`",
                got=f"{images.shape[3]}×{images.shape[2]}",
                fix="Change `settings.size`, or prepare the data with another --size.",
            )
        return (2 * to_unit(images) - 1) * self.intensity


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
        discriminator_terms: the discriminator's terms, computed anew at each descent, with images
            that carry no gradient to the generator.
        generator_terms: the generator's, likewise.
        updates: descents of each.

    Returns:
        detached terms, averaged over the descents of their player; `loss` is the sum of the two
        objectives, so that it is finite only if both are.
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
    """No gradients for the module's parameters; those for its input pass through."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    try:
        for parameter in parameters:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


def discriminator_won(history: Sequence[Mapping[str, float]]) -> list[str]:
    """A sentence when the discriminator told all images apart for long, else nothing.

    Args:
        history: rows with `step` and `discriminator`, the loss of the game without penalties.
    """
    best: tuple[int, int] | None = None  # rows of the longest spell
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
