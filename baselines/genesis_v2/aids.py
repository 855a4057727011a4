"""GENESIS-V2 with aids for a small budget: inputs, initial weights and two terms of the loss."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.blocks.broadcast import coordinates
from baselines.blocks.component_aids import add_to_deviations
from baselines.blocks.gaussian import DiagonalGaussian
from baselines.blocks.mixture import SlotMixture
from baselines.genesis_v2.aid_settings import GenesisV2Aids
from baselines.genesis_v2.clustering import SemiConvolution
from baselines.genesis_v2.method import GenesisV2, Terms
from baselines.genesis_v2.settings import GenesisV2Settings

_PLACES = 3.0  # scale of coordinates; that of the other features is about one
_LEAST_STD = 1e-3  # added to an image's standard deviation


class AidedGenesisV2(GenesisV2):
    """GENESIS-V2 with aids; with their defaults it equals GENESIS-V2."""

    def __init__(self, settings: GenesisV2Settings, aids: GenesisV2Aids) -> None:
        super().__init__(settings)
        self.aids = aids
        embedding = self.colour_head[-1]
        assert isinstance(embedding, SemiConvolution)
        nn.init.constant_(embedding.gate, aids.gate)
        add_to_deviations([self.latent_head[-1]], aids.std_bias)

    def encode(self, x: Tensor, scores: Tensor) -> tuple[Tensor, DiagonalGaussian]:
        return super().encode(standardise(x) if self.aids.standardised else x, scores)

    def pixel_features(self, features: Tensor) -> Tensor:
        found = super().pixel_features(features)
        if not self.aids.positions:
            return found
        grid = _PLACES * coordinates(found.shape[2], found.shape[3], like=found)
        moments = torch.cat((grid, grid.square())).expand(len(found), -1, -1, -1)
        return torch.cat((found[:, :-4], moments), 1)

    def loss(self, terms: Terms) -> Tensor:
        aids, loss = self.aids, super().loss(terms)
        if aids.cluster_weight:
            clustered = SlotMixture(terms.decoded.rgb, terms.log_masks)
            log_prob = clustered.log_prob(terms.x, self.settings.pixel_std).mean()
            loss = loss - aids.cluster_weight * log_prob
        if aids.mask_weight:
            difference = terms.log_masks - terms.decoded.log_masks
            divergence = (terms.log_masks.exp() * difference).sum((1, 2, 3, 4)).mean()
            loss = loss + aids.mask_weight * divergence
        return loss


def standardise(x: Tensor) -> Tensor:
    """Images (B, 3, H, W) minus their mean colours, each divided by its standard deviation."""
    centred = x - x.mean((2, 3), keepdim=True)
    return centred / (centred.square().mean((1, 2, 3), keepdim=True).sqrt() + _LEAST_STD)
