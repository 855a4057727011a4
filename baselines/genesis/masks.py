"""GENESIS' mask VAE: latents of all slots in sequence, and masks by stick breaking."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional

from baselines.blocks.gaussian import DiagonalGaussian, posterior
from baselines.blocks.stick_breaking import stick_breaking
from baselines.genesis.settings import GenesisSettings

_STRIDES = {128: (2, 2, 2, 1, 1), 256: (2, 2, 2, 2, 1)}
_STRIDES_SMALL = (1, 2, 1, 2, 1)  # up to 64 pixels
_FULL, _HALF = 64, 32  # channels of the published layers

Draw = Callable[[DiagonalGaussian], Tensor]  # a sample, or the mean in evaluation


class Gated(nn.Module):
    """h·sigmoid(g), where h and g are the halves of a convolution's channels.

    Args:
        conv: convolution with an even number of output channels.
        normalise: apply BatchNorm to both halves.
    """

    def __init__(self, conv: nn.Conv2d | nn.ConvTranspose2d, normalise: bool = True) -> None:
        super().__init__()
        half = conv.out_channels // 2
        self.conv = conv
        self.norm_h = nn.BatchNorm2d(half) if normalise else nn.Identity()
        self.norm_g = nn.BatchNorm2d(half) if normalise else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = convolve(self.conv, x)
        if isinstance(self.norm_h, nn.BatchNorm2d) and isinstance(self.norm_g, nn.BatchNorm2d):
            y = normalise_parts(y, (self.norm_h, self.norm_g))
        return functional.glu(y, 1)


def convolve(conv: nn.Conv2d | nn.ConvTranspose2d, x: Tensor) -> Tensor:
    """conv(x), as a matrix product where its kernel covers the whole map.

    Between a map and a single cell, the product takes a third of the time of the library's
    convolution.
    """
    if conv.padding != (0, 0) or conv.bias is None:
        return conv(x)
    weight = conv.weight.flatten(1)
    if isinstance(conv, nn.Conv2d) and x.shape[2:] == conv.kernel_size:
        return functional.linear(x.flatten(1), weight, conv.bias)[:, :, None, None]
    if isinstance(conv, nn.ConvTranspose2d) and x.shape[2:] == (1, 1):
        maps = (x.flatten(1) @ weight).unflatten(1, (-1, *conv.kernel_size))
        return maps + conv.bias[:, None, None]
    return conv(x)


def normalise_parts(x: Tensor, norms: Sequence[nn.BatchNorm2d]) -> Tensor:
    """BatchNorms of consecutive parts of the channels, in one pass instead of one per part.

    Args:
        x: (B, C, H, W).
        norms: of equal momentum and ε, for C channels together; their running statistics are
            updated in training.
    """
    means, variances = ([getattr(n, f"running_{s}") for n in norms] for s in ("mean", "var"))
    mean, variance = torch.cat(means), torch.cat(variances)
    weight, bias = torch.cat([n.weight for n in norms]), torch.cat([n.bias for n in norms])
    training, momentum, eps = norms[0].training, norms[0].momentum or 0.0, norms[0].eps
    y = functional.batch_norm(x, mean, variance, weight, bias, training, momentum, eps)
    if training:
        sizes = [n.num_features for n in norms]
        for old, new in zip(
            means + variances, [*mean.split(sizes), *variance.split(sizes)], strict=True
        ):
            old.copy_(new)
        for n in norms:
            assert n.num_batches_tracked is not None
            n.num_batches_tracked += 1
    return y


class MaskVAE(nn.Module):
    """q(z_m | x) = Π_k q(z_m,k | z_m,<k, x) by an LSTM, and log-masks by stick breaking.

    Args:
        settings: of the method.
    """

    def __init__(self, settings: GenesisSettings) -> None:
        super().__init__()
        s = settings
        full, half = (max(1, round(s.width * c)) for c in (_FULL, _HALF))
        strides = _STRIDES.get(s.size, _STRIDES_SMALL)
        cells = s.size // prod(strides)  # side of the coarsest feature map
        self.slots = s.slots

        down = zip(
            (3, half, half, full, full), (half, half, full, full, full), strides, strict=True
        )
        convs = [Gated(nn.Conv2d(i, 2 * o, 5, stride, 2)) for i, o, stride in down]
        whole = Gated(nn.Conv2d(full, 2 * s.hidden, cells), normalise=False)
        self.encoder = nn.Sequential(*convs, whole, nn.Flatten())
        self.first = nn.Linear(s.hidden, 2 * s.mask_latent)
        self.lstm = nn.LSTMCell(s.hidden + s.mask_latent, 2 * s.mask_latent)
        self.later = nn.Linear(2 * s.mask_latent, 2 * s.mask_latent)

        up = zip(
            (full, full, half, half, half), (full, half, half, half, half), reversed(strides),
            strict=True,
        )  # fmt: skip
        grow = Gated(nn.ConvTranspose2d(s.mask_latent, 2 * full, cells), normalise=False)
        convs = [
            Gated(nn.ConvTranspose2d(i, 2 * o, 5, stride, 2, stride - 1)) for i, o, stride in up
        ]
        self.decoder = nn.Sequential(grow, *convs, nn.Conv2d(half, 1, 1))

    def encode(self, x: Tensor, draw: Draw) -> tuple[DiagonalGaussian, Tensor]:
        """Posteriors and latents, (B, K, latent), of x (B, 3, H, W) in [0, 1]."""
        h = self.encoder(x)
        q = [posterior(self.first(h))]
        z, state = [draw(q[0])], None
        for _ in range(self.slots - 1):
            state = self.lstm(torch.cat((h, z[-1]), 1), state)
            q.append(posterior(self.later(state[0])))
            z.append(draw(q[-1]))
        mean, std = (torch.stack(t, 1) for t in ([p.mean for p in q], [p.std for p in q]))
        return DiagonalGaussian(mean, std), torch.stack(z, 1)

    def decode(self, z: Tensor) -> Tensor:
        """Log-masks (B, K, 1, H, W) of latents (B, K, latent); the last is the remaining scope.

        All K latents are decoded, as published, although no mask uses the last slot's logit: the
        decoder's batch normalisation depends on every slot.
        """
        logits = self.decoder(z.flatten(0, 1)[:, :, None, None])
        return stick_breaking(logits.unflatten(0, (len(z), -1))[:, :-1])
