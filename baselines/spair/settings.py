"""SPAIR's settings; values of karazijal/clevrtex for CLEVR."""

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
    """Features of the backbone in each cell; ten groups are normalised."""
    hidden: Count = 100
    """Units of both hidden layers of the heads of box, depth and presence."""
    passed: Count = 100
    """Features that a head passes on to the next, after a ReLU."""
    decoder: Count = 32
    """Channels of the convolutions that decode glimpses and background."""
    success: Ramp = Ramp(1e-4, 0.99, first=0, last=10_000)
    """Success of the geometric prior of the number of objects, by step."""
    temperature: Positive = 1.0
    """Temperature of the relaxed presence."""
    beta: Positive = 2.7
    """Weight of the objects' divergences."""
    std: Positive = 0.15
    """Standard deviation of the pixels around the canvas, image range 1."""
    training_wheels: Steps = 0
    """Steps at first in which no gradient reaches presence, depth and where, while glimpses and
    background learn (e2crawfo/auto_yolo: 1,000)."""
    alpha_scale: Positive = 1.0
    """Factor of the logits of alpha (e2crawfo/auto_yolo: 0.1, and 1 for CLEVR)."""
    alpha_bias: float = 0.0
    """Added to the logits of alpha (e2crawfo/auto_yolo: 0, and 1 for CLEVR)."""
    rate: Positive = 1e-4
    """Adam's learning rate."""
    gradient_clip: Positive = 1.0
    """Largest norm of the gradient."""
