"""GENESIS-V2's settings; defaults as in applied-ai-lab/genesis unless stated otherwise."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, MultipleOf

from baselines.blocks.geco_settings import GecoSettings
from denf.settings import MethodSettings, Positive


class GenesisV2Settings(MethodSettings):
    """Settings of GENESIS-V2."""

    size: Annotated[int, Ge(16)] = 128
    """Side of the images in pixels, a power of two, at least 16."""
    slots: Annotated[int, Ge(2)] = 7
    """K; seven for the six objects and the background of CLEVR6."""
    features: Annotated[int, Ge(8), MultipleOf(8)] = 64
    """Channels of encoder and decoder, and dimensions of a slot's z."""
    colours: Annotated[int, Ge(2)] = 8
    """Dimensions of a pixel's embedding; its position is added to the last two."""
    pixel_std: Positive = 0.7
    """σ of the pixels, for images in [0, 1]."""
    geco: GecoSettings = GecoSettings()
    """Weighting of the KL term."""
    learning_rate: Positive = 1e-4
    """Adam's learning rate."""
