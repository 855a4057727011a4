"""Analytic ray casting: spheres, boxes and cylinders, for many scenes at once.

Vectors carry their component on the first axis, (3, …), so that each component is contiguous. B is
the number of scenes, K the objects per scene (padded), P the rays per scene. Objects are first
culled by their bounding spheres; exact formulas are evaluated only for the remaining (scene,
object, ray) triples.
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
    """Kind of an object; NONE is padding."""

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
        """The objects of scenes (R,), one scene per row."""
        return Objects(
            self.shape[scenes],
            self.centre[:, scenes],
            self.axes[:, :, scenes],
            self.half[:, scenes],
        )

    @property
    def bound(self) -> Tensor:
        """(B, K) radii of bounding spheres; 0 for padding."""
        h = self.half
        ball = self.shape == Shape.SPHERE
        corner = torch.where(ball, h[0] * h[0], dot(h, h)).sqrt()
        return torch.where(self.shape == Shape.NONE, 0.0, corner)


class Pairs(NamedTuple):
    """M candidate intersections of a ray and an object, with the results of the exact formulas.

    Args:
        ray: (M,) index into the flattened (B · P) rays.
        item: (M,) object index 0…K−1.
        enter: (M,) distance along the ray's line at which it enters; only meaningful for a hit.
        nearest: (M,) distance at which the line is nearest to the object's centre.
        clearance: (M,) signed distance of the line from the object, negative where it hits; exact
            at the silhouette and for spheres, of the right sign and order elsewhere.
    """

    ray: Tensor
    item: Tensor
    enter: Tensor
    nearest: Tensor
    clearance: Tensor


def dot(a: Tensor, b: Tensor) -> Tensor:
    """a · b over the first axis, summed in a fixed order."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def unit(a: Tensor) -> Tensor:
    """a / |a| over the first axis."""
    return a / dot(a, a).clamp(min=1e-20).sqrt()


def pairs(
    objects: Objects, origin: Tensor, direction: Tensor, cone: tuple[float, Tensor] | None = None
) -> Pairs:
    """Candidate intersections of rays with objects.

    Args:
        origin: (3, B), one origin per scene.
        direction: (3, B, P), of unit length.
        cone: None, or radius and length (B, P): every ray is a cone with this radius at its origin
            and a tip at this length, and objects near the cone count as candidates.
    """
    to = objects.centre - origin[:, :, None]
    along = dot(to[..., None], direction[:, :, None])
    bound = objects.bound * 1.01 + 0.01  # a margin for rounding, since culling is final
    reach = bound[..., None]
    if cone is not None:
        radius, length = cone
        reach = reach + (radius - along * (radius / length[:, None])).clamp(min=0)
    near = dot(to, to)[..., None] - along * along <= reach * reach
    near &= (along > -bound[..., None]) & (objects.shape != Shape.NONE)[..., None]
    if cone is not None:
        near &= along - bound[..., None] < length[:, None]
    b, k, p = near.nonzero(as_tuple=True)
    items, rays = near.shape[1:]
    bk, ray = b * items + k, b * rays + p
    axes = objects.axes.flatten(2).index_select(2, bk)
    start = -to.flatten(1).index_select(1, bk)
    ahead = direction.flatten(1).index_select(1, ray)
    local = torch.stack([dot(axis, start) for axis in axes])
    slope = torch.stack([dot(axis, ahead) for axis in axes])
    half = objects.half.flatten(1).index_select(1, bk)
    kind = objects.shape.flatten().index_select(0, bk)
    result = local.new_empty(2, len(b))
    for shape, meet in ((Shape.SPHERE, _sphere), (Shape.BOX, _box), (Shape.CYLINDER, _cylinder)):
        (of,) = (kind == shape).nonzero(as_tuple=True)
        part = (table.index_select(1, of) for table in (local, slope, half))
        result.index_copy_(1, of, torch.stack(meet(*part)))
    return Pairs(ray, k, result[0], -dot(local, slope), result[1])


def _sphere(o: Tensor, d: Tensor, half: Tensor) -> tuple[Tensor, Tensor]:
    middle = -dot(o, d)
    foot = o + middle * d
    miss2, r = dot(foot, foot), half[0]
    chord = (r * r - miss2).clamp(min=0).sqrt()
    return middle - chord, miss2.sqrt() - r


def _box(o: Tensor, d: Tensor, half: Tensor) -> tuple[Tensor, Tensor]:
    inverse = 1 / torch.where(d.abs() < _TINY, _TINY, d)
    middle, width = -o * inverse, half * inverse.abs()
    enter, leave = middle - width, middle + width
    # A line that leaves slab i before it enters slab j is (enter_j − leave_i) / (1/|d_i| + 1/|d_j|)
    # outside both half-way; the largest of these is min over t of max over planes of the distance.
    pace = inverse.abs()
    gaps = (enter[None] - leave[:, None]) / (pace[None] + pace[:, None])
    return enter.amax(0), gaps.amax((0, 1))


def _cylinder(o: Tensor, d: Tensor, half: Tensor) -> tuple[Tensor, Tensor]:
    r = half[0]
    across = (d[0] * d[0] + d[1] * d[1]).clamp(min=1e-12)
    speed = across.sqrt()
    miss = (o[0] * d[1] - o[1] * d[0]).abs() / speed
    chord = (r * r - miss * miss).clamp(min=0).sqrt() / speed
    middle = -(o[0] * d[0] + o[1] * d[1]) / across
    inverse = 1 / torch.where(d[2].abs() < _TINY, _TINY, d[2])
    cap, width = -o[2] * inverse, (half[2] * inverse).abs()
    # As for the box, with the side as a slab; a line crosses the side at speed · √(1 − miss²/r²),
    # here bounded from below for lines that only graze the side.
    pace = inverse.abs() + r / (across * torch.maximum(chord, r / (4 * speed)))
    gap = (middle - cap).abs() - chord - width
    clearance = torch.stack([miss - r, -half[2], gap / pace]).amax(0)
    return torch.maximum(middle - chord, cap - width), clearance


def trace(
    objects: Objects, origin: Tensor, direction: Tensor, own: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Nearest object along each ray.

    Args:
        origin: (3, B).
        direction: (3, B, P), of unit length.
        own: (B, P) the object that each ray starts from, which it never hits; None: none.

    Returns:
        depth (B, P), `FAR` where nothing is hit, and item (B, P) int64, K where nothing is hit.
    """
    found = pairs(objects, origin, direction)
    shape, items = direction.shape[1:], objects.shape.shape[1]
    hit = (found.clearance < 0) & (found.enter > 0)
    if own is not None:
        hit &= found.item != own.reshape(-1)[found.ray]
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
    axis covers about smoothstep((1 − c / w) / 2) of it. Of several objects, the one that covers
    most counts.

    Args:
        light: (3, B) centre of the lamp.
        radius: R, in world units.
        point: (3, B, P).
        own: (B, P) the object that each point lies on, which never shadows it (all objects are
            convex, so the angle to the lamp decides); K for none.

    Returns:
        (B, P) in [0, 1].
    """
    ray = point - light[:, :, None]
    distance = dot(ray, ray).sqrt()
    direction = ray / distance
    found = pairs(objects, light, direction, (radius, distance))
    reach = distance.view(-1)[found.ray]
    cone = (radius * (reach - found.nearest) / reach).clamp(min=1e-3)
    inside = ((1 - found.clearance / cone) / 2).clamp(0, 1)
    cover = inside * inside * (3 - 2 * inside)
    before = torch.where(found.clearance < 0, found.enter, found.nearest) < reach
    blocks = before & (found.item != own.reshape(-1)[found.ray])
    seen = distance.new_ones(distance.numel())
    seen.scatter_reduce_(0, found.ray, torch.where(blocks, 1 - cover, 1.0), "amin")
    return seen.view(distance.shape)


def normal(objects: Objects, scene: Tensor, item: Tensor, point: Tensor, bevel: float) -> Tensor:
    """Outward unit normals (3, R); upper edges of boxes and cylinders are shaded as if rounded.

    Args:
        scene: (R,) scene 0…B−1 of each point.
        item: (R,) object 0…K−1 that it lies on.
        point: (3, R).
        bevel: share of the half extent over which an edge is rounded, in (0, 1).
    """
    of = scene * objects.shape.shape[1] + item
    axes = objects.axes.flatten(2).index_select(2, of)
    half = objects.half.flatten(1).index_select(1, of)
    from_centre = point - objects.centre.flatten(1).index_select(1, of)
    shape = objects.shape.flatten().index_select(0, of)
    q = torch.stack([dot(axis, from_centre) for axis in axes]) / half
    rim = (q[0] * q[0] + q[1] * q[1]).clamp(min=1e-12).sqrt()
    side = (rim - 1 + bevel).clamp(min=0) / rim
    flat = q.sign() * (q.abs() - 1 + bevel).clamp(min=0)
    foot = torch.where(q[2] < -0.999, -bevel, 0.0)  # lower edges stay sharp
    upright = torch.where(q[2] > 0, flat[2], foot)
    boxy = torch.stack([flat[0], flat[1], upright])
    tubular = torch.stack([q[0] * side, q[1] * side, upright])
    edged = torch.where(shape == Shape.BOX, boxy, tubular)
    local = torch.where(shape == Shape.SPHERE, q, edged)
    return unit(local[0] * axes[0] + local[1] * axes[1] + local[2] * axes[2])
