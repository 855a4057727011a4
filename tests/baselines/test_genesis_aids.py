"""GENESIS' aids: view, input of the component VAE, initial standard deviations."""

from __future__ import annotations

import torch
from torch import Tensor

from baselines.genesis.aid_settings import GenesisAids
from baselines.genesis.aids import AidedGenesis
from baselines.genesis.settings import GenesisSettings

SMALL = GenesisSettings(
    size=16, slots=3, width=0.125, hidden=8, mask_latent=4, component_channels=4, component_latent=3
)


def aided(**aids) -> AidedGenesis:
    torch.manual_seed(0)
    return AidedGenesis(SMALL, GenesisAids(**aids))


def images(side: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, 3, side, side), generator=generator, dtype=torch.uint8)


@torch.no_grad()
def test_standard_deviations_of_all_latents_start_smaller_and_means_are_unchanged():
    plain, method = aided().eval(), aided(std_bias=-3.5).eval()
    x = images(16) / 255
    (before, z), (after, _) = (m.masks.encode(x, lambda q: q.mean) for m in (plain, method))
    log_masks = plain.masks.decode(z)
    pairs = [(before, after)]
    pairs.append(tuple(m.components.encode(x, log_masks) for m in (plain, method)))
    for q, shifted in pairs:
        torch.testing.assert_close(shifted.mean, q.mean)
        raw, less = (torch.log(torch.expm1(p.std.double())) for p in (q, shifted))
        torch.testing.assert_close(less, raw - 3.5, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_masked_inputs_reach_the_component_vae():
    method, x = aided(masked_input=True).eval(), images(16) / 255
    log_masks = torch.full((2, 3, 1, 16, 16), 0.25).log()
    seen = []
    method.components.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    method.components.encode(x, log_masks)
    torch.testing.assert_close(seen[0].view(2, 3, 4, 16, 16)[:, 1, 1:], x / 4)
