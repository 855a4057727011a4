"""The adversarial game: losses, penalty, alternating updates, and a discriminator that has won."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.optim import SGD

from baselines.blocks.adversarial import FEWEST_ROWS, WON, discriminator_won
from baselines.blocks.adversarial_settings import Updates
from baselines.blocks.alternation import alternate, frozen
from baselines.blocks.game import (
    Game,
    discriminator_loss,
    dragan_penalty,
    generator_loss,
    gradient_norms,
)
from baselines.dcgan.method import Dcgan
from baselines.dcgan.networks import discriminator, stages
from baselines.dcgan.settings import DcganSettings
from denf.errors import DenfError
from denf.harness.method import Step


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_losses_equal_cross_entropy_and_hinge_loss():
    real, fake = torch.randn(7, 1, generator=random()), torch.randn(7, 1, generator=random(1))
    ones, zeros = torch.ones(7, 1), torch.zeros(7, 1)
    bce = F.binary_cross_entropy_with_logits
    game = Game.CROSS_ENTROPY
    torch.testing.assert_close(
        discriminator_loss(game, real, fake), bce(real, ones) + bce(fake, zeros)
    )
    torch.testing.assert_close(generator_loss(game, fake), bce(fake, ones))
    plain = sum(
        max(0.0, 1 - float(r)) + max(0.0, 1 + float(f)) for r, f in zip(real, fake, strict=True)
    )
    assert float(discriminator_loss(Game.HINGE, real, fake)) == pytest.approx(plain / 7, rel=1e-6)
    assert float(generator_loss(Game.HINGE, fake)) == pytest.approx(-float(fake.mean()))


def test_gradient_norms_equal_those_of_single_images():
    critic = discriminator(stages(16, 3), nn.InstanceNorm2d).double()
    x = torch.randn(4, 3, 16, 16, generator=random(), dtype=torch.double)
    norms = gradient_norms(critic, x).detach()
    for image, norm in zip(x, norms, strict=True):
        one = image[None].clone().requires_grad_()
        critic(one).squeeze().backward()
        torch.testing.assert_close(norm, one.grad.norm())


def test_penalty_of_a_linear_critic_and_its_gradient():
    """D(x) = w·x has ‖∇D‖ = ‖w‖ everywhere, so the penalty is (‖w‖ - k)²."""
    w = torch.tensor([0.5, -2.0, 1.0], requires_grad=True)
    real = torch.randn(6, 3, 1, 1, generator=random())
    loss = dragan_penalty(lambda x: x.flatten(1) @ w, real, random(), target=0.75)
    length = w.detach().norm()
    assert float(loss.detach()) == pytest.approx(float((length - 0.75) ** 2))
    loss.backward()
    torch.testing.assert_close(w.grad, 2 * (length - 0.75) * w.detach() / length)


def test_penalty_is_evaluated_between_real_and_noisy_images():
    """D(x) = Σ x²/2 has the gradient x, which shows where the critic was evaluated."""
    seen: list[Tensor] = []

    def critic(x: Tensor) -> Tensor:
        seen.append(x.detach())
        return x.square().flatten(1).sum(1) / 2

    real = torch.randn(5, 3, 4, 4, generator=random())
    loss = dragan_penalty(critic, real, random(3), noise=0.5)
    (x,) = seen
    moved = (x - real) / (0.5 * real.std())
    assert moved.min() >= 0
    assert moved.max() <= 1
    assert moved.flatten(1).amax(1).std() > 0  # α differs from image to image
    expected = (x.flatten(1).norm(dim=1) - 1).square().mean()
    assert float(loss.detach()) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize(("judges", "forgers"), [(1, 1), (1, 2), (3, 1)])
def test_players_are_updated_alternately_and_separately(judges, forgers):
    d, g = nn.Linear(1, 1), nn.Linear(1, 1)
    order: list[str] = []

    def judge():
        order.append("d")
        return {"objective": d(g(torch.ones(1, 1)).detach()).sum(), "discriminator": d.bias.sum()}

    def forge():
        order.append("g")
        assert not any(p.requires_grad for p in d.parameters())
        return {"objective": -d(g(torch.ones(1, 1))).sum(), "generator": g.bias.sum()}

    before = copy.deepcopy((d.state_dict(), g.state_dict()))
    players = [(m, SGD(m.parameters(), 0.1)) for m in (d, g)]
    terms = alternate(*players, judge, forge, Updates(discriminator=judges, generator=forgers))
    assert order == ["d"] * judges + ["g"] * forgers
    assert set(terms) == {"loss", "discriminator", "generator"}
    assert all(p.requires_grad and p.grad is not None for p in (*d.parameters(), *g.parameters()))
    torch.testing.assert_close(d.bias.detach(), before[0]["bias"] - 0.1 * judges)
    pull = 0.1 * forgers * d.weight.detach()[0]  # ∂(-D)/∂b = -w, as the discriminator left w
    torch.testing.assert_close(g.bias.detach(), before[1]["bias"] + pull)


def test_frozen_restores_trainable_parameters():
    module = nn.Linear(2, 2)
    module.bias.requires_grad_(False)
    with pytest.raises(RuntimeError), frozen(module):
        assert not module.weight.requires_grad
        raise RuntimeError
    assert module.weight.requires_grad
    assert not module.bias.requires_grad


def rows(losses: list[float]) -> list[dict[str, float]]:
    return [{"step": 10.0 * (k + 1), "discriminator": x} for k, x in enumerate(losses)]


@given(st.lists(st.sampled_from([0.0, WON / 2, WON, 1.3]), max_size=40))
def test_a_win_is_a_long_period_of_low_loss(losses):
    spells = "".join("w" if x < WON else " " for x in losses).split()
    longest = max(map(len, spells), default=0)
    won = longest >= FEWEST_ROWS and (longest - 1) >= 0.1 * len(losses)
    assert bool(discriminator_won(rows(losses))) == won


def test_note_about_a_win():
    losses = [1.3] * 4 + [0.001] * 5 + [1.0] + [0.001] * 2
    assert discriminator_won(rows(losses)) == [
        "the discriminator won: its loss stayed below 0.02 from step 50 to 90 of 120, where the "
        "generator hardly learns"
    ]


def test_samples_do_not_depend_on_their_batch():
    method = Dcgan(DcganSettings(size=16, width=4, latent=5))
    method.optimizers = method.make_optimizers()
    images = torch.randint(0, 256, (4, 3, 16, 16), generator=random(), dtype=torch.uint8)
    method.training_step(images, Step(0, 1, random()))
    method.eval()
    with torch.no_grad():
        z = torch.randn(6, 5, 1, 1, generator=random(5))
        torch.testing.assert_close(method.generator(z)[:1], method.generator(z[:1]))


def test_images_of_another_size_are_refused():
    method = Dcgan(DcganSettings(size=32, width=4))
    images = torch.zeros(2, 3, 16, 16, dtype=torch.uint8)
    with pytest.raises(DenfError, match="expected 32×32 pixels, the setting `size`, got 16×16"):
        method.training_step(images, Step(0, 1, random()))
