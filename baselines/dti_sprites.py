"""DTI-Sprites: images as layers of a few learned sprites, moved, tinted and occluding one another.

Monnier, Vincent, Ponce and Aubry, "Unsupervised layered image decomposition into object
prototypes", ICCV 2021. Settings: monniert/dti-sprites, configs/clevr6.yml (MIT licence); what it
counts in epochs of its 450 is a fraction of the training here. Different here: the background
starts as the mean of the first batch, not of 100 images, since a method is built from its settings
alone; the heads of all sprites and layers are one batched network; the empty sprite has none; the
occlusion's last layer starts near zero, not at zero; a sprite that starts anew gets copies of the
heads' Adam moments, where the authors' code shares one tensor between both sprites; homographies
sample at the centres of pixels, where kornia 0.3.0 aligns the corners.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt, Le
from pydantic import ConfigDict
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from torch.optim import Adam, Optimizer

from baselines.blocks.glimpse import place
from baselines.blocks.heads import POOL, Heads, resnet18
from baselines.blocks.images import to_bytes, to_unit
from baselines.blocks.layers import choose_greedily, compose, occlusion_matrix, unhidden
from baselines.blocks.warps import project
from denf.errors import DenfError
from denf.harness.method import (
    Capability,
    Explanation,
    OnePassMethod,
    Segmentation,
    Step,
    descend,
)

Share = Annotated[float, Ge(0), Le(1)]
OCCLUSION_SPREAD = 1e-3  # layers that look alike give their order no gradient at first
NOISE = 1e-4  # on the colours of a sprite that starts anew as a copy


@dataclass(frozen=True)
class DtiSpritesSettings:
    """Settings.

    Args:
        size: side of the images, pixels.
        layers: L, the largest number of objects.
        sprites: K.
        sprite_size: side of a sprite, pixels.
        mask_std: standard deviation of the Gaussian that a sprite's mask starts as, pixels.
        width: channels of the ResNet-18's first stage; 64 is torchvision's.
        hidden: width of the heads' two hidden layers.
        passes: of the greedy choice over all layers.
        empty_sprite: a layer may show nothing.
        empty_margin: added to the error of a sprite against that of showing nothing.
        mask_noise: half-width of the uniform noise on masks in training.
        frozen_until: share of the training in which sprites stay as they are and none is empty.
        projective_from: share of the training after which sprites are bent as well as moved.
        decay_at: shares of the training at which the heads' and encoder's rate falls.
        decay: the factor by which it falls.
        learning_rate: Adam's.
        weight_decay: of heads and encoder.
        restart_every: steps between checks for sprites that are hardly used.
        restart_share: a sprite that one random layer uses less than this over K, relative to the
            sprite it uses most, starts anew as a copy of that one.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    size: Annotated[int, Ge(8)] = 128
    layers: Annotated[int, Ge(2)] = 6
    sprites: Annotated[int, Ge(1)] = 6
    sprite_size: Annotated[int, Ge(2)] = 40
    mask_std: Annotated[float, Gt(0)] = 10
    width: Annotated[int, Ge(1)] = 64
    hidden: Annotated[int, Ge(1)] = 128
    passes: Annotated[int, Ge(1)] = 3
    empty_sprite: bool = True
    empty_margin: Annotated[float, Ge(0)] = 1e-4
    mask_noise: Annotated[float, Ge(0)] = 0.4
    frozen_until: Share = 40 / 450
    projective_from: Share = 150 / 450
    decay_at: tuple[Share, ...] = (250 / 450, 400 / 450)
    decay: Annotated[float, Gt(0), Le(1)] = 0.1
    learning_rate: Annotated[float, Gt(0)] = 1e-4
    weight_decay: Annotated[float, Ge(0)] = 1e-6
    restart_every: Annotated[int, Ge(1)] = 250
    restart_share: Annotated[float, Ge(0)] = 0.2


@dataclass(frozen=True)
class Scene:
    """An image in layers: background (B, 3, H, W); of the chosen sprites colours (B, L, 3, H, W)
    and masks (B, L, 1, H, W); occlusion (B, L, L); the choice (B, L, K), zero for no sprite."""

    background: Tensor
    colours: Tensor
    masks: Tensor
    occlusion: Tensor
    choice: Tensor

    def compose(self) -> Tensor:
        """(B, 3, H, W)."""
        return compose(self.background, self.colours, self.masks, self.occlusion)

    def segmentation(self, x: Tensor) -> Segmentation:
        """The layer that is seen, 1 … L, or 0; and there the layer of the colour nearest to x.

        Masks and occlusion are cut at one half. A layer without a sprite is never nearest.
        """
        hard = (self.masks > 0.5).to(self.masks.dtype)
        lower = torch.tril((self.occlusion > 0.5).to(hard.dtype), -1)
        order = lower + torch.triu(1 - lower.mT, 1)  # of two layers one is in front, also at a tie
        seen = (hard * unhidden(hard, order))[:, :, 0] > 0.5  # (B, L, H, W)
        labels = torch.where(seen.any(1), seen.int().argmax(1) + 1, 0)
        distance = (self.colours - x[:, None]).square().sum(2)
        absent = self.choice.sum(2)[..., None, None] == 0
        nearest = distance.masked_fill(absent, torch.inf).argmin(1) + 1
        return Segmentation(labels, torch.where(labels == 0, nearest, labels))


class DtiSprites(OnePassMethod):
    """Mean squared error of the composition of greedily chosen sprites; all in float32.

    Label 0 is the background; where no layer is seen, the layer of the nearest colour is the
    object label, as in the source's evaluation without background.
    """

    Settings = DtiSpritesSettings
    capabilities = frozenset(
        {Capability.SEGMENT, Capability.RECONSTRUCT, Capability.RECOMPOSE, Capability.BACKGROUND}
    )
    usage: Tensor  # (L, K), how often each layer chose each sprite since the last check

    def __init__(
        self, settings: DtiSpritesSettings, precision: torch.dtype = torch.float32
    ) -> None:
        super().__init__(settings, precision)
        s = settings
        self.background = nn.Parameter(torch.full((3, s.size, s.size), 0.5))
        self.sprites = nn.Parameter(torch.full((s.sprites, 3, s.sprite_size, s.sprite_size), 0.9))
        self.sprite_masks = nn.Parameter(
            _gaussian(s.sprite_size, s.mask_std).repeat(s.sprites, 1, 1, 1)
        )
        self.encoder = resnet18(s.width)
        features = 8 * s.width * POOL**2
        self.bend = Heads(s.layers * s.sprites, features, s.hidden, 9)
        self.tint = Heads(s.layers, features, s.hidden, 6)
        self.move = Heads(s.layers, features, s.hidden, 3)
        self.background_tint = Heads(1, features, s.hidden, 6)
        pairs = s.layers * (s.layers - 1) // 2
        self.occlude = Heads(1, features, s.hidden, pairs, spread=OCCLUSION_SPREAD)
        self.register_buffer("usage", torch.zeros(s.layers, s.sprites))

    def make_optimizers(self) -> dict[str, Optimizer]:
        s = self.settings
        prototypes = [self.background, self.sprites, self.sprite_masks]
        known = {id(p) for p in prototypes}
        rest = [p for p in self.parameters() if id(p) not in known]
        groups = [{"params": prototypes}, {"params": rest, "weight_decay": s.weight_decay}]
        return {"adam": Adam(groups, s.learning_rate, fused=True)}

    def training_step(self, batch: Tensor, step: Step) -> Mapping[str, Tensor]:
        s, optimizer, x = self.settings, self.optimizers["adam"], to_unit(batch)
        self._check(batch)
        done = step.index / step.total
        optimizer.param_groups[1]["lr"] = s.learning_rate * s.decay ** sum(
            done >= at for at in s.decay_at
        )
        if step.index == 0:
            with torch.no_grad():
                self.background.copy_(x.mean(0))
        frozen = done < s.frozen_until
        scene = self._scene(
            x, frozen=frozen, bent=done >= s.projective_from, generator=step.generator
        )
        loss = mse_loss(scene.compose(), x)
        norm = descend(loss, optimizer, self, clip=None)
        self.usage += scene.choice.sum(0)
        if (step.index + 1) % s.restart_every == 0:
            if not frozen:
                self._restart_unused(step.generator)
            self.usage.zero_()
        shown = scene.choice.sum((1, 2)).mean()
        return {"loss": loss.detach(), "layers_shown": shown, "gradient_norm": norm}

    @torch.no_grad()
    def explain(self, images: Tensor, truth: Tensor | None = None) -> Explanation:
        x = to_unit(images)
        scene = self._scene(x)
        return Explanation(
            scene.segmentation(x),
            scene.compose().clamp(0, 1),
            background=scene.background.clamp(0, 1),
        )

    @torch.no_grad()
    def recompose(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """The background, and each layer with probability one half."""
        scene = self._scene(to_unit(images))
        coins = torch.rand(scene.masks.shape[:2], generator=generator, device=images.device)
        kept = scene.masks * (coins < 0.5)[..., None, None, None]
        return to_bytes(compose(scene.background, scene.colours, kept, scene.occlusion))

    def _scene(
        self,
        x: Tensor,
        *,
        frozen: bool = False,
        bent: bool = True,
        generator: torch.Generator | None = None,
    ) -> Scene:
        """Layers of images (B, 3, H, W); with a generator, with the noise of training on masks."""
        s, batch, size = self.settings, len(x), (x.shape[2], x.shape[3])
        self._check(x)
        features = self.encoder(x)
        colours, raw = (p.detach() if frozen else p for p in (self.sprites, self.sprite_masks))
        shape = (batch, s.layers, s.sprites)
        masks = _leaky(raw) if generator is None else raw
        canvas = torch.ones_like(raw)  # where the noise goes, so that it stays on the sprite
        sprites = torch.cat((_leaky(colours), masks, canvas), 1).expand(*shape[:2], -1, -1, -1, -1)
        if bent:
            matrix = self.bend(features).flatten(0, 1).unflatten(1, (3, 3)) + torch.eye(
                3, device=x.device
            )
            sprites = project(sprites.flatten(0, 2), matrix).unflatten(0, shape)
        rgb = _tint(sprites[:, :, :, :3], self.tint(features)[:, :, None])
        sprites = torch.cat((rgb, sprites[:, :, :, 3:]), 3)
        boxes = _boxes(self.move(features))[:, :, None].expand(*shape, 4).flatten(1, 2)
        placed = place(sprites.flatten(1, 2), boxes, size).unflatten(1, shape[1:])
        rgb, masks, canvas = placed.split((3, 1, 1), 3)
        if generator is not None:
            noise = torch.rand((s.sprites, 1, *size), generator=generator, device=x.device)
            masks = _leaky(masks + canvas * s.mask_noise * (2 * noise - 1))
        background = _leaky(self.background).expand(batch, 1, -1, -1, -1)
        background = _tint(background, self.background_tint(features))[:, 0]
        occlusion = occlusion_matrix(self.occlude(features)[:, 0], s.layers)
        choice = choose_greedily(
            x,
            background,
            rgb,
            masks,
            occlusion,
            passes=s.passes,
            empty=s.empty_sprite and not frozen,
            cost=s.empty_margin,
        )
        weights = choice[..., None, None, None]
        return Scene(
            background, (weights * rgb).sum(2), (weights * masks).sum(2), occlusion, choice
        )

    @torch.no_grad()
    def _restart_unused(self, generator: torch.Generator) -> None:
        """Copy the most used sprite, its heads and their moments over those hardly used.

        One layer, drawn at random for each check, says how much a sprite is used. A layer that was
        always empty restarts nothing.
        """
        s, state = self.settings, self.optimizers["adam"].state
        layer = torch.randint(s.layers, (1,), generator=generator, device=self.device)
        usage = self.usage[layer][0]
        most = usage.argmax()[None]
        unused = usage / usage.max() < s.restart_share / s.sprites

        def copy(values: Tensor) -> None:  # the axis of the sprites is the second
            at = unused.view(1, -1, *[1] * (values.dim() - 2))
            values.copy_(torch.where(at, values.index_select(1, most), values))

        copy(self.sprites[None])
        noise = torch.randn(self.sprites.shape, generator=generator, device=self.device)
        touched = unused | (torch.arange(s.sprites, device=self.device) == most) & unused.any()
        self.sprites.add_(NOISE * noise * touched[:, None, None, None])
        for parameter in (self.sprite_masks, *self.bend.parameters()):
            moments = state.get(parameter, {})
            for values in (parameter, moments.get("exp_avg"), moments.get("exp_avg_sq")):
                if values is not None:
                    copy(values.view(-1, s.sprites, *values.shape[1:]))

    def _check(self, images: Tensor) -> None:
        side = self.settings.size
        if images.shape[2:] != (side, side):
            raise DenfError(
                "images for DTI-Sprites",
                expected=f"{side}×{side} pixels, the setting `size`",
                got=f"{images.shape[3]}×{images.shape[2]} pixels",
                fix="Change the setting, or prepare the data with another --size.",
            )


def _leaky(x: Tensor) -> Tensor:
    """Clamp to [0, 1] with slope 0.01 outside."""
    return x.clamp(0, 1) + 0.01 * (x - x.clamp(0, 1))


def _boxes(raw: Tensor) -> Tensor:
    """(…, 4), width, height and centre, of the map v ↦ (1 + exp(a)) v + t; raw (…, 3) holds a, t.

    At a = t = 0 a sprite has half of the image side and lies in the middle.
    """
    size = 1 / (1 + raw[..., :1].exp())
    return torch.cat((size, size, -raw[..., 1:] * size), -1)


def _tint(colours: Tensor, raw: Tensor) -> Tensor:
    """(1 + a) · colour + b per channel, clamped; raw (…, 6) holds a and b of each channel."""
    a, b = raw.unflatten(-1, (3, 2))[..., None, None].unbind(-3)
    return _leaky((1 + a) * colours + b)


def _gaussian(side: int, std: float) -> Tensor:
    """exp(−r² / 2 std²) around the centre, (1, 1, side, side)."""
    axis = torch.arange(side) - (side - 1) / 2
    profile = torch.exp(-0.5 * (axis / std).square())
    return (profile[:, None] * profile)[None, None]
