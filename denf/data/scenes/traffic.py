"""Street scenes from one fixed camera: cars, vans and trucks under a moving sun.

The street runs along x with two lanes each way (right-hand traffic: vehicles at y < 0 drive towards
+x); units are metres. The sun, and with it the shadow of a pole beside the road, differs between
scenes; nothing else of the background changes. All parts of a vehicle share one label.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from denf.data.scenes.layout import Layout, Solid, stack, turned
from denf.data.scenes.raycast import Shape
from denf.data.scenes.shading import Lamp, Look, labels

VEHICLES = (1, 6)
LANES = {-5.25: 0.0, -1.75: 0.0, 1.75: 180.0, 5.25: 180.0}  # centre y → heading in degrees
KINDS = {"car": 0.6, "van": 0.2, "truck": 0.2}  # share of each
COLOURS = {
    "white": (0.75, 0.75, 0.73),
    "silver": (0.42, 0.43, 0.45),
    "black": (0.02, 0.02, 0.025),
    "red": (0.48, 0.03, 0.03),
    "blue": (0.04, 0.11, 0.45),
    "green": (0.05, 0.25, 0.08),
    "yellow": (0.75, 0.5, 0.03),
    "orange": (0.65, 0.2, 0.02),
    "teal": (0.03, 0.33, 0.33),
}
GAP = 1.5  # smallest distance between vehicles of one lane
REACH = 13.0  # |x| of a vehicle's centre
MIN_PIXELS = 24  # visible of each vehicle on a grid of 64 × 64
ELEVATION, AZIMUTH = (22.0, 50.0), (-170.0, -100.0)  # of the sun, degrees; −90 is behind the camera
SUN, SKY = (0.4, 2.0), (0.4, 0.7)  # irradiance of the sun on a facing surface, and of the sky

_EYE, _TARGET = np.array([-4.0, -18.0, 19.0]), np.array([0.0, -0.6, 0.0])
_WINDOW = (-0.37, 0.37, -0.37, 0.37)
_CHECK = 64
CROP = "none: the whole frame of the fixed camera"
_SUN_AT, _SKY_AT = 120.0, 60.0  # distances of the lamps that stand for the sun and the sky
_POLE = Solid(
    Shape.CYLINDER, np.array([-11.0, -8.6, 5.0]), (0.16, 0.16, 5.0), (0.2, 0.2, 0.2), label=0
)
_RUBBER, _GLASS = (0.015, 0.015, 0.015), (0.03, 0.04, 0.05)


def _street(x: Tensor, y: Tensor) -> Tensor:
    """Colour (3, B, P) of the ground: asphalt, markings, kerbs, pavements and grass."""

    def inside(distance: Tensor, half: float) -> Tensor:
        return ((half - distance) / 0.2 + 0.5).clamp(0, 1)  # edges are 20 cm soft

    def paint(ground: Tensor, where: Tensor, colour: tuple[float, float, float]) -> Tensor:
        return ground + where * (ground.new_tensor(colour)[:, None, None] - ground)

    side, step = y.abs(), torch.remainder(x, 9.0) - 4.5
    track = ((torch.remainder(side, 3.5) - 1.75).abs() - 0.75).abs()
    asphalt = 0.155 - 0.02 * inside(track, 0.35)  # wheels polish two tracks per lane
    ground = torch.stack([asphalt, asphalt, asphalt * 1.03])
    dashed = inside((side - 3.5).abs(), 0.09) * inside(step.abs(), 1.6)
    ground = paint(ground, dashed, (0.6, 0.6, 0.58))
    ground = paint(ground, inside((side - 6.8).abs(), 0.09), (0.6, 0.6, 0.58))
    ground = paint(ground, inside((side - 0.18).abs(), 0.08), (0.6, 0.42, 0.06))
    ground = paint(ground, inside(-side, -7.2), (0.4, 0.39, 0.37))
    ground = paint(ground, inside(-side, -7.5), (0.27, 0.25, 0.23))
    return paint(ground, inside(-side, -10.0), (0.09, 0.15, 0.05))


LOOK = Look(
    lamps=(Lamp(1.2), Lamp(35.0, wrap=1.0, highlight=False)),
    ground=_street,
    ambient=(0.06, 0.06, 0.07),
    bounce=(0.2, 0.2, 0.2),
    sky=(0.5, 0.5),
    window=_WINDOW,
    gloss=0.12,
    bevel=0.01,
)


def scene(random: np.random.Generator) -> Layout:
    """One scene in which no two vehicles touch and each is visible."""
    elevation, azimuth = random.uniform(*ELEVATION), random.uniform(*AZIMUTH)
    sun, sky = random.uniform(*SUN), random.uniform(*SKY)
    warm = (elevation - ELEVATION[0]) / (ELEVATION[1] - ELEVATION[0])
    el, az = np.deg2rad(elevation), np.deg2rad(azimuth)
    toward = np.array([np.cos(el) * np.cos(az), np.cos(el) * np.sin(az), np.sin(el)])
    lamp = np.stack([toward * _SUN_AT, [0.0, 0.0, _SKY_AT]])
    tint = np.array([1.0, 0.86 + 0.11 * warm, 0.68 + 0.24 * warm])
    power = np.stack([sun * tint * _SUN_AT**2, sky * np.array([0.92, 0.97, 1.05]) * _SKY_AT**2])
    light = {
        "sun_azimuth": float(azimuth), "sun_elevation": float(elevation),
        "sun": float(sun), "sky": float(sky),
    }  # fmt: skip
    count = int(random.integers(VEHICLES[0], VEHICLES[1] + 1))
    while True:
        rows = [row | light for row in _drive(random, count)]
        solids = [solid for row in rows for solid in _vehicle(row)]
        layout = Layout([*solids, _POLE], lamp, power, _EYE, _TARGET, rows)
        mask = labels(stack([layout]), _WINDOW, _CHECK, _CHECK)
        visible = torch.bincount(mask.view(-1).long(), minlength=count + 1)[1:]
        if bool((visible >= MIN_PIXELS).all()):
            return layout


def _drive(random: np.random.Generator, count: int) -> list[dict[str, Any]]:
    """Factors of `count` vehicles, each at least `GAP` from the others of its lane."""
    rows: list[dict[str, Any]] = []
    while len(rows) < count:
        kind = str(random.choice(list(KINDS), p=list(KINDS.values())))
        lane = int(random.integers(len(LANES)))
        middle, heading = list(LANES.items())[lane]
        length, width, height = _size(random, kind)
        x = float(random.uniform(-REACH, REACH))
        if any(
            lane == row["lane"] and abs(x - row["x"]) < (length + row["length"]) / 2 + GAP
            for row in rows
        ):
            continue
        rows.append({
            "object": len(rows) + 1, "kind": kind, "lane": lane,
            "colour": str(random.choice(list(COLOURS))),
            "x": x, "y": middle + float(random.uniform(-0.3, 0.3)), "z": height / 2,
            "rotation": heading + float(random.uniform(-1.5, 1.5)),
            "length": length, "width": width, "height": height,
        })  # fmt: skip
    return rows


def _size(random: np.random.Generator, kind: str) -> tuple[float, float, float]:
    """Length, width and height of one vehicle."""
    typical = {"car": (4.4, 1.8, 1.5), "van": (5.2, 2.0, 2.3), "truck": (7.2, 2.35, 3.1)}[kind]
    length, width, height = (float(s * random.uniform(0.92, 1.08)) for s in typical)
    return length, width, height


def _vehicle(row: dict[str, Any]) -> list[Solid]:
    """Body, cabin, roof or cargo box, and two axles, in the vehicle's own axes (front is +x)."""
    length, width, height = row["length"], row["width"], row["height"]
    paint = COLOURS[row["colour"]]
    axes = turned(np.deg2rad(row["rotation"]))
    place = np.array([row["x"], row["y"], 0.0])

    def box(x0: float, x1: float, z0: float, z1: float, narrow: float, colour: Any) -> Solid:
        """A box from x0 to x1 of the length and z0 to z1 of the height."""
        centre = np.array([(x0 + x1) / 2 * length, 0.0, (z0 + z1) / 2 * height])
        half = ((x1 - x0) / 2 * length, width / 2 * narrow, (z1 - z0) / 2 * height)
        return Solid(Shape.BOX, place + centre @ axes, half, colour, row["object"], axes=axes)

    if row["kind"] == "car":
        parts = [
            box(-0.5, 0.5, 0.17, 0.60, 1.0, paint),
            box(-0.38, 0.2, 0.60, 0.94, 0.86, _GLASS),
            box(-0.32, 0.12, 0.94, 1.0, 0.84, paint),
        ]
    elif row["kind"] == "van":
        parts = [
            box(-0.5, 0.5, 0.13, 0.55, 1.0, paint),
            box(-0.5, 0.34, 0.55, 1.0, 1.0, paint),
            box(0.1, 0.38, 0.57, 0.88, 1.01, _GLASS),
        ]
    else:
        parts = [
            box(-0.5, 0.24, 0.2, 1.0, 1.0, (0.6, 0.6, 0.58)),
            box(0.25, 0.5, 0.14, 0.72, 0.95, paint),
            box(0.34, 0.505, 0.46, 0.66, 0.96, _GLASS),
        ]
    radius = 0.32 if row["kind"] != "truck" else 0.46
    lying = np.stack([axes[0], axes[2], -axes[1]])  # the third axis across the vehicle
    for x in (-0.31, 0.31):
        centre = place + np.array([x * length, 0.0, radius]) @ axes
        half = (radius, radius, width / 2 + 0.02)
        parts.append(Solid(Shape.CYLINDER, centre, half, _RUBBER, row["object"], axes=lying))
    return parts
