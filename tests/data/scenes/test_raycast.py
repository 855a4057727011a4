"""Ray casting against plain loops in float64 that share nothing with it."""

import math

import numpy as np
import pytest
import torch

from denf.data.scenes.layout import Layout, Solid, stack, turned
from denf.data.scenes.raycast import FAR, Shape, dot, normal, pairs, trace, unit, visibility

SHAPES = (Shape.SPHERE, Shape.BOX, Shape.CYLINDER)


def random_solid(rng, shape, label=1):
    half = rng.uniform(0.3, 1.0, 3)
    if shape == Shape.SPHERE:
        half[:] = half[0]
    if shape == Shape.CYLINDER:
        half[1] = half[0]
    axes = np.linalg.qr(rng.normal(size=(3, 3)))[0] if shape != Shape.SPHERE else np.eye(3)
    return Solid(shape, rng.uniform(-2, 2, 3), tuple(half), rng.uniform(0, 1, 3), label, axes=axes)


def batch_of(*scenes):
    lamp, eye = np.array([[3.0, 0.0, 5.0]]), np.array([7.0, -6.0, 5.0])
    layouts = [Layout(solids, lamp, np.ones((1, 3)), eye, np.zeros(3), []) for solids in scenes]
    return stack(layouts)


def first_hit(solid, origin, direction):
    """Smallest t > 0 with origin + t · direction on the surface, or None."""
    o, d = solid.axes @ (origin - solid.centre), solid.axes @ direction
    rx, ry, rz = solid.half
    found = []
    if solid.shape == Shape.SPHERE:
        b, c = o @ d, o @ o - rx * rx
        if b * b >= c:
            found = [-b - math.sqrt(b * b - c), -b + math.sqrt(b * b - c)]
    elif solid.shape == Shape.BOX:
        for axis in range(3):
            for side in (-1, 1):
                t = (side * solid.half[axis] - o[axis]) / d[axis]
                others = [i for i in range(3) if i != axis]
                if all(abs(o[i] + t * d[i]) <= solid.half[i] for i in others):
                    found.append(t)
    else:
        a, b = d[0] ** 2 + d[1] ** 2, o[0] * d[0] + o[1] * d[1]
        inner = b * b - a * (o[0] ** 2 + o[1] ** 2 - rx * rx)
        if inner >= 0:
            for sign in (-1, 1):
                t = (-b + sign * math.sqrt(inner)) / a
                if abs(o[2] + t * d[2]) <= rz:
                    found.append(t)
        for side in (-1, 1):
            t = (side * rz - o[2]) / d[2]
            if math.hypot(o[0] + t * d[0], o[1] + t * d[1]) <= ry:
                found.append(t)
    found = [t for t in found if t > 0]
    return min(found) if found else None


def aimed_rays(rng, count, origin, at=0.0, spread=2.5):
    ahead = rng.uniform(-spread, spread, (count, 3)) + at - origin
    return ahead / np.linalg.norm(ahead, axis=1, keepdims=True)


def as_rays(directions):
    return torch.tensor(directions.T[:, None], dtype=torch.float32)


@pytest.mark.parametrize("shape", SHAPES)
def test_distances_agree_with_plain_loop(shape):
    rng = np.random.default_rng(int(shape))
    hits = 0
    for _ in range(8):
        solid, origin = random_solid(rng, shape), rng.uniform(3, 6, 3)
        rays = aimed_rays(rng, 200, origin, solid.centre, 1.2)
        scenes = batch_of([solid])
        start = torch.tensor(origin[:, None], dtype=torch.float32)
        depth, item = trace(scenes.objects, start, as_rays(rays))
        grazing = torch.zeros(200, dtype=torch.bool)
        met = pairs(scenes.objects, start, as_rays(rays))
        grazing[met.ray[met.clearance.abs() < 1e-4]] = True
        for ray, t, k, skip in zip(rays, depth[0], item[0], grazing, strict=True):
            expected = first_hit(solid, origin, ray)
            if skip:
                continue
            assert (expected is not None) == (k == 0)
            assert t == pytest.approx(expected or FAR, rel=2e-5)
            hits += expected is not None
    assert hits > 200


def test_nearest_of_many_objects_in_each_scene():
    rng = np.random.default_rng(5)
    solids = [[random_solid(rng, SHAPES[i % 3]) for i in range(n)] for n in (7, 2)]
    scenes, origin = batch_of(*solids), np.array([5.0, 4.0, 5.0])
    rays = aimed_rays(rng, 300, origin)
    start = torch.tensor(origin, dtype=torch.float32)[:, None].expand(3, 2)
    depth, item = trace(scenes.objects, start, as_rays(rays).expand(3, 2, 300))
    wrong = 0
    for b, row in enumerate(solids):
        for p, ray in enumerate(rays):
            found = [first_hit(solid, origin, ray) or FAR for solid in row]
            nearest = int(np.argmin(found)) if min(found) < FAR else 7
            wrong += nearest != item[b, p] or not math.isclose(
                min(found), depth[b, p], rel_tol=1e-4
            )
    assert wrong <= 1  # a ray within float32 of a silhouette


def test_clearance_of_a_sphere_is_the_distance_of_the_line():
    solid = Solid(Shape.SPHERE, np.array([1.0, 2.0, 3.0]), (0.5,) * 3, (1, 1, 1), 1)
    rng = np.random.default_rng(0)
    rays = aimed_rays(rng, 100, np.zeros(3))
    length = torch.full((1, 100), 50.0)
    found = pairs(batch_of([solid]).objects, torch.zeros(3, 1), as_rays(rays), (40.0, length))
    line = np.linalg.norm(np.cross(rays, solid.centre), axis=1) - 0.5
    ahead = line[found.ray.numpy()]
    assert len(ahead) > 50
    np.testing.assert_allclose(found.clearance.numpy(), ahead, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_visibility_is_the_share_of_the_lamp_that_is_seen(shape):
    solid = Solid(
        shape, np.array([0.0, 0.0, 0.7]), (0.7,) * 3, (1, 1, 1), 1,
        axes=np.eye(3) if shape == Shape.SPHERE else turned(0.4),
    )  # fmt: skip
    lamp, radius = np.array([4.0, -3.0, 4.0]), 0.6
    ground = np.array(
        [(x, y, 0.0) for x in np.linspace(-3, 0.5, 15) for y in np.linspace(-1, 3, 15)]
    )
    ground = ground[np.linalg.norm(ground[:, :2], axis=1) > 1.0]
    point = torch.tensor(ground.T[:, None], dtype=torch.float32)
    seen = visibility(
        batch_of([solid]).objects,
        torch.tensor(lamp, dtype=torch.float32)[:, None],
        radius,
        point,
        torch.full(point.shape[1:], 1),
    )[0].numpy()
    disc = [
        (u, v) for u in np.linspace(-1, 1, 13) for v in np.linspace(-1, 1, 13) if u * u + v * v <= 1
    ]
    errors = []
    for at, share in zip(ground, seen, strict=True):
        forward = (lamp - at) / np.linalg.norm(lamp - at)
        across = np.cross(forward, [0, 0, 1.0])
        across /= np.linalg.norm(across)
        up = np.cross(across, forward)
        free = 0
        for u, v in disc:
            toward = lamp + radius * (u * across + v * up) - at
            free += first_hit(solid, at, toward / np.linalg.norm(toward)) is None
        errors.append(abs(free / len(disc) - share))
    assert seen.min() < 0.05
    assert ((seen > 0.05) & (seen < 0.95)).sum() > 5
    assert np.mean(errors) < 0.03
    assert np.max(errors) < 0.35


def test_an_object_does_not_shadow_itself():
    solid = Solid(Shape.SPHERE, np.zeros(3), (1.0,) * 3, (1, 1, 1), 1)
    objects = batch_of([solid]).objects
    point = unit(torch.randn(3, 1, 50, generator=torch.Generator().manual_seed(0)))
    lamp = torch.tensor([[0.0], [0.0], [9.0]])
    assert (visibility(objects, lamp, 0.3, point, torch.zeros(1, 50)) == 1).all()
    others = visibility(objects, lamp, 0.3, point * 1.01, torch.ones(1, 50))
    assert (others[0][point[2, 0] < -0.3] == 0).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_normals_are_the_gradient_of_the_surface(shape):
    rng = np.random.default_rng(3)
    solid, origin = random_solid(rng, shape), np.array([5.0, 5.0, 5.0])
    rays = aimed_rays(rng, 400, origin, solid.centre, 0.8)
    scenes = batch_of([solid])
    start = torch.tensor(origin[:, None], dtype=torch.float32)
    depth, item = trace(scenes.objects, start, as_rays(rays))
    hit = item[0] == 0
    point = start + depth[:, hit] * as_rays(rays)[:, 0, hit]
    zeros = torch.zeros(int(hit.sum()), dtype=torch.int64)
    facing = normal(scenes.objects, zeros, zeros, point, 0.01).numpy()
    np.testing.assert_allclose(np.linalg.norm(facing, axis=0), 1, atol=1e-5)
    q = solid.axes @ (point.numpy() - solid.centre[:, None])
    h = np.array(solid.half)[:, None]
    if shape == Shape.SPHERE:
        local, flat = q / h, np.full(q.shape[1], True)
    elif shape == Shape.BOX:
        local = np.where(np.abs(q / h) == np.abs(q / h).max(0), np.sign(q), 0)
        flat = np.sort(np.abs(q / h), axis=0)[1] < 0.98
    else:
        cap = np.abs(q[2]) / h[2] > np.hypot(q[0], q[1]) / h[0]
        local = np.where(
            cap, [q[0] * 0, q[1] * 0, np.sign(q[2])], [q[0] / h[0], q[1] / h[0], q[2] * 0]
        )
        flat = np.minimum(np.abs(q[2]) / h[2], np.hypot(q[0], q[1]) / h[0]) < 0.98
    expected = solid.axes.T @ local
    assert flat.sum() > 40
    np.testing.assert_allclose(facing[:, flat], expected[:, flat], atol=2e-3)
    towards = dot(torch.tensor(facing), torch.tensor(rays.T, dtype=torch.float32)[:, hit])
    assert (towards < 0.02).all()
