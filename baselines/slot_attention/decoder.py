"""Slot Attention's decoder: a slot tiled over a grid, transposed convolutions (appendix E.3)."""

from __future__ import annotations

from torch import Tensor, nn

from baselines.blocks.broadcast import PositionEmbedding, convolve_tiled
from baselines.blocks.images import fastest_layout
from baselines.slot_attention.settings import SlotAttentionSettings

KERNEL = 5  # side of all kernels but the last


class SlotDecoder(nn.ModuleList):
    """Position embedding of the tiled slots, then transposed convolutions with ReLU."""

    def __init__(self, s: SlotAttentionSettings) -> None:
        layers: list[nn.Module] = [PositionEmbedding(s.slot_size)]
        before = s.slot_size
        for stride in s.decoder_strides:
            layers += [
                nn.ConvTranspose2d(
                    before, s.channels, KERNEL, stride, KERNEL // 2, output_padding=stride - 1
                ),
                nn.ReLU(),
            ]
            before = s.channels
        super().__init__([*layers, nn.ConvTranspose2d(before, 4, 3, padding=1)])
        last = max((k for k, stride in enumerate(s.decoder_strides) if stride > 1), default=0)
        self.strided = 2 * last  # modules after the first convolution, up to the last strided one

    def forward(self, slots: Tensor, grid: tuple[int, int]) -> Tensor:
        """(N, 4, H, W), red, green, blue and mask logit, from slots (N, D) tiled over a grid."""
        embed, first, *others = self
        assert isinstance(first, nn.ConvTranspose2d)
        if first.stride == (1, 1):
            h = self._first(first, slots, embed(slots.new_zeros(1, slots.shape[1], *grid)))
        else:
            h = first(embed(slots[:, :, None, None].expand(-1, -1, *grid)))
        for k, layer in enumerate(others):
            h = layer(fastest_layout(h) if k >= self.strided else h)
        return h.contiguous()

    def _first(self, layer: nn.ConvTranspose2d, slots: Tensor, embedding: Tensor) -> Tensor:
        """The first layer of slots (N, D) and the embedding (1, D, h, w), without repeated work.

        The layer is linear, and its result for the embedding is the same for all slots.
        """

        def of_tiled(points: Tensor) -> Tensor:
            return nn.functional.conv_transpose2d(points, layer.weight, padding=KERNEL // 2)

        size = (embedding.shape[2], embedding.shape[3])
        return layer(embedding) + convolve_tiled(slots, of_tiled, KERNEL, size)
