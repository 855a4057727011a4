"""Settings of GECO; the defaults are those of applied-ai-lab/genesis."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Lt

from denf.settings import Positive, Settings


class GecoSettings(Settings):
    """How the weight of the KL term follows the reconstruction error."""

    goal: float = 0.5655
    """Error to reach, in nats per pixel and channel."""
    step_size: Positive = 1e-5
    """η at 64 × 64 pixels, per nat per image; inversely proportional to the number of pixels."""
    speedup: Annotated[float, Ge(1)] = 10.0
    """Factor of η while the error is below its goal."""
    smoothing: Annotated[float, Ge(0), Lt(1)] = 0.99
    """Decay of the moving average of the error."""
    beta: Positive = 1.0
    """Initial multiplier β."""
    beta_min: Positive = 1e-10
    """Least value of β."""
    beta_max: Positive = 1e10
    """Largest value of β."""
