"""The whole flow: Table 4's shapes, inverse, log-determinant, density, limits of the mixture."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from denf.model.denf import DeNF
from denf.model.objective import Noise, Phase, objective
from denf.model.priors import log_background, log_foreground
from denf.model.settings import Architecture, CompatibilityGradient, DenfSettings, Weights


@pytest.mark.parametrize(
    ("squeezes", "cells", "what"), [(1, 64, 5), (2, 32, 38)], ids=["64x64 cells", "32x32 cells"]
)
def test_shapes_and_layers_of_table_4(squeezes, cells, what):
    model = DeNF(DenfSettings(architecture=Architecture(features=2, squeezes=squeezes)))
    with torch.no_grad():
        encoding = model.encode(torch.zeros(1, 3, 128, 128))
    latents = encoding.latents
    assert latents.background.shape == (1, 1, 64, 64)
    for name, channels in {"presence": 2, "scale": 2, "loc": 2, "what": what}.items():
        assert getattr(latents, name).shape == (1, channels, cells, cells)
        assert model.latent_shapes(128)[name] == (channels, cells, cells)
    assert encoding.ladj1.shape == encoding.ladj2.shape == (1,)
    couplings = [m for m in model.modules() if type(m).__name__ == "Coupling"]
    assert len(couplings) == 4 + 4 + 4 * 4  # f1, trunk, four heads


@pytest.mark.parametrize("squeezes", [1, 2])
def test_decode_undoes_encode(small_denf, images, squeezes):
    model = small_denf(Architecture(features=4, squeezes=squeezes))
    latents = model.encode(images).latents
    torch.testing.assert_close(model.decode(latents), images)


@pytest.mark.parametrize("squeezes", [1, 2])
def test_log_determinant_of_the_whole_flow_is_the_jacobian_s(small_denf, squeezes):
    model = small_denf(Architecture(features=3, couplings=2, squeezes=squeezes))
    x = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)

    def flat(v):
        z = model.encode(v).latents
        parts = (z.background, z.presence, z.scale, z.loc, z.what)
        return torch.cat([part.flatten() for part in parts])

    jacobian = torch.autograd.functional.jacobian(flat, x).reshape(48, 48)
    encoding = model.encode(x)
    torch.testing.assert_close(
        (encoding.ladj1 + encoding.ladj2)[0], torch.linalg.slogdet(jacobian)[1]
    )


def test_log_prob_adds_prior_and_log_determinant(denf, images):
    encoding = denf.encode(images)
    latents = encoding.latents
    p = (latents.presence_logit > 0).double()
    s = denf.settings
    prior = log_background(latents.background) + log_foreground(latents, p, s.priors, s.absent)
    torch.testing.assert_close(denf.log_prob(images), prior + encoding.ladj1 + encoding.ladj2)


def test_two_directions_in_one_batch_equal_two_calls(denf, images):
    latents = denf.encode(images).latents
    presence = torch.rand(3, 4, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    noise = torch.zeros_like(latents.background)
    x_bg, x_fg = denf.reconstructions(latents, presence, noise)
    gated = replace(latents, what=presence[:, None] * latents.what)
    z_fg = denf.decode_foreground(gated)
    torch.testing.assert_close(
        x_bg, denf.f1.inverse(torch.cat((latents.background, 0 * z_fg), 1))[0]
    )
    torch.testing.assert_close(
        x_fg, denf.f1.inverse(torch.cat((0 * latents.background, z_fg), 1))[0]
    )


def test_reconstructions_of_an_encoding_need_no_inverse_of_unchanged_heads(denf, images):
    """The same images and gradients as through the inverse of all heads."""
    results = []
    for known in (True, False):
        denf.zero_grad()
        encoding = denf.encode(images)
        presence = torch.sigmoid(encoding.latents.presence_logit)
        noise = torch.zeros_like(encoding.latents.background)
        both = denf.reconstructions(
            encoding.latents, presence, noise, encoding.given if known else None
        )
        torch.cat(both).square().sum().backward()
        results.append((*both, *(p.grad.clone() for p in denf.parameters())))
    for fast, slow in zip(*results, strict=True):
        torch.testing.assert_close(fast, slow)


def test_background_alone_ignores_presence_and_foreground_alone_ignores_background(denf, images):
    latents = denf.encode(images).latents
    silence = torch.zeros_like(latents.background)
    ones, zeros = torch.ones(3, 4, 4).double(), torch.zeros(3, 4, 4).double()
    torch.testing.assert_close(
        denf.reconstructions(latents, ones, silence)[0],
        denf.reconstructions(latents, zeros, silence)[0],
    )
    other = replace(latents, background=latents.background + 1)
    torch.testing.assert_close(
        denf.reconstructions(latents, ones, silence)[1],
        denf.reconstructions(other, ones, silence)[1],
    )


def test_unimodal_prior_says_nothing_of_absent_cells(denf, images):
    from denf.model.settings import WhatPrior

    latents = denf.encode(images).latents
    absent = torch.zeros(3, 4, 4, dtype=torch.float64)
    unimodal = denf.settings.priors.changed(what=WhatPrior.UNIMODAL)
    moved = replace(latents, what=latents.what + 5)
    same = [log_foreground(z, absent, unimodal, denf.settings.absent) for z in (latents, moved)]
    torch.testing.assert_close(*same)
    priors = denf.settings.priors
    other = [log_foreground(z, absent, priors, denf.settings.absent) for z in (latents, moved)]
    assert (other[0] > other[1]).all()


@pytest.mark.parametrize("gradient", CompatibilityGradient)
def test_compatibility_moves_presence_only_where_it_is_asked_to(denf, images, gradient):
    nothing = Weights(density=0, background=0, reconstruction=0, presence=0, geometry=0)
    denf.settings = denf.settings.changed(weights=nothing, compatibility_gradient=gradient)
    noise = Noise.draw(denf, images, torch.Generator().manual_seed(0))
    loss, _ = objective(denf, images, Phase(0.1, 0.03, warmup=False, learning_rate=1.0), noise)
    heads = denf.heads
    parameters = [list(heads[name].parameters()) for name in ("presence", "scale", "loc")]
    moved = [
        sum(float(g.abs().sum()) for g in torch.autograd.grad(loss, p, retain_graph=True))
        for p in parameters
    ]
    assert (moved[0] > 0) == (gradient is CompatibilityGradient.BOTH)
    assert moved[1] > 0
    assert moved[2] > 0
