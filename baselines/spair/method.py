"""SPAIR: objects in the cells of a grid, inferred in sequence, each given its earlier neighbours.

Crawford, E. and Pineau, J., "Spatially invariant unsupervised object detection with convolutional
neural networks", AAAI 2019. The networks and settings are those that karazijal/clevrtex trains on
CLEVR at 128² (Karazija et al., "ClevrTex", NeurIPS Datasets and Benchmarks 2021). They differ from
the original (e2crawfo/auto_yolo) in these points: a deeper backbone with cells of 32 pixels,
glimpses of 24², a broadcast decoder, a background with one latent dimension, a Bernoulli divergence
of presence, weight 2.7 on all divergences of objects, and division by depth: smaller is nearer.

What differs here: the learning rate is constant, not reduced on a plateau of the validation loss;
only the four earlier neighbours are the context (the code adds the trained vector for cells outside
the grid a fifth time); labels and reconstructions use means and the probability of presence instead
of samples. No score on CLEVR6 is published.

In the paper's order:

- `inference`: q(z | x), cell by cell, and the priors of where, depth and what;
- `count_prior`: p(z_pres) from a geometric prior of the number of objects;
- `blend` and `SpairMethod`: p(x | z) and the weighted evidence lower bound.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from baselines.blocks.background_vae import BackgroundVae
from baselines.blocks.broadcast import BroadcastDecoder
from baselines.blocks.glimpse import place
from baselines.blocks.glimpse_prediction import GLIMPSE_CAPABILITIES, prediction
from baselines.blocks.images import check_multiple, to_unit
from baselines.blocks.likelihood import gaussian_log_prob
from baselines.spair.inference import Objects, SpairInference
from baselines.spair.settings import SpairSettings
from denf.harness.method import OnePassMethod, Prediction, Step, descend

_LEAST_WEIGHT = 0.01  # least weight w_n of a cell in a pixel


def blend(rgb: Tensor, masks: Tensor, depth: Tensor, background: Tensor) -> Tensor:
    """Σ_n w_n (m_n rgb_n + (1 - m_n) background) / Σ_n w_n with w_n = max(m_n / depth_n, 0.01).

    Args:
        rgb: (B, N, 3, H, W).
        masks: m, (B, N, 1, H, W), presence times alpha.
        depth: (B, N, 1) in (0, 1).
        background: (B, 3, H, W).

    Returns:
        (B, 3, H, W).
    """
    weights = (masks / depth[..., None, None]).clamp(min=_LEAST_WEIGHT)
    layers = masks * rgb + (1 - masks) * background[:, None]
    return (weights * layers).sum(1) / weights.sum(1)


class SpairMethod(OnePassMethod):
    """A weighted evidence lower bound; presence is relaxed and therefore differentiable."""

    settings: SpairSettings
    capabilities = GLIMPSE_CAPABILITIES

    def __init__(self, settings: SpairSettings) -> None:
        super().__init__(settings)
        self.inference = SpairInference(settings)
        self.decoder = BroadcastDecoder(
            settings.what, (settings.decoder,) * 4, 4, activation=nn.ReLU, padded=False
        )
        self.background = BackgroundVae(decoder=settings.decoder)

    def make_optimizers(self) -> dict[str, Optimizer]:
        return {"adam": Adam(self.parameters(), self.settings.rate, fused=True)}

    def training_step(self, batch: Tensor, step: Step) -> Mapping[str, Tensor]:
        s, x = self.settings, self._unit(batch)
        objects = self.inference(
            x, s.success.at(step.index), step.generator, wheels=step.index < s.training_wheels
        )
        background, kl_background = self.background(x, step.generator)
        canvas, _ = self._render(objects, background)
        log_likelihood = gaussian_log_prob(x, canvas, s.std).flatten(1).sum(1).mean()
        kl = {
            name: getattr(objects, name).sum(1).mean()
            for name in ("kl_presence", "kl_where", "kl_depth", "kl_what")
        }
        kl_objects = torch.stack(list(kl.values())).sum()
        loss = -log_likelihood + s.beta * kl_objects + kl_background.mean()
        norm = descend(loss, self.optimizers["adam"], self, s.gradient_clip)
        return {
            "loss": loss.detach(),
            "log_likelihood": log_likelihood.detach(),
            **{name: value.detach() for name, value in kl.items()},
            "kl_background": kl_background.detach().mean(),
            "objects": objects.presence.detach().sum((1, 2)).mean(),
            "gradient_norm": norm,
        }

    def predict(self, images: Tensor, truth: Tensor | None = None) -> Prediction:
        x = self._unit(images)
        objects = self.inference(x, self.settings.success.end, None)
        background, _ = self.background(x, None)
        canvas, masks = self._render(objects, background)
        presence = objects.presence[:, :, 0]
        return prediction(masks, presence, objects.boxes, canvas=canvas, background=background)

    def _render(self, objects: Objects, background: Tensor) -> tuple[Tensor, Tensor]:
        """Canvas (B, 3, H, W) and masks (B, N, 1, H, W)."""
        side = self.settings.glimpse
        logits = self.decoder(objects.what.flatten(0, 1), (side, side))
        rgb, alpha = logits.unflatten(0, objects.what.shape[:2]).split((3, 1), 2)
        alpha = self.settings.alpha_scale * alpha + self.settings.alpha_bias
        glimpses = torch.sigmoid(torch.cat((rgb, alpha), 2))
        shape = (background.shape[2], background.shape[3])
        rgb, alpha = place(glimpses, objects.boxes, shape).split((3, 1), 2)
        masks = alpha * objects.presence[..., None, None]
        return blend(rgb, masks, objects.depth, background), masks

    def _unit(self, images: Tensor) -> Tensor:
        check_multiple(images, self.settings.cell, "spair")
        return to_unit(images)
