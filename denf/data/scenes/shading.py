"""From scenes to pictures: lamps with soft shadows, one glossy bounce, antialiasing, masks.

Light is linear until the last step, a table that encodes it as sRGB. As in `raycast`, nothing but
elementwise operations in a fixed order: a scene's picture does not depend on its batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from denf.data.scenes.raycast import FAR, Objects, dot, normal, trace, unit, visibility

_LEVELS = 1 << 14  # of the sRGB table; sRGB's steepest slope needs 3,294
_SKYLINE = 1e4  # rays that hit nothing are followed this far


@dataclass(frozen=True)
class Lamp:
    """What all scenes of a kind share about one lamp.

    Args:
        radius: of the lamp's disc, in world units; sets the penumbra.
        wrap: 0 for a lamp (cosine law), 1 for the dome of the sky, which lights a surface with
            normal n from above by (1 + n_z) / 2.
        glint: strength of its highlight on glossy objects.
    """

    radius: float
    wrap: float = 0.0
    glint: float = 1.0


@dataclass(frozen=True)
class Look:
    """What all scenes of a kind share.

    Args:
        lamps: one entry a lamp.
        ground: colour (3, B, P) of the plane z = 0 at x, y (B, P) each.
        ambient: light (3,) that reaches every surface, unshadowed.
        bounce: light (3,) that a surface facing down gets from the ground; (1 − n_z) / 2 of it.
        sky: radiance at the horizon and at the zenith, where a ray hits nothing.
        window: left, right, top, bottom of the picture as tangents from the optical axis.
        gloss: strength of the highlight on objects that are not metal.
        mirror: share of a metal's light that is reflection; the rest is diffuse.
        bevel: see `raycast.normal`.
    """

    lamps: tuple[Lamp, ...]
    ground: Callable[[Tensor, Tensor], Tensor]
    ambient: tuple[float, float, float]
    bounce: tuple[float, float, float]
    sky: tuple[float, float]
    window: tuple[float, float, float, float]
    gloss: float = 0.0
    mirror: float = 0.0
    glint: float = 0.0
    bevel: float = 0.05


@dataclass(frozen=True)
class Scenes:
    """B scenes of one kind, on one device.

    Args:
        objects: the K objects each.
        colour: (3, B, K) albedo.
        metal: (B, K) 1 where an object mirrors, 0 elsewhere.
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
        """What lights and fills scenes (R,), one a row; label and camera stay as they are."""
        return replace(
            self,
            objects=self.objects.at(scenes),
            colour=self.colour[:, scenes],
            metal=self.metal[scenes],
            lamp=self.lamp[:, scenes],
            power=self.power[:, scenes],
        )


def rays(
    view: Tensor, window: tuple[float, float, float, float], height: int, width: int
) -> Tensor:
    """Unit directions (3, B, height · width) through the cells' centres of a grid over the window."""
    left, right, top, bottom = window
    column = torch.arange(width, device=view.device, dtype=torch.float32)
    row = torch.arange(height, device=view.device, dtype=torch.float32)
    x = left + (column + 0.5) * ((right - left) / width)
    y = top + (row + 0.5) * ((bottom - top) / height)
    x, y = x.repeat(height), y.repeat_interleave(width)
    across, up, forward = (view[i][:, :, None] for i in range(3))
    return unit(across * x - up * y + forward)


def labels(
    scenes: Scenes, window: tuple[float, float, float, float], height: int, width: int
) -> Tensor:
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


def radiance(
    scenes: Scenes, look: Look, origin: Tensor, direction: Tensor, own: Tensor | None = None
) -> Tensor:
    """Linear light (3, B, P) that arrives along rays.

    Args:
        origin: (3, B).
        direction: (3, B, P), of unit length.
        own: None for the camera's rays. For mirrored rays, (B, P) the objects that mirror them:
            what they show has its metal mirror nothing further.
    """
    objects, points = scenes.objects, direction.shape[2]
    depth, item = trace(objects, origin, direction, own)
    fall = -origin[2][:, None] / direction[2].clamp(max=-1e-6)
    floor = torch.where(direction[2] < 0, fall, FAR)
    sky = (depth >= FAR) & (floor >= _SKYLINE)
    depth = torch.minimum(depth, floor).clamp(max=_SKYLINE)
    point = origin[:, :, None] + depth * direction

    (solid,) = (item < objects.shape.shape[1]).view(-1).nonzero(as_tuple=True)
    row, of = solid // points, item.view(-1)[solid]
    facing = torch.zeros_like(point)
    facing[2] = 1
    facing.view(3, -1)[:, solid] = normal(
        objects.at(row), of, point.view(3, -1)[:, solid], look.bevel
    )
    albedo = look.ground(point[0], point[1])
    albedo.view(3, -1)[:, solid] = scenes.colour[:, row, of]
    metal = torch.zeros_like(depth)
    metal.view(-1)[solid] = scenes.metal[row, of]
    gloss = torch.zeros_like(depth)
    gloss.view(-1)[solid] = look.gloss

    mirrored = direction - 2 * dot(direction, facing) * facing
    below = direction.new_tensor(look.bounce)[:, None, None] * ((1 - facing[2]) / 2)
    diffuse = direction.new_tensor(look.ambient)[:, None, None] + below
    shine = torch.zeros_like(point)
    for i, lamp in enumerate(look.lamps):
        at, power = scenes.lamp[:, :, i], scenes.power[:, :, i]
        ray = at[:, :, None] - point
        squared = dot(ray, ray)
        toward = ray / squared.sqrt()
        emitted = dot(unit(at)[:, :, None], toward).clamp(min=0)
        seen = visibility(objects, at, lamp.radius, point, item)
        arriving = power[:, :, None] * (emitted * seen / squared)
        cosine = dot(facing, toward)
        diffuse += arriving * ((cosine + lamp.wrap) / (1 + lamp.wrap)).clamp(min=0)
        if lamp.glint:
            lobe = dot(mirrored, toward).clamp(min=0)
            lobe = lobe * lobe
            lobe = lobe * lobe
            lobe = lobe * lobe  # power 8: the sheen of rubber
            sharp = lobe * lobe
            sharp = sharp * sharp  # power 32: the highlight of metal
            shine += arriving * (
                lamp.glint * torch.where(metal > 0, look.glint * sharp * albedo, gloss * lobe)
            )
    light = albedo * (diffuse * (1 - look.mirror * metal)) + shine
    low = 1 - direction[2].clamp(0, 1)
    light = torch.where(sky, look.sky[1] + (look.sky[0] - look.sky[1]) * (low * low), light)
    if own is None and look.mirror:
        (shiny,) = (metal > 0).view(-1).nonzero(as_tuple=True)
        row = shiny // points
        # Each mirrored ray becomes a scene with one ray.
        start, ahead = point.view(3, -1)[:, shiny], unit(mirrored.view(3, -1)[:, shiny])
        mirror_of = item.view(-1)[shiny, None]
        seen_there = radiance(scenes.at(row), look, start, ahead[:, :, None], mirror_of)
        light.view(3, -1)[:, shiny] += (
            look.mirror * albedo.view(3, -1)[:, shiny] * seen_there[:, :, 0]
        )
    return light


@lru_cache(maxsize=4)
def _srgb(device: torch.device) -> Tensor:
    """IEC 61966-2-1 for `_LEVELS` equally spaced linear values, uint8."""
    linear = torch.linspace(0, 1, _LEVELS, dtype=torch.float64)
    power = 1.055 * linear.clamp(min=0.0031308) ** (1 / 2.4) - 0.055
    encoded = torch.where(linear <= 0.0031308, 12.92 * linear, power)
    return (encoded * 255 + 0.5).to(torch.uint8).to(device)
