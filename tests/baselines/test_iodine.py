"""IODINE: likelihood, inputs of the refinement, weights of the decodings, evaluation."""

from __future__ import annotations

import math

import pytest
import torch

from baselines.blocks.mixture import SlotMixture, SlotNoise
from baselines.iodine.method import EVALUATED_AT_ONCE, Iodine, latent_distribution
from baselines.iodine.refinement import Decoded, counterfactual
from baselines.iodine.settings import IodineSettings
from denf.harness.method import Step

SMALL = IodineSettings(
    slots=3,
    latent=4,
    iterations=2,
    scale=0.2,
    decoder_channels=(4, 4),
    encoder_channels=(4, 4),
    hidden=(8,),
    state=8,
)


@pytest.fixture(scope="module")
def small() -> Iodine:
    torch.manual_seed(0)
    return Iodine(SMALL).eval()


@pytest.fixture
def images() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, 3, 8, 12), dtype=torch.uint8, generator=generator)


@pytest.fixture
def decoded(small, images) -> Decoded:
    return small._infer(images / 255, SlotNoise.fixed(images.device), through_time=True)[1]


def test_published_size():
    count = sum(p.numel() for p in Iodine(IodineSettings()).parameters())
    assert count == 1_177_168 + 1_024  # 1.18 M, and the second bias of PyTorch's LSTM


def logistic(x: float, mean: float, scale: float) -> float:
    z = math.exp(-(x - mean) / scale)
    return z / (scale * (1 + z) ** 2)


def test_a_pixel_s_density_is_a_mixture_of_products_over_channels(images, decoded):
    x = images / 255
    for b, row, column in ((0, 0, 0), (1, 7, 11)):
        weights = torch.softmax(decoded.mixture.logits[b, :, 0, row, column], 0).tolist()
        densities = []
        for k in range(3):
            rgb = decoded.mixture.rgb[b, k, :, row, column]
            pairs = zip(x[b, :, row, column].tolist(), rgb.tolist(), strict=True)
            densities.append(math.prod(logistic(value, mean, 0.2) for value, mean in pairs))
        total = sum(w * d for w, d in zip(weights, densities, strict=True))
        assert decoded.log_p[b, 0, 0, row, column].item() == pytest.approx(math.log(total), 1e-4)
        components = decoded.log_components[b, :, 0, row, column]
        torch.testing.assert_close(components, torch.tensor(densities).log())


def test_loss_is_the_negative_evidence_bound(small, images):
    x, posterior = images / 255, torch.randn(2, 3, 8)
    found = small._decode(x, posterior, SlotNoise.fixed(x.device))
    mean, std = posterior[..., :4], torch.nn.functional.softplus(posterior[..., 4:]).sqrt()
    q = torch.distributions.Normal(mean, std)
    p = torch.distributions.Normal(0.0, math.sqrt(math.log(2)))
    kl = torch.distributions.kl_divergence(q, p).sum((1, 2))
    torch.testing.assert_close(found.loss, kl - found.log_p.sum((1, 2, 3, 4)))


def test_prior_is_the_posterior_of_zeros():
    prior = latent_distribution(torch.zeros(1, 1, 6))
    torch.testing.assert_close(prior.std.square(), torch.full((1, 1, 3), math.log(2)))
    assert not prior.mean.any()


def test_counterfactual_is_the_mixture_without_the_slot(decoded):
    got = counterfactual(decoded)
    for k in range(3):
        rest = [j for j in range(3) if j != k]
        logits = decoded.mixture.logits[:, rest]
        joint = torch.log_softmax(logits, 1) + decoded.log_components[:, rest]
        expected = decoded.log_p[:, 0] - torch.log(joint.exp().sum(1))
        torch.testing.assert_close(got[:, k], expected, rtol=1e-4, atol=1e-4)


def test_inputs_of_the_refinement_channel_by_channel(small, images, decoded):
    x, mixture = images / 255, decoded.mixture
    d_rgb, d_logits = torch.randn(2, 3, 3, 8, 12), torch.randn(2, 3, 1, 8, 12)
    inputs = small.refinement.pixel_inputs(x, decoded, d_rgb, d_logits)
    assert inputs.shape == (2, 3, 18, 8, 12)

    def normed(values: torch.Tensor) -> torch.Tensor:
        mean = values.mean((2, 3, 4), keepdim=True)
        var = values.var((2, 3, 4), correction=0, keepdim=True)
        return ((values - mean) / (var + 1e-5).sqrt()).expand(-1, 3, -1, -1, -1)

    likelihood = decoded.log_components.exp()
    expected = [
        x[:, None].expand(-1, 3, -1, -1, -1),
        mixture.rgb,
        mixture.logits,
        mixture.masks,
        normed(d_rgb),
        normed(d_logits),
        likelihood / (likelihood.sum(1, keepdim=True) + 1e-6),
        normed(decoded.log_p),
        normed(counterfactual(decoded)),
        torch.full_like(mixture.logits, 0.5),
    ]
    torch.testing.assert_close(inputs[:, :, :16], torch.cat(expected, 2), rtol=1e-4, atol=1e-4)
    assert inputs[..., 16, 3, 0].unique().tolist() == [-1]
    assert inputs[..., 16, 3, 11].unique().tolist() == [1]
    assert inputs[..., 17, 0, 3].unique().tolist() == [-1]


def test_detached_inputs_of_the_refinement_get_no_gradient(small, images, decoded):
    """λ, colours and masks get gradients; gradients and log-densities are detached."""
    mixture = decoded.mixture
    rgb = mixture.rgb.detach().requires_grad_()
    logits = mixture.logits.detach().requires_grad_()
    log_p = decoded.log_p.detach().requires_grad_()
    d_rgb = torch.randn_like(rgb).requires_grad_()
    again = Decoded(SlotMixture(rgb, logits), decoded.log_components.detach(), log_p, decoded.loss)
    inputs = small.refinement.pixel_inputs(images / 255, again, d_rgb, torch.randn_like(logits))
    inputs.square().sum().backward()
    assert rgb.grad is not None
    assert logits.grad is not None
    assert log_p.grad is None
    assert d_rgb.grad is None


def test_the_refinement_gets_gradients_of_the_loss_of_each_image(small, images):
    x, seen = images / 255, []
    hook = small.refinement.norm_d_posterior.register_forward_pre_hook(
        lambda module, arguments: seen.append(arguments[0])
    )
    small._infer(x, SlotNoise.fixed(x.device), through_time=False)
    hook.remove()
    posterior = small.initial.expand(2, 3, -1).detach().requires_grad_()
    for b in range(2):
        loss = small._decode(x, posterior, SlotNoise.fixed(x.device)).loss[b]
        (expected,) = torch.autograd.grad(loss, posterior)
        torch.testing.assert_close(seen[0][b], expected[b])
    assert not seen[0].requires_grad
    assert len(seen) == 2


def test_weights_of_the_decodings_rise_linearly_from_zero_to_one(small, images):
    method = Iodine(SMALL)
    method.load_state_dict(small.state_dict())
    method.optimizers = method.make_optimizers()
    noise = SlotNoise.of(torch.Generator().manual_seed(4))
    decodings = small._infer(images / 255, noise, through_time=True)
    expected = sum(w * d.loss.mean() for w, d in zip((0.0, 0.5, 1.0), decodings, strict=True))
    scalars = method.training_step(images, Step(0, 9, torch.Generator().manual_seed(4)))
    torch.testing.assert_close(scalars["loss"], expected.detach())
    torch.testing.assert_close(scalars["last"], decodings[-1].loss.mean().detach())
    rate = method.optimizers["adam"].param_groups[0]["lr"]
    assert rate == pytest.approx(1e-3 * math.sqrt(2 / 32))


def test_training_and_evaluation_decode_equally(small, images):
    noise = SlotNoise.fixed(images.device)
    kept = small._infer(images / 255, noise, through_time=True)[-1].mixture
    with torch.no_grad():
        mixture = small.decompose(images)
        alone = small.decompose(images[1:])
    assert not mixture.rgb.requires_grad
    torch.testing.assert_close(mixture.mean, kept.mean)
    torch.testing.assert_close(alone.mean, mixture.mean[1:], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_more_images_than_fit_at_once_are_all_decomposed_in_order(small):
    generator = torch.Generator().manual_seed(0)
    shape = (EVALUATED_AT_ONCE + 1, 3, 8, 8)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    together = small.decompose(images)
    assert len(together.rgb) == len(images)
    for index in (0, EVALUATED_AT_ONCE):
        alone = small.decompose(images[index : index + 1])
        torch.testing.assert_close(together.rgb[index], alone.rgb[0], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(together.logits[index], alone.logits[0], rtol=1e-4, atol=1e-5)
