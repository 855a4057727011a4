"""From scenes to pictures: lamps with soft shadows, one glossy bounce, antialiasing, masks.

Light is linear until the last step, a table that encodes it as sRGB. As in `raycast`, all
operations are elementwise and in a fixed order, so a scene's picture does not depend on its batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from denf.data.scenes.raycast import FAR, Objects, dot, normal, trace, unit, visibility

Window = tuple[float, float, float, float]  # left, right, top, bottom; see `Look`
_LEVELS = 1 << 14  # of the sRGB table; sRGB's steepest slope needs 3,294
_SKYLINE = 1e4  # rays that hit nothing are followed this far


@dataclass(frozen=True)
class Lamp:
    """Properties of one lamp that all scenes of a kind share.

    Args:
        radius: of the lamp's disc, in world units; sets the penumbra.
        wrap: 0 for a lamp (cosine law), 1 for the dome of the sky, which lights a surface with
            normal n from above by (1 + n_z) / 2.
        highlight: whether the lamp makes a highlight.
    """

    radius: float
    wrap: float = 0.0
    highlight: bool = True


@dataclass(frozen=True)
class Look:
    """Properties that all scenes of a kind share.

    Args:
        lamps: one entry per lamp.
        ground: colour (3, B, P) of the plane z = 0 at x, y (B, P) each.
        ambient: light (3,) that reaches every surface, unshadowed.
        bounce: light (3,) from the ground on a surface facing down; others get (1 − n_z) / 2 of it.
        sky: radiance at the horizon and at the zenith, where a ray hits nothing.
        window: left, right, top, bottom of the picture as tangents from the optical axis.
        gloss: strength of the highlight on objects that are not metal.
        glint: strength of the highlight on metal.
        mirror: share of a metal's light that is reflection; the rest is diffuse.
        bevel: see `raycast.normal`.
    """

    lamps: tuple[Lamp, ...]
    ground: Callable[[Tensor, Tensor], Tensor]
    ambient: tuple[float, float, float]
    bounce: tuple[float, float, float]
    sky: tuple[float, float]
    window: Window
    gloss: float = 0.0
    glint: float = 0.0
    mirror: float = 0.0
    bevel: float = 0.05


@dataclass(frozen=True)
class Scenes:
    """B scenes of one kind, on one device.

    Args:
        objects: the K objects each.
        colour: (3, B, K) albedo.
        metal: (B, K) 1 for metal, 0 elsewhere.
        label: (B, K) uint8 mask value of each object.
        lamp: (3, B, L) positions. Lamps face the origin and shine by the cosine law.
        power: (3, B, L) radiant intensity on the axis: irradiance times distance squared.
        eye: (3, B) camera position.
        view: (3, 3, B) the camera's right, up and forward.
    """

    objects: Objects
    colour: Tensor
    metal: Tensor
    label: Tensor
    lamp: Tensor
    power: Tensor
    eye: Tensor
    view: Tensor

    def at(self, scenes: Tensor) -> Scenes:
        """Objects and lamps of scenes (R,), one scene per row; label and camera are unchanged."""
        return replace(
            self,
            objects=self.objects.at(scenes),
            colour=self.colour[:, scenes],
            metal=self.metal[scenes],
            lamp=self.lamp[:, scenes],
            power=self.power[:, scenes],
        )


def rays(view: Tensor, window: Window, height: int, width: int) -> Tensor:
    """Unit directions (3, B, height · width) through the cells of a grid over the window."""
    left, right, top, bottom = window
    column = torch.arange(width, device=view.device, dtype=torch.float32)
    row = torch.arange(height, device=view.device, dtype=torch.float32)
    x = left + (column + 0.5) * ((right - left) / width)
    y = top + (row + 0.5) * ((bottom - top) / height)
    x, y = x.repeat(height), y.repeat_interleave(width)
    across, up, forward = (view[i][:, :, None] for i in range(3))
    return unit(across * x - up * y + forward)


def labels(scenes: Scenes, window: Window, height: int, width: int) -> Tensor:
    """Exact masks (B, height, width) uint8: the label of the object at each cell's centre."""
    _, item = trace(scenes.objects, scenes.eye, rays(scenes.view, window, height, width))
    padded = torch.nn.functional.pad(scenes.label, (0, 1))
    return padded.gather(1, item).view(-1, height, width)


def pictures(scenes: Scenes, look: Look, size: int, grid: int = 2) -> Tensor:
    """Pictures uint8 (B, size, size, 3), each pixel the mean over grid × grid rays."""
    side = size * grid
    light = radiance(scenes, look, scenes.eye, rays(scenes.view, look.window, side, side))
    cells = light.clamp(0, 1).view(3, -1, size, grid, size, grid)
    total = cells[:, :, :, 0, :, 0].clone()
    for i in range(1, grid * grid):
        total += cells[:, :, :, i // grid, :, i % grid]
    level = (total * ((_LEVELS - 1) / grid**2) + 0.5).to(torch.int64)
    return _srgb(light.device)[level].permute(1, 2, 3, 0).contiguous()


@dataclass(frozen=True)
class Surface:
    """The surfaces that B × P rays hit: an object, the ground or the sky.

    Args:
        item: (B, P) object index, K for the ground and the sky.
        point: (3, B, P).
        facing: (3, B, P) unit normals.
        mirrored: (3, B, P) directions of the mirrored rays.
        albedo: (3, B, P).
        metal: (B, P) 1 on metal.
        gloss: (B, P) strength of the highlight; 0 on the ground.
        sky: (B, P) whether nothing is hit.
    """

    item: Tensor
    point: Tensor
    facing: Tensor
    mirrored: Tensor
    albedo: Tensor
    metal: Tensor
    gloss: Tensor
    sky: Tensor


def meet(
    scenes: Scenes, look: Look, origin: Tensor, direction: Tensor, own: Tensor | None
) -> Surface:
    """The surfaces that rays hit; arguments as for `radiance`."""
    objects, points = scenes.objects, direction.shape[2]
    depth, item = trace(objects, origin, direction, own)
    fall = -origin[2][:, None] / direction[2].clamp(max=-1e-6)
    floor = torch.where(direction[2] < 0, fall, FAR)
    sky = torch.minimum(depth, floor) >= _SKYLINE
    point = origin[:, :, None] + torch.minimum(depth, floor).clamp(max=_SKYLINE) * direction
    facing, metal, gloss = torch.zeros_like(point), torch.zeros_like(depth), torch.zeros_like(depth)
    facing[2] = 1
    albedo = look.ground(point[0], point[1])

    (solid,) = (item < objects.shape.shape[1]).view(-1).nonzero(as_tuple=True)
    row, of = solid // points, item.view(-1)[solid]
    at = point.flatten(1).index_select(1, solid)
    facing.view(3, -1).index_copy_(1, solid, normal(objects, row, of, at, look.bevel))
    albedo.view(3, -1).index_copy_(1, solid, scenes.colour[:, row, of])
    metal.view(-1)[solid] = scenes.metal[row, of]
    gloss.view(-1)[solid] = torch.where(scenes.metal[row, of] > 0, look.glint, look.gloss)
    mirrored = direction - 2 * dot(direction, facing) * facing
    return Surface(item, point, facing, mirrored, albedo, metal, gloss, sky)


def radiance(
    scenes: Scenes, look: Look, origin: Tensor, direction: Tensor, own: Tensor | None = None
) -> Tensor:
    """Linear light (3, B, P) that arrives along rays.

    Args:
        origin: (3, B).
        direction: (3, B, P), of unit length.
        own: None for the camera's rays. For mirrored rays, (B, P) the objects that reflect them;
            metal that they hit is diffuse, so that there is only one bounce.
    """
    surface = meet(scenes, look, origin, direction, own)
    diffuse, highlight = _lit(scenes, look, surface)
    mirror = look.mirror * surface.metal if own is None else torch.zeros_like(surface.metal)
    light = surface.albedo * diffuse * (1 - mirror) + highlight
    low = 1 - direction[2].clamp(0, 1)
    horizon, zenith = look.sky
    light = torch.where(surface.sky, zenith + (horizon - zenith) * (low * low), light)
    (shiny,) = (mirror > 0).view(-1).nonzero(as_tuple=True)
    if len(shiny):
        start, ahead, albedo = (
            part.flatten(1).index_select(1, shiny)
            for part in (surface.point, surface.mirrored, surface.albedo)
        )
        # Each mirrored ray becomes a scene with one ray.
        beside = scenes.at(shiny // direction.shape[2])
        of = surface.item.view(-1)[shiny, None]
        mirrored = radiance(beside, look, start, unit(ahead)[:, :, None], of)[:, :, 0]
        light.view(3, -1).index_add_(1, shiny, look.mirror * albedo * mirrored)
    return light


def _lit(scenes: Scenes, look: Look, surface: Surface) -> tuple[Tensor, Tensor]:
    """Light that arrives at a surface, and its highlights towards the eye; (3, B, P) each."""
    point, facing = surface.point, surface.facing
    up, around = point.new_tensor(look.bounce), point.new_tensor(look.ambient)
    diffuse = around[:, None, None] + up[:, None, None] * ((1 - facing[2]) / 2)
    highlight = torch.zeros_like(point)
    tint = torch.where(surface.metal > 0, surface.albedo, 1.0)
    for i, lamp in enumerate(look.lamps):
        at, power = scenes.lamp[:, :, i], scenes.power[:, :, i]
        ray = at[:, :, None] - point
        squared = dot(ray, ray)
        toward = ray / squared.sqrt()
        emitted = dot(unit(at)[:, :, None], toward).clamp(min=0)
        seen = visibility(scenes.objects, at, lamp.radius, point, surface.item)
        arriving = power[:, :, None] * (emitted * seen / squared)
        cosine = dot(facing, toward)
        diffuse += arriving * ((cosine + lamp.wrap) / (1 + lamp.wrap)).clamp(min=0)
        if lamp.highlight:
            lobe = dot(surface.mirrored, toward).clamp(min=0)
            for _ in range(3):
                lobe = lobe * lobe  # to the power of 8, the sheen of rubber
            sharp = lobe * lobe
            sharp = sharp * sharp  # to the power of 32, the highlight of metal
            lobe = torch.where(surface.metal > 0, sharp, lobe)
            highlight += arriving * tint * (surface.gloss * lobe)
    return diffuse, highlight


@lru_cache(maxsize=4)
def _srgb(device: torch.device) -> Tensor:
    """IEC 61966-2-1 for `_LEVELS` equally spaced linear values, uint8."""
    linear = torch.linspace(0, 1, _LEVELS, dtype=torch.float64)
    power = 1.055 * linear.clamp(min=0.0031308) ** (1 / 2.4) - 0.055
    encoded = torch.where(linear <= 0.0031308, 12.92 * linear, power)
    return (encoded * 255 + 0.5).to(torch.uint8).to(device)
