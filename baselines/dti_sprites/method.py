"""DTI-Sprites: images as layers of a few learned sprites that are moved, tinted and occluded.

Monnier, Vincent, Ponce and Aubry, "Unsupervised layered image decomposition into object
prototypes", ICCV 2021. Settings: monniert/dti-sprites, configs/clevr6.yml (MIT licence); numbers of
epochs out of its 450 are fractions of the training here. What differs here: the background starts
as the mean of the first batch, not of 100 images, because a method is built from its settings
alone; the heads of all sprites and layers are one batched network; the empty sprite has no head;
the last layer for occlusion starts near zero, not at zero; a restarted sprite gets copies of the
heads' Adam moments, where the authors' code shares one tensor between both sprites; homographies
sample at the centres of pixels, where kornia 0.3.0 aligns the corners.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from torch.optim import Adam, Optimizer

from baselines.blocks.glimpse import place
from baselines.blocks.heads import POOL, Heads, resnet18
from baselines.blocks.images import check_size, to_bytes, to_unit
from baselines.blocks.layers import choose_greedily, compose, occlusion_matrix
from baselines.blocks.warps import project
from baselines.dti_sprites.restart import restart_unused
from baselines.dti_sprites.scene import Scene
from baselines.dti_sprites.settings import DtiSpritesSettings
from baselines.dti_sprites.transformations import boxes_of, gaussian, leaky, tinted
from denf.harness.method import Capability, OnePassMethod, Prediction, Step, descend

OCCLUSION_SPREAD = 1e-3  # not 0: equal layers give their order no gradient


class DtiSprites(OnePassMethod):
    """Mean squared error of the composition (Eq. 3) of greedily chosen sprites.

    Label 0 is the background. Where no layer is visible, the object label is the layer of the
    nearest colour, as in the source's evaluation without background.
    """

    settings: DtiSpritesSettings
    capabilities = frozenset(
        {Capability.SEGMENT, Capability.RECONSTRUCT, Capability.RECOMPOSE, Capability.BACKGROUND}
    )
    usage: Tensor  # (L, K), how often each layer chose each sprite since the last check

    def __init__(self, settings: DtiSpritesSettings) -> None:
        super().__init__(settings)
        s = settings
        self.background = nn.Parameter(torch.full((3, s.size, s.size), 0.5))
        self.sprites = nn.Parameter(torch.full((s.sprites, 3, s.sprite_size, s.sprite_size), 0.9))
        self.sprite_masks = nn.Parameter(
            gaussian(s.sprite_size, s.mask_std).repeat(s.sprites, 1, 1, 1)
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
        groups: list[dict[str, Any]] = [
            {"params": prototypes},
            {"params": rest, "weight_decay": s.weight_decay},
        ]
        return {"adam": Adam(groups, s.learning_rate, fused=True)}

    def training_step(self, batch: Tensor, step: Step) -> Mapping[str, Tensor]:
        s, optimizer, x = self.settings, self.optimizers["adam"], to_unit(batch)
        check_size(batch, s.size, "DTI-Sprites")
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
    def predict(self, images: Tensor, truth: Tensor | None = None) -> Prediction:
        x = to_unit(images)
        scene = self._scene(x)
        return Prediction(
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
        """Layers of images (B, 3, H, W) in [0, 1]; with a generator, masks get training noise."""
        s, batch, size = self.settings, len(x), (x.shape[2], x.shape[3])
        check_size(x, s.size, "DTI-Sprites")
        features = self.encoder(x)
        colours, raw = (p.detach() if frozen else p for p in (self.sprites, self.sprite_masks))
        shape = (batch, s.layers, s.sprites)
        masks = leaky(raw) if generator is None else raw
        canvas = torch.ones_like(raw)  # area of the sprite, to which the noise is limited
        sprites = torch.cat((leaky(colours), masks, canvas), 1).expand(*shape[:2], -1, -1, -1, -1)
        if bent:
            matrix = self.bend(features).flatten(0, 1).unflatten(1, (3, 3)) + torch.eye(
                3, device=x.device
            )
            sprites = project(sprites.flatten(0, 2), matrix).unflatten(0, shape)
        rgb = tinted(sprites[:, :, :, :3], self.tint(features)[:, :, None])
        sprites = torch.cat((rgb, sprites[:, :, :, 3:]), 3)
        boxes = boxes_of(self.move(features))[:, :, None].expand(*shape, 4).flatten(1, 2)
        placed = place(sprites.flatten(1, 2), boxes, size).unflatten(1, shape[1:])
        rgb, masks, canvas = placed.split((3, 1, 1), 3)
        if generator is not None:
            noise = torch.rand((s.sprites, 1, *size), generator=generator, device=x.device)
            masks = leaky(masks + canvas * s.mask_noise * (2 * noise - 1))
        background = leaky(self.background).expand(batch, 1, -1, -1, -1)
        background = tinted(background, self.background_tint(features))[:, 0]
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

    def _restart_unused(self, generator: torch.Generator) -> None:
        """Restart sprites that are rarely used; see `restart_unused`."""
        restart_unused(
            self.sprites,
            [self.sprite_masks, *self.bend.parameters()],
            self.optimizers["adam"],
            self.usage,
            share=self.settings.restart_share,
            generator=generator,
        )
