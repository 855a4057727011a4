"""Composites: components of other images laid beside or over those of an image, in depth order.

Objects that touch form one component, which does not show where one object ends. The components of
a composite touch as well, but the component that each cell belongs to is known.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from denf.model.components import Components
from denf.model.denf import to_pixels
from denf.model.masks import boxes_of
from denf.model.settings import Composites as Settings

Uniform = Callable[..., Tensor]  # random numbers in [0, 1) of a shape
_LEAST_CELLS = 6  # visible ones of a component that is laid over an image


@dataclass(frozen=True)
class Placement:
    """One component laid over each of B images.

    Args:
        mask: bool (B, h, w), the cells that it covers in its new place, before occlusion.
        colours: (B, 3, H, W), its image, moved with it; arbitrary outside the mask.
        bottom: (B,), its lower edge in cells: the component that reaches lower is in front.
    """

    mask: Tensor
    colours: Tensor
    bottom: Tensor


def composites(
    x: Tensor, found: Components, settings: Settings, generator: torch.Generator
) -> tuple[Tensor, Components]:
    """Lay components over images, each with `settings.probability`.

    A component comes from another image of the batch; it is whole, nothing hides a part of it, and
    it does not touch the image border. It lies beside or over a whole component of the image, or
    anywhere. Of two components that overlap, the one whose lower edge is lower is in front, as on a
    floor seen from above.

    Args:
        x: images (B, 3, H, W).
        found: their components.
        settings: see `Composites`.
        generator: on the images' device.

    Returns:
        images and their components; the new components are numbered after the old ones.
    """
    b, device = len(x), x.device

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=device)

    chosen = uniform(b) < settings.probability
    number = 1 + (uniform(b) * settings.most).long()
    source = replace(found, whole=found.convex & _clear(found))
    original, here = x, found
    for k in range(settings.most):
        donor = (torch.arange(b, device=device) + 1 + (uniform(b) * max(1, b - 1)).long()) % b
        placed, possible = _place(original, here, source, donor, settings, uniform)
        # Cells of a component that reaches lower than the new one stay in front of it.
        covered = _bottoms(here) > placed.bottom[:, None, None]
        mask = placed.mask & ~covered
        laid = chosen & (k < number) & possible & (mask.sum((1, 2)) >= _LEAST_CELLS)
        mask = mask & laid[:, None, None]
        labels = torch.where(mask, here.whole.shape[1] + 1, here.labels)
        pixels = to_pixels(mask.float(), (x.shape[2], x.shape[3]))[:, None] > 0
        x = torch.where(pixels, placed.colours, x)
        new = laid[:, None]  # another one may hide a part of it: not convex
        whole = torch.cat((here.whole, new), 1)
        here = Components(labels, whole, torch.cat((here.convex, torch.zeros_like(new)), 1))
    return x, here


def _place(
    x: Tensor,
    here: Components,
    source: Components,
    donor: Tensor,
    settings: Settings,
    uniform: Uniform,
) -> tuple[Placement, Tensor]:
    """A component and its place for each image, and whether there is one: bool (B,)."""
    b, h, w = here.labels.shape
    cells = torch.tensor((w, h, w, h), device=x.device)
    rows = torch.arange(b, device=x.device)
    guest, possible = _pick(source.whole[donor], uniform)
    masks = source.masks[donor, guest]
    x0, y0, x1, y1 = (boxes_of(masks) * cells).unbind(-1)
    host, has_host = _pick(here.whole, uniform)
    u0, v0, u1, v1 = (boxes_of(here.masks[rows, host]) * cells).unbind(-1)
    angle, f = (
        2 * math.pi * uniform(b),
        settings.nearest + uniform(b) * (settings.farthest - settings.nearest),
    )
    beside_x = (u0 + u1) / 2 + f * angle.cos() * (u1 - u0 + x1 - x0) / 2
    beside_y = (v0 + v1) / 2 + f * angle.sin() * (v1 - v0 + y1 - y0) / 2
    beside = has_host & (uniform(b) < settings.beside)
    centre_x = torch.where(beside, beside_x, uniform(b) * w)
    centre_y = torch.where(beside, beside_y, uniform(b) * h)
    step_x = (centre_x - (x0 + x1) / 2).round().long()
    step_y = (centre_y - (y0 + y1) / 2).round().long()
    scale = x.shape[2] // h
    mask = _moved(masks[:, None], step_y, step_x)[:, 0]
    colours = _moved(x[donor], step_y * scale, step_x * scale)
    return Placement(mask, colours, y1 + step_y), possible


def _pick(allowed: Tensor, uniform: Uniform) -> tuple[Tensor, Tensor]:
    """One of the allowed (B, K), drawn uniformly: index (B,) and whether there is any."""
    return (uniform(*allowed.shape) * allowed).argmax(1), allowed.any(1)


def _moved(images: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Images (B, C, H, W) moved by whole pixels, (B,) each; False or 0 fills the edges."""
    b, _, h, w = images.shape
    rows = torch.arange(h, device=images.device) - down[:, None]
    columns = torch.arange(w, device=images.device) - right[:, None]
    known = ((rows >= 0) & (rows < h))[:, :, None] & ((columns >= 0) & (columns < w))[:, None]
    which = torch.arange(b, device=images.device)[:, None, None]
    there = images[which, :, rows.clamp(0, h - 1)[:, :, None], columns.clamp(0, w - 1)[:, None]]
    return (there * known[..., None]).permute(0, 3, 1, 2)


def _clear(found: Components) -> Tensor:
    """Components that do not touch the image border, so that no part is cut off: (B, K)."""
    masks = found.masks
    edges = (masks[..., 0, :], masks[..., -1, :], masks[..., 0], masks[..., -1])
    return ~torch.stack([edge.any(-1) for edge in edges]).any(0)


def _bottoms(found: Components) -> Tensor:
    """Lower edge, in cells, of the component that each cell belongs to, 0 elsewhere: (B, h, w)."""
    h = found.labels.shape[1]
    bottom = torch.nn.functional.pad(boxes_of(found.masks)[..., 3] * h, (1, 0))
    return bottom.gather(1, found.labels.flatten(1)).view_as(found.labels)
