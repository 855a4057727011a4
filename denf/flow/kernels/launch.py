"""Launching the kernels: grids, tiles and strides, for both directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import triton
from torch import Tensor

from denf.flow.kernels import hidden, thin, weights
from denf.flow.kernels.packing import Packing, Strides

LEAKY_SLOPE = 0.2
BLOCK = 128  # pixels per tile of a map
SUM_BLOCK = 64  # pixels per tile in sums over pixels
MOST_SPLITS = 64  # parts of a sum over pixels: enough programs for all multiprocessors


@dataclass(frozen=True)
class Direction:
    """Forward or backward: the weights applied from one thin side to the other.

    Args:
        first, second, last, skip: forward in this order, backward transposed and in reverse.
        biases: first elements of the biases of the two hidden layers and of the thin output.
        inputs, outputs: channels of the thin sides.
        shared: subnets that read the same channels.
        nets: subnets whose outputs are summed in one group of channels.
        backward: whether φ′ replaces φ, and biases are left out.
    """

    first: Strides
    second: Strides
    last: Strides
    skip: Strides
    biases: tuple[int, int, int]
    inputs: int
    outputs: int
    shared: int
    nets: int
    backward: bool


@dataclass(frozen=True)
class Launch:
    """Sizes of one evaluation.

    Args:
        B, H, W: of the maps.
        nets: number n of subnets.
        shared: subnets that read the same channels of x.
        packing: of their parameters.
        dtype: of hidden maps and weights.
    """

    B: int
    H: int
    W: int
    nets: int
    shared: int
    packing: Packing
    dtype: torch.dtype

    @property
    def forward(self) -> Direction:
        p = self.packing
        biases = (p.starts[1], p.starts[3], p.starts[5])
        return Direction(*p.weights, biases, p.inputs, p.outputs, self.shared, 1, False)

    @property
    def backward(self) -> Direction:
        p = self.packing
        first, second, last, skip = (w.transposed for w in p.weights)
        order = (last, second, first, skip)
        return Direction(*order, (0, 0, 0), p.outputs, p.inputs, 1, self.shared, True)

    def run(
        self, way: Direction, source: Tensor, packed: Tensor, like: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Three kernels from one thin side to the other.

        Args:
            way: see `Direction`.
            source: maps of one thin side, of any strides.
            packed: parameters (n, length).
            like: maps whose signs are φ′, in the order of `way`; backward only.

        Returns:
            both hidden maps (n, P, F) and the other thin side (B, channels, H, W).
        """
        P, F, n, length = (
            self.B * self.H * self.W,
            self.packing.features,
            self.nets,
            packed.shape[1],
        )
        one, two = (source.new_empty(n, P, F, dtype=self.dtype) for _ in range(2))
        like_one, like_two = like or (one, two)
        taps = source.new_empty(n, 9 * way.outputs, P, dtype=self.dtype)
        groups = n // way.nets
        result = source.new_empty(self.B, groups * way.outputs, self.H, self.W)
        tile = {"F": F, "FEATURES": padded(F), "SLOPE": LEAKY_SLOPE, "PRECISION": precision()}
        common: dict[str, Any] = {
            "H": self.H,
            "W": self.W,
            "BLOCK": BLOCK,
            "BACKWARD": way.backward,
        }
        blocks = triton.cdiv(P, BLOCK)
        hidden.from_thin[(blocks, n)](
            *(source, packed, like_one, one, P, length),
            *(way.first.at, way.biases[0], way.shared, *source.stride()),
            *(way.first.outer, way.first.tap, way.first.inner),
            **(common | tile),
            C=way.inputs,
            COLUMNS=padded(9 * way.inputs),
        )
        hidden.from_hidden[(blocks, n)](
            *(one, packed, like_two, two, taps, P, length),
            *(way.second.at, way.biases[1], way.last.at),
            *(way.second.outer, way.second.inner),
            *(way.last.inner, way.last.tap, way.last.outer),
            **(common | tile),
            C=way.outputs,
            COLUMNS=padded(9 * way.outputs),
        )
        thin.to_thin[(blocks, groups)](
            *(taps, source, packed, result, P, length),
            *(way.skip.at, way.biases[2], way.shared, *source.stride()),
            *(way.skip.outer, way.skip.tap, way.skip.inner, result.stride(0)),
            **common,
            C=way.outputs,
            CIN=way.inputs,
            NETS=way.nets,
            CHANNELS=triton.next_power_of_2(way.outputs),
        )
        return one, two, result

    def sums(
        self,
        x: Tensor,
        hiddens: tuple[Tensor, Tensor],
        grad_y: Tensor,
        grads: tuple[Tensor, Tensor],
    ) -> Tensor:
        """Gradients of all parameters, (n, length) float32.

        Args:
            x, grad_y: both thin sides.
            hiddens: h₁ and h₂.
            grads: gradients of both before φ.
        """
        P, p = self.B * self.H * self.W, self.packing
        F, length, n = p.features, p.starts[-1], self.nets
        blocks = triton.cdiv(P, SUM_BLOCK)
        split = triton.cdiv(blocks, MOST_SPLITS)
        splits = triton.cdiv(blocks, split)
        parts = x.new_empty(splits, n, length, dtype=torch.float32)
        common: dict[str, Any] = {"H": self.H, "W": self.W, "BLOCK": SUM_BLOCK}
        common |= {"PRECISION": precision(), "SPLIT": split}
        weights.of_hidden[(3 * splits, n)](
            *(hiddens[0], grads[1], parts, P, n * length),
            *(p.starts[2], p.starts[3], length),
            **common,
            F=F,
            FEATURES=padded(F),
        )

        def thin_layer(
            maps: Tensor,
            features: int,
            source: Tensor,
            shared: int,
            weight: Strides,
            bias: int | None,
        ) -> None:
            if maps.dim() == 3:  # (n, P, F)
                strides: tuple[int, ...] = (P * F, self.H * self.W * F, 1, self.W * F, F)
            else:
                strides = (features * maps.stride(1), *maps.stride())
            weights.of_thin[(splits, n)](
                *(maps, source, parts, P, n * length),
                *(weight.at, bias or 0, length, shared, *strides, *source.stride()),
                *(weight.outer, weight.tap, weight.inner),
                **common,
                C=source.shape[1] * shared // n,
                F=features,
                COLUMNS=padded(9 * source.shape[1] * shared // n),
                FEATURES=padded(features),
                FLIP=bias is None,
                BIAS=bias is not None,
            )

        first, _, last, skip = p.weights
        thin_layer(grads[0], F, x, self.shared, first, p.starts[1])
        thin_layer(hiddens[1], F, grad_y, 1, last.transposed, None)
        thin_layer(grad_y, p.outputs, x, self.shared, skip, p.starts[5])
        return parts.sum(0)


def padded(size: int) -> int:
    """The next size that matrix units support."""
    return max(16, triton.next_power_of_2(size))


def precision() -> str:
    """Arithmetic of float32 products, as set in torch for convolutions."""
    return "tf32" if torch.backends.cudnn.allow_tf32 else "ieee"
