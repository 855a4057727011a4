"""AIR: a recurrent network infers one object per step, until presence is 0.

Eslami, S. M. A., Heess, N., Weber, T., Tassa, Y., Szepesvari, D., Kavukcuoglu, K. and Hinton, G.
E., "Attend, infer, repeat: Fast scene understanding with generative models", NeurIPS 2016.
Networks, latents, gradient estimator and optimiser as in addtt/attend-infer-repeat-pytorch.

No AIR for CLEVR6 is published: the images of the paper and of the code have at most three grey
objects on black. The adaptation is ours, so that its results have no reported value:

- six steps; glimpses of three colours and an alpha channel; a later object covers an earlier one;
- the background of `blocks.background_vae`, with one latent dimension;
- the two LSTMs see the image averaged to 32² pixels of three colours, about as many values as the
  published 50² grey pixels; glimpses are cropped from the image at full resolution;
- priors N(4, 1) of the scale and N(0, 2²) of the shift, for boxes of a quarter of the image side
  anywhere in it (published: N(3, 0.2²) and N(0, 1)); both posteriors start at their priors' means,
  and presence at a probability of σ(0.75), as in akosiorek/attend_infer_repeat;
- labels and reconstructions use means and the likelier value of presence instead of samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.optim import Adam, Optimizer

from baselines.air.inference import AirInference, Trace
from baselines.air.settings import AirSettings
from baselines.blocks.background_vae import BackgroundVae
from baselines.blocks.glimpse import place
from baselines.blocks.glimpse_prediction import GLIMPSE_CAPABILITIES, prediction
from baselines.blocks.images import to_unit
from baselines.blocks.likelihood import gaussian_log_prob
from baselines.blocks.perceptron import perceptron
from denf.harness.method import OnePassMethod, Prediction, Step, descend

ALPHA_BIAS = -2.0  # of the published decoder: objects are nearly transparent at first


class Terms(NamedTuple):
    """Terms of the loss.

    Args:
        bound: (B,) evidence lower bound in nats.
        reinforce: scalar whose gradient is REINFORCE's for presence.
        baseline: scalar loss of the baseline.
    """

    bound: Tensor
    reinforce: Tensor
    baseline: Tensor


def over(colour: Tensor, alpha: Tensor, background: Tensor) -> tuple[Tensor, Tensor]:
    """Compose objects over the background, later objects over earlier ones.

    canvas = Σ_t colour_t Π_{u>t} (1 - α_u) + background Π_u (1 - α_u).

    Args:
        colour: (B, T, 3, H, W), premultiplied by alpha.
        alpha: (B, T, 1, H, W) in [0, 1].
        background: (B, 3, H, W).

    Returns:
        canvas (B, 3, H, W), and shares α_t Π_{u>t} (1 - α_u) of the objects (B, T, 1, H, W).
    """
    free = (1 - alpha).flip(1).cumprod(1).flip(1)  # Π_{u>=t} (1 - α_u)
    in_front = torch.cat((free[:, 1:], torch.ones_like(free[:, :1])), 1)
    return (in_front * colour).sum(1) + free[:, 0] * background, in_front * alpha


def surrogate(trace: Trace, cost: Tensor) -> tuple[Tensor, Tensor]:
    """The term whose gradient is REINFORCE's for presence, and the baseline's loss.

    The cost of a decision at step t is C_t = Σ_{u>=t} KL_u + cost; the first term is
    Σ_t (C_t - baseline_t) log q(z_pres,t), the second Σ_t (C_t - baseline_t)².

    Args:
        trace: the steps of inference.
        cost: (B,), the negative log-likelihood up to a constant, which the baseline would absorb.

    Returns:
        two scalars, means over the batch.
    """
    future = trace.kl.flip(1).cumsum(1).flip(1)
    target = ((future + cost[:, None]) * trace.deciding).detach()
    advantage = target - trace.baseline
    reinforce = (advantage.detach() * trace.log_q).sum(1).mean()
    return reinforce, (advantage.square() * trace.deciding).sum(1).mean()


class AirMethod(OnePassMethod):
    """Reparametrised gradients for z_where and z_what, REINFORCE with a baseline for z_pres."""

    settings: AirSettings
    capabilities = GLIMPSE_CAPABILITIES

    def __init__(self, settings: AirSettings) -> None:
        super().__init__(settings)
        self.inference = AirInference(settings)
        self.decoder = perceptron(settings.what, settings.head, 4 * settings.glimpse**2)
        self.background = BackgroundVae(decoder=settings.background)

    def make_optimizers(self) -> dict[str, Optimizer]:
        baseline = self.inference.baseline_parameters()
        known = {id(p) for p in baseline}
        model = [p for p in self.parameters() if id(p) not in known]
        groups: list[dict[str, Any]] = [
            {"params": model},
            {"params": baseline, "lr": self.settings.baseline_rate},
        ]
        return {"adam": Adam(groups, self.settings.rate, fused=True)}

    def training_step(self, batch: Tensor, step: Step) -> Mapping[str, Tensor]:
        s, x = self.settings, to_unit(batch)
        background, kl_background = self.background(x, step.generator)
        trace = self.trace(x, background, step)
        canvas, _ = self._render(trace, background)
        log_likelihood = gaussian_log_prob(x, canvas, s.std).flatten(1).sum(1)
        error = ((x - canvas) / s.std).square().flatten(1).sum(1) / 2
        bound = log_likelihood - trace.kl.sum(1) - kl_background
        terms = Terms(bound, *surrogate(trace, error))
        loss = self.loss(terms, x, background, step)
        norm = descend(loss, self.optimizers["adam"], self, clip=None)
        return {
            "loss": -bound.detach().mean(),
            "squared_error": (x - canvas).detach().square().mean(),
            "kl": trace.kl.detach().sum(1).mean(),
            "kl_background": kl_background.detach().mean(),
            "objects": trace.presence.sum(1).mean(),
            "baseline_loss": terms.baseline.detach(),
            "gradient_norm": norm,
        }

    def trace(self, x: Tensor, background: Tensor, step: Step | None) -> Trace:
        """q(z | x) of images x (B, 3, H, W) in [0, 1]; `step` is None in evaluation."""
        prior = self.settings.presence_prior
        if step is None:
            return self.inference(x, None, prior.end)
        return self.inference(x, step.generator, prior.at(step.index))

    def loss(self, terms: Terms, x: Tensor, background: Tensor, step: Step) -> Tensor:
        """The scalar that is minimised."""
        return terms.baseline - terms.bound.mean() + terms.reinforce

    def predict(self, images: Tensor, truth: Tensor | None = None) -> Prediction:
        x = to_unit(images)
        background, _ = self.background(x, None)
        trace = self.trace(x, background, None)
        canvas, shares = self._render(trace, background)
        return prediction(shares, trace.presence, trace.boxes, canvas=canvas, background=background)

    def _render(self, trace: Trace, background: Tensor) -> tuple[Tensor, Tensor]:
        """Canvas and shares; see `over`."""
        side = self.settings.glimpse
        rgb, alpha = self.decoder(trace.what).unflatten(2, (4, side, side)).split((3, 1), 2)
        alpha = torch.sigmoid(alpha + ALPHA_BIAS)
        alpha = alpha * trace.presence[..., None, None, None]
        glimpses = torch.cat((alpha * torch.sigmoid(rgb), alpha), 2)
        placed = place(glimpses, trace.boxes, (background.shape[2], background.shape[3]))
        colour, alpha = placed.split((3, 1), 2)
        return over(colour, alpha, background)
