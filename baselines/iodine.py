"""IODINE: posteriors of slots, refined step by step with the gradient of their own loss.

Greff et al., "Multi-object representation learning with iterative variational inference", ICML
2019, Algorithm 1 and appendix B. Settings: google-deepmind/deepmind-research, folder iodine,
configuration clevr6 (Apache 2.0), whose details are kept: the constant 5 after the latents, the
constant ½ among the inputs, the prior's variance ln 2. Different here: the gradients that the
refinement sees are those of each image's own loss, not of the batch's mean, and evaluation draws
from a fixed seed, so that an image has one decomposition whatever it is evaluated with; `view`, off
by default, shows less of the images, for trainings of minutes; PyTorch's LSTM has a second bias
(1,024 numbers), and its biases do not start truncated normal (deviation 0.03) as Sonnet's does; the
source's loss adds a regression of the true factors, which reaches the model through the clipping of
gradients alone; TensorFlow's SAME pads a strided convolution more at the bottom and right, ours at
the top and left, so that a layer is the other's turned by 180°.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt, MinLen
from pydantic import ConfigDict
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch.optim import Adam, Optimizer

from baselines.blocks.broadcast import BroadcastDecoder, coordinates
from baselines.blocks.gaussian import DiagonalGaussian
from baselines.blocks.likelihood import logistic_log_prob, mixture_log_prob
from baselines.blocks.mixture import MixtureMethod, SlotMixture, SlotNoise
from baselines.blocks.schedules import set_learning_rate
from baselines.blocks.view import View, ViewSettings
from denf.harness.method import Step, descend

Widths = Annotated[tuple[Annotated[int, Ge(1)], ...], MinLen(1)]
SPATIAL_INPUTS = 18  # channels that the refinement network sees of a slot, see `Refinement`
LATENT_CONSTANT = 5.0
INPUT_CONSTANT = 0.5
PUBLISHED_BATCH = 32
EVALUATED_AT_ONCE = 8  # images: the slots of more do not fit a CPU's cache, which doubles the time


@dataclass(frozen=True)
class IodineSettings:
    """Settings.

    Args:
        slots: K, six objects and the background.
        latent: size of a slot's z.
        iterations: T, refinements; the scene is decoded T + 1 times.
        scale: of the logistic distribution of a colour, intensities in [0, 1].
        decoder_channels: of the decoder's 3×3 convolutions.
        encoder_channels: of the refinement network's strided 3×3 convolutions.
        hidden: widths of the network after them.
        state: of the LSTM.
        learning_rate: Adam's for batches of 32; it grows with the square root of the batch size.
        decay_steps: steps in which the rate falls to a tenth.
        beta1: of Adam.
        gradient_clip: largest gradient norm.
        view: what is shown of the images and explained; all of them, as published.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    slots: Annotated[int, Ge(2)] = 7
    latent: Annotated[int, Ge(1)] = 64
    iterations: Annotated[int, Ge(1)] = 5
    scale: Annotated[float, Gt(0)] = 0.03
    decoder_channels: Widths = (64, 64, 64, 64)
    encoder_channels: Widths = (64, 64, 64, 64)
    hidden: Widths = (256, 256)
    state: Annotated[int, Ge(1)] = 256
    learning_rate: Annotated[float, Gt(0)] = 1e-3
    decay_steps: Annotated[float, Gt(0)] = 1_000_000
    beta1: Annotated[float, Ge(0)] = 0.95
    gradient_clip: Annotated[float, Gt(0)] = 5.0
    view: ViewSettings = field(default_factory=ViewSettings)


@dataclass(frozen=True)
class Decoded:
    """A decoding of images x and how well it explains them.

    Args:
        mixture: the slots' colours and masks.
        log_components: log p_k(x), (B, K, 1, H, W), summed over channels.
        log_p: log Σ_k m_k p_k(x), (B, 1, 1, H, W).
        loss: −Σ log p + Σ_k KL of each image, (B,), nats.
    """

    mixture: SlotMixture
    log_components: Tensor
    log_p: Tensor
    loss: Tensor


class Refinement(nn.Module):
    """The update of all slots' posteriors λ from what one decoding of the image has shown.

    Per pixel it sees the image, colours, mask logit, mask, the gradients of colours and logit, the
    mask's posterior, log p, the counterfactual log p, a constant and two coordinates; beside them
    λ and its gradient. Gradients, log p and the counterfactual are normalised and constants: no
    gradient of a gradient is taken (appendix B).
    """

    def __init__(self, s: IodineSettings) -> None:
        super().__init__()
        # One group: over pixels and channels of a slot, with a factor and a shift a channel.
        self.norm_d_rgb = nn.GroupNorm(1, 3)
        self.norm_d_logits = nn.GroupNorm(1, 1)
        self.norm_log_p = nn.GroupNorm(1, 1)
        self.norm_counterfactual = nn.GroupNorm(1, 1)
        self.norm_d_posterior = nn.LayerNorm(2 * s.latent)
        layers: list[nn.Module] = []
        before = SPATIAL_INPUTS
        for channels in s.encoder_channels:
            layers += [nn.Conv2d(before, channels, 3, 2, 1), nn.ELU()]
            before = channels
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        for width in s.hidden:
            layers += [nn.Linear(before, width), nn.ELU()]
            before = width
        self.encoder = nn.Sequential(*layers[:-1])  # nothing after the last layer
        self.lstm = nn.LSTMCell(before + 4 * s.latent + 1, s.state)
        self.update = nn.Linear(s.state, 2 * s.latent)

    def forward(
        self,
        x: Tensor,
        decoded: Decoded,
        posterior: Tensor,
        gradients: tuple[Tensor, Tensor, Tensor],
        state: tuple[Tensor, Tensor] | None,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The next posterior and state.

        Args:
            x: (B, 3, H, W) in [0, 1].
            decoded: from the posterior.
            posterior: λ, (B, K, 2 · latent).
            gradients: of the loss by λ, colours and mask logits.
            state: of the LSTM, None at first.
        """
        pixels = self.pixel_inputs(x, decoded, gradients[1], gradients[2])
        d_posterior = self.norm_d_posterior(gradients[0].detach())
        constant = torch.full_like(posterior[..., :1], INPUT_CONSTANT)
        flat = torch.cat((posterior, d_posterior, constant), 2).flatten(0, 1)
        features = self.encoder(pixels.flatten(0, 1))
        state = self.lstm(torch.cat((features, flat), 1), state)
        return posterior + self.update(state[0]).view_as(posterior), state

    def pixel_inputs(self, x: Tensor, decoded: Decoded, d_rgb: Tensor, d_logits: Tensor) -> Tensor:
        """(B, K, 18, H, W)."""
        rgb, logits = decoded.mixture.rgb, decoded.mixture.logits
        likelihood = decoded.log_components.exp()
        channels = (
            x[:, None],
            rgb,
            logits,
            decoded.mixture.masks,
            _normed(self.norm_d_rgb, d_rgb),
            _normed(self.norm_d_logits, d_logits),
            likelihood / (likelihood.sum(1, keepdim=True) + 1e-6),
            _normed(self.norm_log_p, decoded.log_p),
            _normed(self.norm_counterfactual, counterfactual(decoded)),
            torch.full_like(logits, INPUT_CONSTANT),
            coordinates(x.shape[2], x.shape[3], like=x),
        )
        shape = (*rgb.shape[:2], -1, *rgb.shape[3:])
        return torch.cat([c.expand(shape) for c in channels], 2)


class Iodine(MixtureMethod):
    """The weighted sum of the losses of all decodings; all in float32.

    A label is the slot of the last decoding's largest mask.
    """

    Settings = IodineSettings

    def __init__(self, settings: IodineSettings, precision: torch.dtype = torch.float32) -> None:
        super().__init__(settings, precision)
        s = settings
        self.view = View(s.view)
        self.decoder = BroadcastDecoder(
            s.latent + 1, s.decoder_channels, 4, activation=nn.ELU, padded=True, last_kernel=3
        )
        self.refinement = Refinement(s)
        self.apply(_initialise_as_sonnet)
        limit = math.sqrt(6 / (4 * s.latent))  # Glorot's
        self.initial = nn.Parameter(torch.empty(2 * s.latent).uniform_(-limit, limit))

    def make_optimizers(self) -> dict[str, Optimizer]:
        s, fused = self.settings, self.device.type == "cuda"
        return {"adam": Adam(self.parameters(), s.learning_rate, (s.beta1, 0.999), fused=fused)}

    def training_step(self, batch: Tensor, step: Step) -> Mapping[str, Tensor]:
        s, optimizer = self.settings, self.optimizers["adam"]
        factor = math.sqrt(len(batch) / PUBLISHED_BATCH) * 0.1 ** (step.index / s.decay_steps)
        set_learning_rate(optimizer, s.learning_rate * factor)
        x = self.view(batch, step.index)
        decodings = self._infer(x, SlotNoise.of(step.generator), through_time=True)
        losses = torch.stack([decoded.loss.mean() for decoded in decodings])
        weights = torch.linspace(0, 1, len(losses), device=losses.device)
        loss = (weights * losses).sum()
        norm = descend(loss, optimizer, self, s.gradient_clip)
        return {"loss": loss.detach(), "last": losses[-1].detach(), "gradient_norm": norm}

    def decompose(self, images: Tensor) -> SlotMixture:
        rgb, logits = [], []
        for part in images.split(EVALUATED_AT_ONCE):
            noise = SlotNoise.fixed(self.device)
            last = self._infer(self.view(part), noise, through_time=False)[-1].mixture
            rgb.append(last.rgb)
            logits.append(last.logits)
        return self.view.restore(SlotMixture(torch.cat(rgb), torch.cat(logits)), images.shape[2:])

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
        log_p = mixture_log_prob(mixture.log_masks, log_components)[:, None]
        prior = latent_distribution(torch.zeros_like(posterior))
        loss = q.kl(prior).sum((1, 2)) - log_p.sum((1, 2, 3, 4))
        return Decoded(mixture, log_components, log_p, loss)


def latent_distribution(parameters: Tensor) -> DiagonalGaussian:
    """N(mean, softplus(raw)) from (…, 2 · latent), mean before raw; zeros are the prior."""
    mean, raw = parameters.chunk(2, -1)
    return DiagonalGaussian(mean, softplus(raw).sqrt())


@torch.no_grad()
def counterfactual(decoded: Decoded) -> Tensor:
    """log p − log p without slot k, whose mask the others share; (B, K, 1, H, W)."""
    logits = decoded.mixture.logits
    slots = logits.shape[1]
    itself = torch.eye(slots, dtype=torch.bool, device=logits.device)[..., None, None, None]
    others = logits[:, None].masked_fill(itself, -torch.inf)  # (B, K, K, 1, H, W)
    without = mixture_log_prob(torch.log_softmax(others, 2), decoded.log_components[:, None], dim=2)
    return decoded.log_p - without


def _normed(norm: nn.Module, values: Tensor) -> Tensor:
    """Normalise constants (B, K or 1, C, H, W) image by image and slot by slot."""
    return norm(values.detach().flatten(0, 1)).view_as(values)


def _initialise_as_sonnet(module: nn.Module) -> None:
    """Sonnet's defaults: truncated normal of variance 1 / fan-in, zero biases, forget gate open."""
    if isinstance(module, nn.Linear | nn.Conv2d):
        std = module.weight[0].numel() ** -0.5
        nn.init.trunc_normal_(module.weight, std=std, a=-2 * std, b=2 * std)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.LSTMCell):
        std = (module.input_size + module.hidden_size) ** -0.5
        for weight in (module.weight_ih, module.weight_hh):
            nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std)
        nn.init.zeros_(module.bias_hh)
        nn.init.zeros_(module.bias_ih)
        with torch.no_grad():
            module.bias_ih[module.hidden_size : 2 * module.hidden_size] = 1  # input, forget, …
