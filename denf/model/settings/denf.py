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
    """When a component of presence counts as one object."""
    composites: Composites = Composites()
    """Training images composed of several; goes beyond the paper."""
    instances: Instances = Instances()
    """From present cells to instances (section 3.1.5)."""
    absent: AbsentDensity = AbsentDensity.STANDARD
    """Density of z_scale and z_loc in absent cells: N(0, 1), or none as in Eq. 8, where the
    log-determinant rewards unbounded stretching."""
    union: BoxUnion = BoxUnion.SMOOTH
    """How the boxes of Eq. 12 are united: 1 − exp(−Σ), which has a gradient where boxes overlap, or
    min(1, Σ), as printed."""
    agreement: Fraction = 0.33
    """A cell is filled in the union when it is covered by the boxes of this fraction of the present
    cells around it, in a window of the mean object size, and by at least one box; 0 is the printed
    union. Where one box is enough, a box inside an object gains nothing by growing to the object's
    outline, and small boxes tile the object."""
    compatibility_gradient: CompatibilityGradient = CompatibilityGradient.BOXES
    """Whether Eq. 12 trains only sizes and displacements, or presence as well, as printed; the
    presence map then takes the shape of boxes."""
    presence_gradient: PresenceGradient = PresenceGradient.EXPECTED
    """The form in which presence enters the losses: its probability, with which Eq. 10 is an exact
    expectation for given x̂_fg and x̂_bg, or the relaxed sample of Eq. 14, which has a high variance
    at λ ≤ 0.1. The sample gates z_what in both."""
    learning_rate: Positive = 1e-4
    """Adam's learning rate (A.4)."""
    gradient_clip: Positive = 1.0
    """Largest gradient norm (A.4)."""
    mirror: bool = False
    """Flip training images horizontally at random."""
    precision: Precision = Precision.FLOAT32
    """Arithmetic inside the coupling subnets."""
    subnets: SubnetKind = SubnetKind.AUTO
    """How the coupling subnets are evaluated: `convolutions`, `products`, `padded` and `triton`
    compute the same function up to rounding; `auto` takes the default of the device
    (docs/performance.md)."""
    graph: bool = False
    """On a GPU, record the objective as CUDA graphs and replay them: the same kernels in less
    time."""
