"""Scenes like CLEVR6: 3 to 6 spheres, cubes and cylinders on a grey floor.

Numbers are those of CLEVR's generator (Johnson et al. 2017; github.com/facebookresearch/
clevr-dataset-gen, image_generation/render_images.py and data/properties.json) and of its base
scene, as Kubric repeats them (Greff et al. 2022): camera of 35 mm on a 32 mm sensor at (7.48,
−6.51, 5.34), aimed at the origin; three area lamps, key, fill and back. The crop is that of
IODINE (Greff et al. 2019).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from denf.data.scenes.layout import Layout, Solid, Vector, camera, stack, turned
from denf.data.scenes.raycast import Shape
from denf.data.scenes.shading import Lamp, Look, labels

OBJECTS = (3, 6)
SHAPES = {"cube": Shape.BOX, "sphere": Shape.SPHERE, "cylinder": Shape.CYLINDER}
SIZES = {"large": 0.7, "small": 0.35}
MATERIALS = ("rubber", "metal")
COLOURS = {
    "gray": (87, 87, 87),
    "red": (173, 35, 35),
    "blue": (42, 75, 215),
    "green": (29, 105, 20),
    "brown": (129, 74, 25),
    "purple": (129, 38, 192),
    "cyan": (41, 208, 208),
    "yellow": (255, 238, 51),
}
REACH = 3.0  # x and y lie in [−3, 3]
MIN_DISTANCE = 0.25  # between the objects' circles
MARGIN = 0.4  # between centres, along the camera's left–right and front–behind directions
MAX_TRIES = 50  # to place one object before the scene starts over
MIN_PIXELS = 200  # visible of each object in the 320 × 240 frame
CAMERA = np.array([7.48113, -6.50764, 5.34367])
CAMERA_JITTER = 0.5
LAMPS = np.array(  # key, fill, back
    [[6.44671, -2.90517, 4.2584], [-4.67112, -4.0136, 3.01122], [-1.1685, 2.64602, 5.81574]]
)
LAMP_JITTER = 1.0

_FOCAL = 320 * 35 / 32  # pixels of the 320 × 240 frame
_FRAME = (-160 / _FOCAL, 160 / _FOCAL, -120 / _FOCAL, 120 / _FOCAL)
_WINDOW = ((64 - 160) / _FOCAL, (256 - 160) / _FOCAL, (29 - 120) / _FOCAL, (221 - 120) / _FOCAL)
_CHECK = (120, 160)  # grid on which visible pixels are counted, a quarter of the frame's pixels
CROP = "rows 29:221 and columns 64:256 of the 320×240 frame, rendered directly at size × size"

# Light is measured as the floor reflects it, so that the floor's albedo is 1. Intensities, the
# ambient light and the lamps' radii are fitted to the floor of Cycles renders of CLEVR scenes
# (least squares, 2 % RMS); `bounce`, `sky` and the highlights are fitted to their objects.
_POWER = np.array([[5.27, 4.86, 4.16], [1.24, 1.34, 1.69], [2.61, 2.56, 2.5]])


def _floor(x: Tensor, y: Tensor) -> Tensor:
    return torch.ones((3, *x.shape), device=x.device)


LOOK = Look(
    lamps=(Lamp(0.37), Lamp(0.67), Lamp(0.6)),
    ground=_floor,
    ambient=(0.134, 0.134, 0.134),
    bounce=(0.13, 0.13, 0.13),
    sky=(0.14, 0.03),
    window=_WINDOW,
    gloss=0.02,
    mirror=0.95,
    glint=18.0,
    bevel=0.1,
)


def scene(random: np.random.Generator) -> Layout:
    """One scene that obeys the generator's spacing and visibility rules."""
    eye = CAMERA + random.uniform(-CAMERA_JITTER, CAMERA_JITTER, 3)
    lamp = LAMPS + random.uniform(-LAMP_JITTER, LAMP_JITTER, (3, 3))
    count = int(random.integers(OBJECTS[0], OBJECTS[1] + 1))
    while True:
        rows = _place(random, count, camera(eye, np.zeros(3)))
        if rows is None:
            continue
        layout = Layout([_solid(row) for row in rows], lamp, _POWER, eye, np.zeros(3), rows)
        if (visible_pixels(layout) >= MIN_PIXELS).all():
            return layout


def visible_pixels(layout: Layout) -> Vector:
    """Visible pixels of each object in the 320 × 240 frame, counted on a grid of half the side."""
    mask = labels(stack([layout]), _FRAME, *_CHECK)
    count = torch.bincount(mask.view(-1).long(), minlength=len(layout.solids) + 1)[1:]
    return count.numpy() * (320 * 240 / mask.numel())


def _place(random: np.random.Generator, count: int, view: Vector) -> list[dict[str, Any]] | None:
    """Factors of `count` objects by rejection, or None after too many tries for one of them."""
    flat = np.stack([view[0, :2], view[2, :2] / np.linalg.norm(view[2, :2])])  # right, behind
    placed: list[tuple[Vector, float]] = []
    rows: list[dict[str, Any]] = []
    for label in range(1, count + 1):
        size = str(random.choice(list(SIZES)))
        radius = SIZES[size]
        for _ in range(MAX_TRIES):
            at = random.uniform(-REACH, REACH, 2)
            if all(_apart(at - other, radius + r, flat) for other, r in placed):
                break
        else:
            return None
        shape = str(random.choice(list(SHAPES)))
        colour = str(random.choice(list(COLOURS)))
        if shape == "cube":
            radius /= np.sqrt(2)  # so that a cube has the same circle as other shapes
        placed.append((at, radius))
        rows.append({
            "object": label, "shape": shape, "size": size,
            "material": str(random.choice(MATERIALS)), "colour": colour,
            "x": float(at[0]), "y": float(at[1]), "z": float(radius),
            "rotation": float(random.uniform(0, 360)),
        })  # fmt: skip
    return rows


def _apart(step: Vector, radii: float, flat: Vector) -> bool:
    distance = float(np.hypot(*step)) - radii
    return distance >= MIN_DISTANCE and bool((np.abs(flat @ step) >= MARGIN).all())


def _solid(row: dict[str, Any]) -> Solid:
    half = float(row["z"])
    return Solid(
        shape=SHAPES[row["shape"]],
        centre=np.array([row["x"], row["y"], row["z"]]),
        half=(half, half, half),
        colour=[channel / 255 for channel in COLOURS[row["colour"]]],
        label=row["object"],
        metal=row["material"] == "metal",
        axes=turned(np.deg2rad(row["rotation"])),
    )
