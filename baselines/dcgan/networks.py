"""The two networks of DCGAN, which DRAGAN uses too."""

from __future__ import annotations

from torch import nn

from denf.errors import DenfError

NARROW = 4  # side of the smallest feature maps


def stages(size: int, width: int) -> list[int]:
    """Channels from next to the image to 4 × 4: `width`, doubled whenever the side is halved."""
    count = (size // NARROW).bit_length() - 1
    if NARROW * 2**count != size:
        raise DenfError(
            "settings.size",
            expected=f"{NARROW} times a power of two",
            got=size,
            fix="Choose 16, 32, 64 or 128, and data of that size.",
        )
    return [width * 2**k for k in range(count)]


def generator(latent: int, channels: list[int]) -> nn.Sequential:
    """z (B, latent, 1, 1) to images in [-1, 1]: 4 × 4 transposed convolutions, batch norm, ReLU.

    Args:
        latent: dimensions of z.
        channels: see `stages`.
    """
    layers: list[nn.Module] = [nn.ConvTranspose2d(latent, channels[-1], NARROW, bias=False)]
    for wide, narrow in zip(channels[::-1], [*channels[-2::-1], 3], strict=True):
        layers += [nn.BatchNorm2d(wide), nn.ReLU(inplace=True)]
        layers += [nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1, bias=False)]
    return nn.Sequential(*layers, nn.Tanh()).apply(initialise)


def discriminator(channels: list[int], norm: type[nn.Module]) -> nn.Sequential:
    """Images to one raw output each, (B, 1, 1, 1): 4 × 4 convolutions, leaky ReLU of slope 0.2.

    Args:
        channels: see `stages`.
        norm: `BatchNorm2d`, or `InstanceNorm2d`, which does not mix the batch; none after the first
            convolution.
    """
    layers: list[nn.Module] = []
    for k, (narrow, wide) in enumerate(zip([3, *channels[:-1]], channels, strict=True)):
        layers += [nn.Conv2d(narrow, wide, 4, stride=2, padding=1, bias=False)]
        layers += [norm(wide, affine=True)] if k else []
        layers += [nn.LeakyReLU(0.2, inplace=True)]
    layers += [nn.Conv2d(channels[-1], 1, NARROW, bias=False)]
    return nn.Sequential(*layers).apply(initialise)


def initialise(module: nn.Module) -> None:
    """Set weights to N(0, 0.02²); weights of normalisations to N(1, 0.02²), their biases to 0."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)
