"""SPAIR's settings, as in karazijal/clevrtex for CLEVR."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, MultipleOf

from baselines.blocks.annealing import Ramp
from denf.settings import Count, MethodSettings, Positive, Steps


class SpairSettings(MethodSettings):
    """Settings of SPAIR."""

    cell: Literal[8, 16, 32] = 32
    """Side of the grid's cells in pixels."""
    anchor: Positive = 48.0
    """Side of the largest box in pixels."""
    glimpse: Annotated[int, Ge(2)] = 24
    """Side of the glimpses in pixels."""
    what: Count = 64
    """Dimensions of z_what."""
    features: Annotated[int, Ge(10), MultipleOf(10)] = 100
    """Features of the backbone per cell, normalised in ten groups."""
    hidden: Count = 100
    """Units of both hidden layers of the heads of box, depth and presence."""
    passed: Count = 100
    """Features that a head passes on to the next head, after a ReLU."""
    decoder: Count = 32
    """Channels of the convolutions in the decoders of glimpses and background."""
    success: Ramp = Ramp(1e-4, 0.99, first=0, last=10_000)
    """Success of the geometric prior of the number of objects, by step."""
    temperature: Positive = 1.0
    """Temperature of the relaxed presence."""
    beta: Positive = 2.7
    """Weight of the objects' divergences."""
    std: Positive = 0.15
    """Standard deviation of the pixels around the canvas; the image range is 1."""
    training_wheels: Steps = 0
    """Number of first steps in which presence, depth and where get no gradient, while glimpses and
    background learn (e2crawfo/auto_yolo: 1,000)."""
    alpha_scale: Positive = 1.0
    """Factor on the logits of alpha (e2crawfo/auto_yolo: 0.1, and 1 for CLEVR)."""
    alpha_bias: float = 0.0
    """Added to the logits of alpha (e2crawfo/auto_yolo: 0, and 1 for CLEVR)."""
    rate: Positive = 1e-4
    """Adam's learning rate."""
    gradient_clip: Positive = 1.0
    """Largest norm of the gradient."""
