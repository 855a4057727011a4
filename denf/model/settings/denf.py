"""All settings of DeNF."""

from __future__ import annotations

from denf.model.settings.choices import (
    AbsentDensity,
    BoxUnion,
    CompatibilityGradient,
    Precision,
    PresenceGradient,
    SubnetKind,
)
from denf.model.settings.densities import Architecture, Priors
from denf.model.settings.grouping import Components, Composites, Instances
from denf.model.settings.losses import Background, Schedule, Weights
from denf.settings import Fraction, MethodSettings, Positive


class DenfSettings(MethodSettings):
    """All settings of DeNF."""

    architecture: Architecture = Architecture()
    """The flows (Table 4)."""
    priors: Priors = Priors()
    """Base densities (Table 5)."""
    weights: Weights = Weights()
    """Weights of the loss terms (Eq. 13)."""
    schedule: Schedule = Schedule()
    """What changes during training."""
    background: Background = Background()
    """How x̂_bg is kept free of objects (Eq. 5)."""
    components: Components = Components()
    """When a component of presence passes for one object."""
    composites: Composites = Composites()
    """Training images made of several, beyond the paper."""
    instances: Instances = Instances()
    """From present cells to instances (section 3.1.5)."""
    absent: AbsentDensity = AbsentDensity.STANDARD
    """Density of z_scale and z_loc in absent cells: N(0, 1), or none as in Eq. 8, where the
    log-determinant rewards stretching without end."""
    union: BoxUnion = BoxUnion.SMOOTH
    """How the boxes of Eq. 12 are united: 1 − exp(−Σ), which has a gradient where boxes overlap, or
    min(1, Σ), as printed."""
    agreement: Fraction = 0.33
    """Fraction of the cells present around a cell, in a window of the mean object size, whose boxes
    must cover it to fill it in the union, at least one box; 0 is the printed union. With one box
    enough, a box inside an object gains nothing by growing to its outline, and small boxes tile
    it."""
    compatibility_gradient: CompatibilityGradient = CompatibilityGradient.BOXES
    """Whether Eq. 12 moves sizes and displacements alone, or presence as well, as printed, whose
    map then takes the shape of boxes."""
    presence_gradient: PresenceGradient = PresenceGradient.EXPECTED
    """What the losses see of presence: its exact expectation, or the relaxed sample of Eq. 14, of
    high variance at λ ≤ 0.1."""
    learning_rate: Positive = 1e-4
    """Adam's learning rate (A.4)."""
    gradient_clip: Positive = 1.0
    """Largest gradient norm (A.4)."""
    mirror: bool = False
    """Mirror training images left and right at random."""
    precision: Precision = Precision.FLOAT32
    """Arithmetic inside the coupling subnets."""
    subnets: SubnetKind = SubnetKind.AUTO
    """How the coupling subnets are evaluated: `convolutions`, `products`, `padded` and `triton` are
    one function to rounding; `auto` takes what is fastest on the device."""
    graph: bool = False
    """On a GPU, record the objective as CUDA graphs and replay them: the same kernels in less
    time."""
