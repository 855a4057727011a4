"""IODINE: posteriors of slots, refined step by step with the gradient of their loss.

Greff et al., "Multi-object representation learning with iterative variational inference", ICML
2019, Algorithm 1 and appendix B. Settings: google-deepmind/deepmind-research, folder iodine,
configuration clevr6 (Apache 2.0). Its details are kept: the constant 5 after the latents, the
constant ½ among the inputs, the prior's variance ln 2, logistic components. What differs here: the
refinement gets the gradients of each image's loss, not of the batch's mean, and evaluation samples
from a fixed seed, so that the decomposition of an image does not depend on its batch; PyTorch's
LSTM has a second bias (1,024 numbers), and its biases do not start truncated normal (standard
deviation 0.03) as Sonnet's bias does; the source's loss adds a regression of the true factors,
which affects the model only through the clipping of gradients; TensorFlow's SAME pads a strided
convolution more at the bottom and right, our padding at the top and left, so that our layer equals
TensorFlow's rotated by 180°.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch.optim import Adam, Optimizer

from baselines.blocks.broadcast import BroadcastDecoder
from baselines.blocks.gaussian import DiagonalGaussian
from baselines.blocks.likelihood import logistic_log_prob, mixture_log_prob
from baselines.blocks.mixture import MixtureMethod, SlotMixture, SlotNoise
from baselines.blocks.schedules import set_learning_rate
from baselines.iodine.initial_values import initialise_as_sonnet
from baselines.iodine.refinement import Decoded, Refinement
from baselines.iodine.settings import IodineSettings
from denf.harness.method import Step, descend

LATENT_CONSTANT = 5.0
PUBLISHED_BATCH = 32
EVALUATED_AT_ONCE = 8  # images; the slots of more exceed a CPU's cache, which doubles the time


class Iodine(MixtureMethod):
    """The weighted sum of the losses of all decodings, in float32.

    Labels are the slots of the largest masks of the last decoding.
    """

    settings: IodineSettings

    def __init__(self, settings: IodineSettings) -> None:
        super().__init__(settings)
        s = settings
        self.decoder = BroadcastDecoder(
            s.latent + 1, s.decoder_channels, 4, activation=nn.ELU, padded=True, last_kernel=3
        )
        self.refinement = Refinement(s)
        self.apply(initialise_as_sonnet)
        limit = math.sqrt(6 / (4 * s.latent))  # Glorot-uniform
        self.initial = nn.Parameter(torch.empty(2 * s.latent).uniform_(-limit, limit))

    def make_optimizers(self) -> dict[str, Optimizer]:
        s, fused = self.settings, self.device.type == "cuda"
        return {"adam": Adam(self.parameters(), s.learning_rate, (s.beta1, 0.999), fused=fused)}

    def training_step(self, batch: Tensor, step: Step) -> Mapping[str, Tensor]:
        s, optimizer = self.settings, self.optimizers["adam"]
        factor = math.sqrt(len(batch) / PUBLISHED_BATCH) * 0.1 ** (step.index / s.decay_steps)
        set_learning_rate(optimizer, s.learning_rate * factor)
        x = self.shown(batch, step)
        decodings = self._infer(x, SlotNoise.of(step.generator), through_time=True)
        losses = torch.stack([decoded.loss.mean() for decoded in decodings])
        weights = torch.linspace(0, 1, len(losses), device=losses.device)
        loss = (weights * losses).sum()
        norm = descend(loss, optimizer, self, s.gradient_clip)
        return {"loss": loss.detach(), "last": losses[-1].detach(), "gradient_norm": norm}

    def decompose(self, images: Tensor) -> SlotMixture:
        rgb, logits = [], []
        for part in self.shown(images).split(EVALUATED_AT_ONCE):
            noise = SlotNoise.fixed(self.device)
            last = self._infer(part, noise, through_time=False)[-1].mixture
            rgb.append(last.rgb)
            logits.append(last.logits)
        return SlotMixture(torch.cat(rgb), torch.cat(logits))

    @torch.enable_grad()  # the refinement needs gradients, in evaluation too
    def _infer(self, x: Tensor, noise: SlotNoise, *, through_time: bool) -> list[Decoded]:
        """All T + 1 decodings of images (B, 3, H, W) in [0, 1].

        Args:
            x: the images.
            noise: of the posteriors' samples.
            through_time: keep the graph from one refinement to the next, for training.
        """
        s = self.settings
        posterior = self.initial.expand(len(x), s.slots, -1)
        state: tuple[Tensor, Tensor] | None = None
        decodings: list[Decoded] = []
        for _ in range(s.iterations):
            if not through_time:
                posterior = posterior.detach().requires_grad_()
            decoded = self._decode(x, posterior, noise)
            gradients = torch.autograd.grad(
                decoded.loss.sum(),
                (posterior, decoded.mixture.rgb, decoded.mixture.logits),
                retain_graph=through_time,
            )
            with torch.set_grad_enabled(through_time):
                posterior, state = self.refinement(x, decoded, posterior, gradients, state)
            decodings.append(decoded)
        with torch.set_grad_enabled(through_time):
            return [*decodings, self._decode(x, posterior, noise)]

    def _decode(self, x: Tensor, posterior: Tensor, noise: SlotNoise) -> Decoded:
        s = self.settings
        q = latent_distribution(posterior)
        z = q.mean + q.std * noise.draw(len(x), s.slots, s.latent)
        z = torch.cat((z, torch.full_like(z[..., :1], LATENT_CONSTANT)), 2)
        size = (x.shape[2], x.shape[3])
        mixture = SlotMixture.of(self.decoder(z.flatten(0, 1), size), len(x))
        log_components = logistic_log_prob(x[:, None], mixture.rgb, s.scale).sum(2, keepdim=True)
        log_p = mixture_log_prob(mixture.log_masks, log_components)[:, None]  # Eq. 1
        prior = latent_distribution(torch.zeros_like(posterior))
        loss = q.kl(prior).sum((1, 2)) - log_p.sum((1, 2, 3, 4))
        return Decoded(mixture, log_components, log_p, loss)


def latent_distribution(parameters: Tensor) -> DiagonalGaussian:
    """N(mean, softplus(raw)) from (…, 2 · latent), mean before raw; zeros give the prior."""
    mean, raw = parameters.chunk(2, -1)
    return DiagonalGaussian(mean, softplus(raw).sqrt())
