"""One scene as plain numbers, as a scene kind makes it from a random generator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from denf.data.scenes.raycast import Objects, Shape
from denf.data.scenes.shading import Scenes, Window

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Solid:
    """One ray-cast object.

    Args:
        shape: kind of object.
        centre: (3,) in world coordinates.
        half: (3,) half extents along its axes; see `raycast.Objects`.
        colour: (3,) albedo in [0, 1].
        label: mask value, 0 for parts of the background.
        metal: whether it reflects its surroundings.
        axes: (3, 3) its axes as rows.
    """

    shape: Shape
    centre: Vector
    half: tuple[float, float, float]
    colour: Sequence[float]
    label: int
    metal: bool = False
    axes: Vector = field(default_factory=lambda: np.eye(3))


@dataclass(frozen=True)
class Layout:
    """One scene.

    Args:
        solids: the objects.
        lamp: (L, 3) positions of the lamps of the kind's `Look`.
        power: (L, 3) their intensities.
        eye: (3,) camera position.
        target: (3,) point that the camera looks at.
        factors: one row per instance, label 1 first; x, y, z are world coordinates.
    """

    solids: Sequence[Solid]
    lamp: Vector
    power: Vector
    eye: Vector
    target: Vector
    factors: Sequence[Mapping[str, Any]]

    def without_objects(self) -> Layout:
        """The same scene with only its background: solids with label 0 are kept."""
        return replace(self, solids=[s for s in self.solids if s.label == 0], factors=())


def turned(angle: float) -> Vector:
    """Axes (3, 3) turned about the vertical by `angle` in radians."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]])


def camera(eye: Vector, target: Vector) -> Vector:
    """Right, up and forward (3, 3) of an upright camera."""
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(right, forward), forward])


def project(layout: Layout, point: Vector, window: Window, size: int) -> tuple[float, float]:
    """Pixel coordinates of a world point: x to the right, y down, (0, 0) the picture's corner."""
    x, y, depth = camera(layout.eye, layout.target) @ (point - layout.eye)
    left, right, top, bottom = window
    return (
        float((x / depth - left) / (right - left) * size),
        float((-y / depth - top) / (bottom - top) * size),
    )


def stack(layouts: Sequence[Layout]) -> Scenes:
    """Layouts as one batch, padded to the largest number of objects, at least one."""
    most = max(1, *(len(layout.solids) for layout in layouts))

    def table(values: Sequence[Sequence[Any]], padding: Any) -> NDArray[Any]:
        return np.stack([[*row, *[padding] * (most - len(row))] for row in values])

    def tensor(array: NDArray[Any], order: Sequence[int]) -> Tensor:
        ready = np.ascontiguousarray(array.transpose(order), dtype=np.float32)
        return torch.from_numpy(ready)

    solids = [layout.solids for layout in layouts]
    zero, one = np.zeros(3), np.ones(3)
    shape = table([[s.shape for s in row] for row in solids], Shape.NONE)
    label = table([[s.label for s in row] for row in solids], 0)
    vectors = (2, 0, 1)
    return Scenes(
        objects=Objects(
            shape=torch.from_numpy(shape.astype(np.int64)),
            centre=tensor(table([[s.centre for s in row] for row in solids], zero), vectors),
            axes=tensor(table([[s.axes for s in row] for row in solids], np.eye(3)), (2, 3, 0, 1)),
            half=tensor(table([[np.array(s.half) for s in row] for row in solids], one), vectors),
        ),
        colour=tensor(table([[np.array(s.colour) for s in row] for row in solids], zero), vectors),
        metal=tensor(table([[float(s.metal) for s in row] for row in solids], 0.0), (0, 1)),
        label=torch.from_numpy(label.astype(np.uint8)),
        lamp=tensor(np.stack([layout.lamp for layout in layouts]), vectors),
        power=tensor(np.stack([layout.power for layout in layouts]), vectors),
        eye=tensor(np.stack([layout.eye for layout in layouts]), (1, 0)),
        view=tensor(np.stack([camera(layout.eye, layout.target) for layout in layouts]), (1, 2, 0)),
    )
