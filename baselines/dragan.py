"""DRAGAN: the game of DCGAN with a penalty on the discriminator's gradient around real images.

Kodali, Abernethy, Hays and Kira, On convergence and stability of GANs, arXiv:1705.07215. Weight,
noise and learning rate are those of the authors' code, kodalinaveen3/DRAGAN, whose own networks are
multilayer perceptrons for digits. No source names the networks behind the published number on
traffic scenes: here they are those of DCGAN, with instance normalisation in the discriminator,
because batch normalisation would let the gradient of one image depend on the others. Both have as
many parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor, nn

from baselines.blocks.adversarial import Terms
from baselines.blocks.game import dragan_penalty
from baselines.dcgan import Dcgan, DcganSettings


@dataclass(frozen=True)
class DraganSettings(DcganSettings):
    """Settings; the others are those of DCGAN.

    Args:
        learning_rate: Adam's.
        beta2: Adam's decay of the squared gradient.
        penalty: weight of the penalty, λ.
        noise: of the perturbed images, in standard deviations of the batch, c.
        target: gradient norm that the penalty pulls to, k; the authors advise 1.
    """

    learning_rate: Annotated[float, Gt(0)] = 1e-4
    beta2: Annotated[float, Ge(0), Lt(1)] = 0.9
    penalty: Annotated[float, Ge(0)] = 10.0
    noise: Annotated[float, Ge(0)] = 0.5
    target: Annotated[float, Ge(0)] = 1.0


class Dragan(Dcgan):
    """DCGAN whose discriminator also keeps its slope near the real images."""

    Settings: ClassVar[type] = DraganSettings
    norm = nn.InstanceNorm2d
    settings: DraganSettings

    def discriminator_terms(self, real: Tensor, random: torch.Generator) -> Terms:
        s, terms = self.settings, super().discriminator_terms(real, random)
        penalty = dragan_penalty(self.discriminator, real, random, s.noise, s.target)
        return {**terms, "objective": terms["objective"] + s.penalty * penalty, "penalty": penalty}
