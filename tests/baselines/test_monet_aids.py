"""MONet's aids: view, input of the component VAE, initial standard deviations."""

from __future__ import annotations

import torch
from torch import Tensor

from baselines.monet.aid_settings import MonetAids
from baselines.monet.aids import AidedMonet
from baselines.monet.settings import MonetSettings

SMALL = MonetSettings(size=16, slots=4, channels=4, component_channels=4, latent=3)


def aided(**aids) -> AidedMonet:
    torch.manual_seed(0)
    return AidedMonet(SMALL, MonetAids(**aids))


def images(side: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, 3, side, side), generator=generator, dtype=torch.uint8)


@torch.no_grad()
def test_standard_deviations_start_smaller_and_means_are_unchanged():
    x, log_masks = images(16) / 255, torch.full((2, 4, 1, 16, 16), 0.25).log()
    before, after = (aided(std_bias=b).component_vae.encode(x, log_masks) for b in (0.0, -2.5))
    torch.testing.assert_close(after.mean, before.mean)
    raw, less = (torch.log(torch.expm1(q.std.double())) for q in (before, after))
    torch.testing.assert_close(less, raw - 2.5, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_masked_inputs_reach_the_component_vae():
    method, x = aided(masked_input=True), images(16) / 255
    log_masks = torch.full((2, 4, 1, 16, 16), 0.25).log()
    seen = []
    method.component_vae.encoder.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    method.component_vae.encode(x, log_masks)
    torch.testing.assert_close(seen[0].view(2, 4, 4, 16, 16)[:, 1, 1:], x / 4)
