"""DeNF's settings: values that the paper fixes are defaults, open ones are named choices.

Free of torch, so that configurations are checked in milliseconds. Where the paper's value does
not train, the default is the value that does; `config/experiments/denf-literal.yaml` keeps the
printed equations, so that the tables show the difference. Lengths of boxes are fractions of the
image side, displacements are image diagonals, images are in [0, 1].
"""

from denf.model.settings.choices import (
    AbsentDensity,
    BackgroundGradient,
    BoxUnion,
    CompatibilityGradient,
    Fill,
    OwnImage,
    Precision,
    PresenceGradient,
    SqueezeKind,
    SubnetKind,
    WhatPrior,
)
from denf.model.settings.denf import DenfSettings
from denf.model.settings.densities import Architecture, Priors
from denf.model.settings.grouping import Appearance, Components, Composites, Instances
from denf.model.settings.losses import Background, Schedule, Weights

__all__ = [
    "AbsentDensity",
    "Appearance",
    "Architecture",
    "Background",
    "BackgroundGradient",
    "BoxUnion",
    "CompatibilityGradient",
    "Components",
    "Composites",
    "DenfSettings",
    "Fill",
    "Instances",
    "OwnImage",
    "Precision",
    "PresenceGradient",
    "Priors",
    "Schedule",
    "SqueezeKind",
    "SubnetKind",
    "Weights",
    "WhatPrior",
]
