"""Samples of an adversarial method from a running average of its generator's weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from baselines.blocks.adversarial import Adversarial
from baselines.blocks.averaging import WeightAverage
from denf.harness.method import Step


class Averaged(Adversarial):
    """A mixin for an adversarial method: samples, but not training, use averaged weights.

    `class Aided(Averaged, Published)`; call `average_weights` after the initial weights are set.
    """

    average: WeightAverage | None

    def average_weights(self, decay: float) -> None:
        """Start the average at the current weights; with a decay of 0 there is no average."""
        self.average = WeightAverage(self.generator, decay) if decay else None

    def training_step(self, batch: Tensor, step: Step) -> Mapping[str, Tensor]:
        terms = super().training_step(batch, step)
        if self.average is not None:
            self.average.update(self.generator)
        return terms

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        if self.average is None:
            return super().sample(count, generator)
        with self.average.applied_to(self.generator):
            return super().sample(count, generator)
