"""The component VAE of MONet and GENESIS: input of its encoder, initial posterior."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from baselines.blocks.component_aids import add_to_deviations, mask_and_masked_image
from baselines.blocks.component_vae import ComponentVAE


@pytest.fixture
def vae() -> ComponentVAE:
    torch.manual_seed(0)
    return ComponentVAE(size=16, channels=4, latent=3, outputs=3, activation=nn.ReLU)


@torch.no_grad()
@pytest.mark.parametrize("masked", [True, False])
def test_masked_encoders_do_not_see_pixels_outside_their_slot(vae: ComponentVAE, masked: bool):
    if masked:
        vae.encoder_input = mask_and_masked_image
    x = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    masks = torch.full((1, 2, 1, 16, 16), 1e-9)
    masks[:, 0, :, :, :8] = masks[:, 1, :, :, 8:] = 1
    changed = x.clone()
    changed[..., 8:] = 1 - changed[..., 8:]
    before, after = (vae.encode(image, masks.log()).mean for image in (x, changed))
    assert torch.allclose(before[:, 0], after[:, 0], atol=1e-6) == masked
    assert not torch.allclose(before[:, 1], after[:, 1], atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("bias", [0.0, -3.5])
def test_std_starts_at_softplus_of_one_half_plus_the_bias(vae: ComponentVAE, bias: float):
    nn.init.zeros_(vae.encoder[-1].weight)
    nn.init.zeros_(vae.encoder[-1].bias)
    add_to_deviations([vae.encoder[-1]], bias)
    q = vae.encode(torch.rand(2, 3, 16, 16), torch.zeros(2, 1, 1, 16, 16))
    expected = math.log1p(math.exp(0.5 + bias))
    torch.testing.assert_close(q.std, torch.full((2, 1, 3), expected))
    assert not q.mean.any()
