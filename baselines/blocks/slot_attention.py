"""Slot attention: slots compete for the positions of a feature map, iteratively (Algorithm 1).

Locatello et al., "Object-centric learning with slot attention", NeurIPS 2020.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from baselines.blocks.broadcast import PositionEmbedding
from baselines.blocks.images import fastest_layout

EPSILON = 1e-8  # added to the attention before it is normalised over positions
KERAS_EPS = 1e-3  # default of Keras' layer normalisation, used by the published code


class SlotEncoder(nn.Module):
    """Inputs of slot attention: convolutions, position embedding, MLP per position (appendix E.2).

    Args:
        channels: of every layer.
        strides: one per 5×5 convolution; each convolution is followed by a ReLU.
        eps: of the layer normalisation.
    """

    def __init__(self, channels: int, strides: Sequence[int], eps: float = KERAS_EPS) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for stride in strides:
            layers += [nn.Conv2d(before, channels, 5, stride, 2), nn.ReLU()]
            before = channels
        self.plain = max(strides) == 1
        self.features = nn.Sequential(*layers, PositionEmbedding(channels))
        self.project = nn.Sequential(
            nn.LayerNorm(channels, eps),
            nn.Linear(channels, channels),
            nn.ReLU(),
            nn.Linear(channels, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, channels) from (B, 3, H, W)."""
        return self.project(self.features(fastest_layout(x) if self.plain else x).flatten(2).mT)


class SlotAttention(nn.Module):
    """Algorithm 1 of the paper.

    Args:
        features: channels of the inputs.
        slot_size: channels of a slot, and of queries, keys and values.
        hidden: width of the residual MLP.
        iterations: T.
        bias: of the projections to queries, keys and values.
        eps: of the layer normalisations.
    """

    def __init__(
        self,
        features: int,
        slot_size: int,
        hidden: int,
        *,
        iterations: int,
        bias: bool = False,
        eps: float = KERAS_EPS,
    ) -> None:
        super().__init__()
        self.iterations = iterations
        self.scale = slot_size**-0.5
        self.norm_inputs = nn.LayerNorm(features, eps)
        self.norm_slots = nn.LayerNorm(slot_size, eps)
        self.norm_mlp = nn.LayerNorm(slot_size, eps)
        self.to_q = nn.Linear(slot_size, slot_size, bias)
        self.to_k = nn.Linear(features, slot_size, bias)
        self.to_v = nn.Linear(features, slot_size, bias)
        self.gru = nn.GRUCell(slot_size, slot_size)
        self.mlp = nn.Sequential(
            nn.Linear(slot_size, hidden), nn.ReLU(), nn.Linear(hidden, slot_size)
        )

    def forward(self, inputs: Tensor, slots: Tensor) -> tuple[Tensor, Tensor]:
        """Refine the slots.

        Args:
            inputs: (B, N, features), N positions.
            slots: (B, K, slot_size), initial values.

        Returns:
            the slots (B, K, slot_size) and the last attention (B, K, N), a distribution over
            slots at each position.
        """
        inputs = self.norm_inputs(inputs)
        k, v = self.to_k(inputs), self.to_v(inputs)  # (B, N, D)
        attention = inputs.new_empty(0)
        for _ in range(self.iterations):
            q = self.to_q(self.norm_slots(slots)) * self.scale
            attention = torch.softmax(q @ k.mT, 1)  # Eq. 1, (B, K, N); slots compete
            weights = attention + EPSILON
            weights = weights / weights.sum(2, keepdim=True)
            updates = weights @ v  # Eq. 2, weighted mean over positions
            slots = self.gru(updates.flatten(0, 1), slots.flatten(0, 1)).view_as(slots)
            slots = slots + self.mlp(self.norm_mlp(slots))
        return slots, attention


def initialise_as_keras(module: nn.Module) -> None:
    """Glorot-uniform weights, orthogonal recurrent weights, zero biases: Keras' defaults.

    For `Module.apply`. Layer normalisations and parameters outside layers are not changed.
    """
    if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.GRUCell):
        nn.init.xavier_uniform_(module.weight_ih)
        nn.init.orthogonal_(module.weight_hh)
        nn.init.zeros_(module.bias_ih)
        nn.init.zeros_(module.bias_hh)
