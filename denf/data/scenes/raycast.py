"""Analytic ray casting: spheres, boxes and cylinders, for many scenes at once.

Vectors carry their component on the first axis, (3, …), so that each component is contiguous. B is
the number of scenes, K the objects a scene (padded), P the rays a scene. Objects are culled by
their bounding spheres first; only the surviving (scene, object, ray) pairs meet the exact formulas.
Every operation is elementwise or a minimum, so a ray's result does not depend on its batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import torch
from torch import Tensor

FAR = 1e9  # the depth of a ray that hits nothing
_TINY = 1e-9


class Shape(IntEnum):
    """What an object is; NONE is padding."""

    NONE = -1
    SPHERE = 0
    BOX = 1
    CYLINDER = 2  # along its own third axis


@dataclass(frozen=True)
class Objects:
    """Objects of B scenes, padded to K.

    Args:
        shape: (B, K) values of `Shape`.
        centre: (3, B, K).
        axes: (3, 3, B, K); `axes[i]` is the object's i-th axis in world coordinates.
        half: (3, B, K) half extents along the axes, positive: (r, r, r) of a sphere,
            (r, r, h) of a cylinder of height 2h.
    """

    shape: Tensor
    centre: Tensor
    axes: Tensor
    half: Tensor

    def at(self, scenes: Tensor) -> Objects:
        """The objects of scenes (R,), one scene a row."""
        return Objects(
            self.shape[scenes],
            self.centre[:, scenes],
            self.axes[:, :, scenes],
            self.half[:, scenes],
        )

    @property
    def bound(self) -> Tensor:
        """(B, K) radii of bounding spheres; 0 of padding."""
        h = self.half
        ball = self.shape == Shape.SPHERE
        corner = torch.where(ball, h[0] * h[0], dot(h, h)).sqrt()
        return torch.where(self.shape == Shape.NONE, 0.0, corner)


class Pairs(NamedTuple):
    """M candidate meetings of a ray and an object, and what the exact formulas say of them.

    Args:
        ray: (M,) index into the flattened (B · P) rays.
        item: (M,) object index 0…K−1.
        enter: (M,) distance along the ray's line at which it enters; meaningful where it hits.
        leave: (M,) distance at which it leaves.
        clearance: (M,) signed distance of the line from the object, negative where it hits; exact
            at the silhouette and for spheres, of the right sign and order elsewhere.
    """

    ray: Tensor
    item: Tensor
    enter: Tensor
    leave: Tensor
    clearance: Tensor


def dot(a: Tensor, b: Tensor) -> Tensor:
    """a · b over the first axis, summed in a fixed order."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def unit(a: Tensor) -> Tensor:
    """a / |a| over the first axis."""
    return a / dot(a, a).clamp(min=1e-20).sqrt()


def pairs(objects: Objects, origin: Tensor, direction: Tensor, spread: Tensor | None) -> Pairs:
    """Meet rays with objects.

    Args:
        origin: (3, B), one origin a scene.
        direction: (3, B, P), of unit length.
        spread: None, or (B, P): every ray is a cone of this radius, and objects that the cone
            touches count as candidates.
    """
    to = objects.centre - origin[:, :, None]
    along = dot(to[..., None], direction[:, :, None])
    bound = objects.bound * 1.01 + 0.01  # room for rounding; what is culled is never examined
    reach = (bound * bound)[..., None]
    if spread is not None:
        wide = bound[..., None] + spread[:, None]
        reach = wide * wide
    near = dot(to, to)[..., None] - along * along <= reach
    near &= (along > -bound[..., None]) & (objects.shape != Shape.NONE)[..., None]
    b, k, p = near.nonzero(as_tuple=True)
    count, items, rays = near.shape
    bk, ray = b * items + k, b * rays + p
    axes = objects.axes.reshape(3, 3, -1)[:, :, bk]
    start = -to.reshape(3, -1)[:, bk]
    ahead = direction.reshape(3, -1)[:, ray]
    local = torch.stack([dot(axis, start) for axis in axes])
    slope = torch.stack([dot(axis, ahead) for axis in axes])
    half, kind = objects.half.reshape(3, -1)[:, bk], objects.shape.reshape(-1)[bk]
    result = local.new_empty(3, len(b))
    for shape, meet in ((Shape.SPHERE, _sphere), (Shape.BOX, _box), (Shape.CYLINDER, _cylinder)):
        (of,) = (kind == shape).nonzero(as_tuple=True)
        result[:, of] = torch.stack(meet(local[:, of], slope[:, of], half[:, of]))
    return Pairs(ray, k, *result)


def _sphere(o: Tensor, d: Tensor, half: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    middle = -dot(o, d)
    foot = o + middle * d
    miss2, r = dot(foot, foot), half[0]
    chord = (r * r - miss2).clamp(min=0).sqrt()
    return middle - chord, middle + chord, miss2.sqrt() - r


def _box(o: Tensor, d: Tensor, half: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    inverse = 1 / torch.where(d.abs() < _TINY, _TINY, d)
    middle, width = -o * inverse, half * inverse.abs()
    enter, leave = middle - width, middle + width
    # Leaving slab i before entering slab j, the line is (enter_j − leave_i) / (1/|d_i| + 1/|d_j|)
    # outside both half-way; the largest of these is min over t of max over planes of the distance.
    pace = inverse.abs()
    gaps = (enter[None] - leave[:, None]) / (pace[None] + pace[:, None])
    return enter.amax(0), leave.amin(0), gaps.amax((0, 1))


def _cylinder(o: Tensor, d: Tensor, half: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    r = half[0]
    across = (d[0] * d[0] + d[1] * d[1]).clamp(min=1e-12)
    speed = across.sqrt()
    miss = (o[0] * d[1] - o[1] * d[0]).abs() / speed
    chord = (r * r - miss * miss).clamp(min=0).sqrt() / speed
    middle = -(o[0] * d[0] + o[1] * d[1]) / across
    inverse = 1 / torch.where(d[2].abs() < _TINY, _TINY, d[2])
    cap, width = -o[2] * inverse, (half[2] * inverse).abs()
    # As for the box, with the side for a slab; a line crosses it at speed · √(1 − miss²/r²), here
    # bounded from below, for a line that only grazes it.
    pace = inverse.abs() + r / (across * torch.maximum(chord, r / (4 * speed)))
    gap = (middle - cap).abs() - chord - width
    return (
        torch.maximum(middle - chord, cap - width),
        torch.minimum(middle + chord, cap + width),
        torch.stack([miss - r, -half[2], gap / pace]).amax(0),
    )


def trace(objects: Objects, origin: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """Nearest object along each ray.

    Args:
        origin: (3, B).
        direction: (3, B, P), of unit length.

    Returns:
        depth (B, P), `FAR` where nothing is hit, and item (B, P) int64, K where nothing is hit.
    """
    found = pairs(objects, origin, direction, None)
    shape, items = direction.shape[1:], objects.shape.shape[1]
    hit = (found.clearance < 0) & (found.enter > 0)
    enter = torch.where(hit, found.enter, FAR)
    depth = enter.new_full((shape.numel(),), FAR)
    depth.scatter_reduce_(0, found.ray, enter, "amin")
    item = torch.full_like(depth, items, dtype=torch.int64)
    nearest = hit & (enter == depth[found.ray])
    item.scatter_reduce_(0, found.ray[nearest], found.item[nearest], "amin")
    return depth.view(shape), item.view(shape)


def visibility(
    objects: Objects, light: Tensor, radius: float, point: Tensor, own: Tensor
) -> Tensor:
    """Share of a round lamp that each point sees, with an analytic penumbra.

    Seen from a point at distance D, the lamp's rim spans a cone of radius w = R (D − s) / D at
    distance s from the lamp; an object whose silhouette lies at signed distance c from the cone's
    axis covers about smoothstep((1 − c / w) / 2) of it. Of several objects the largest cover counts.

    Args:
        light: (3, B) centre of the lamp.
        radius: R, in world units.
        point: (3, B, P).
        own: (B, P) the object that each point lies on, which never shadows it (all objects are
            convex: the angle to the lamp already tells); K of none.

    Returns:
        (B, P) in [0, 1].
    """
    ray = point - light[:, :, None]
    distance = dot(ray, ray).sqrt()
    direction = ray / distance
    found = pairs(objects, light, direction, torch.full_like(distance, radius))
    reach = distance.view(-1)[found.ray]
    middle = torch.minimum((found.enter + found.leave) / 2, reach)
    cone = (radius * (reach - middle) / reach).clamp(min=1e-3)
    inside = ((1 - found.clearance / cone) / 2).clamp(0, 1)
    cover = inside * inside * (3 - 2 * inside)
    blocks = (found.item != own.reshape(-1)[found.ray]) & (found.enter < reach)
    seen = distance.new_ones(distance.numel())
    seen.scatter_reduce_(0, found.ray, torch.where(blocks, 1 - cover, 1.0), "amin")
    return seen.view(distance.shape)


def normal(objects: Objects, item: Tensor, point: Tensor, bevel: float) -> Tensor:
    """Outward unit normals; edges of boxes and cylinders are shaded as if rounded.

    Args:
        item: (R,) object of row r of `objects`, each row a scene of its own.
        point: (3, R) on that object's surface.
        bevel: share of the half extent over which an edge is rounded, in (0, 1).
    """
    rows = torch.arange(len(item), device=item.device)
    axes, half = objects.axes[:, :, rows, item], objects.half[:, rows, item]
    shape, centre = objects.shape[rows, item], objects.centre[:, rows, item]
    q = torch.stack([dot(axis, point - centre) for axis in axes]) / half
    rim = (q[0] * q[0] + q[1] * q[1]).clamp(min=1e-12).sqrt()
    upright = q[2].sign() * (q[2].abs() - 1 + bevel).clamp(min=0)
    side = (rim - 1 + bevel).clamp(min=0) / rim
    round_ = torch.stack([q[0] * side, q[1] * side, upright])
    flat = q.sign() * (q.abs() - 1 + bevel).clamp(min=0)
    local = torch.where(shape == Shape.CYLINDER, round_, torch.where(shape == Shape.BOX, flat, q))
    return unit(sum((local[i] * axes[i] for i in range(3)), torch.zeros_like(point)))
