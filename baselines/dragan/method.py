"""DRAGAN: the game of DCGAN with a penalty on the discriminator's gradient around real images.

Kodali, Abernethy, Hays and Kira, On convergence and stability of GANs, arXiv:1705.07215. Weight,
noise and learning rate are those of the authors' code, kodalinaveen3/DRAGAN, whose networks are
multilayer perceptrons for digits. No source names the networks of the published value on traffic
scenes. Here they are those of DCGAN, with instance normalisation in the discriminator, because with
batch normalisation the gradient of an image depends on the other images. The number of parameters
is the same.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.blocks.alternation import Terms
from baselines.blocks.game import dragan_penalty
from baselines.dcgan.method import Dcgan
from baselines.dragan.settings import DraganSettings


class Dragan(Dcgan):
    """DCGAN with a gradient penalty in the discriminator's loss; see `dragan_penalty`."""

    settings: DraganSettings
    norm = nn.InstanceNorm2d

    def discriminator_terms(self, real: Tensor, random: torch.Generator) -> Terms:
        s, terms = self.settings, super().discriminator_terms(real, random)
        penalty = dragan_penalty(self.discriminator, real, random, s.noise, s.target)
        return {**terms, "objective": terms["objective"] + s.penalty * penalty, "penalty": penalty}
