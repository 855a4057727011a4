"""GENESIS' settings; defaults as in applied-ai-lab/genesis unless stated otherwise."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge

from baselines.blocks.geco_settings import GecoSettings
from denf.settings import Count, MethodSettings, Positive


class GenesisSettings(MethodSettings):
    """Settings of GENESIS."""

    size: Literal[16, 32, 64, 128, 256] = 128
    """Side of the images in pixels."""
    slots: Annotated[int, Ge(2)] = 7
    """K; seven for the six objects and the background of CLEVR6."""
    width: Positive = 1.0
    """Channels of the mask VAE as a fraction of the published 32 and 64."""
    hidden: Count = 256
    """Units of the image embedding, of the mask prior's LSTM and of the component prior's MLP."""
    mask_latent: Count = 64
    """Dimensions of a slot's z_m."""
    component_channels: Count = 32
    """Channels of the component VAE's first convolutions and of its decoder."""
    component_latent: Count = 16
    """Dimensions of a slot's z_c."""
    pixel_std: Positive = 0.7
    """σ of the pixels, for images in [0, 1]."""
    geco: GecoSettings = GecoSettings()
    """Weighting of the KL term."""
    learning_rate: Positive = 1e-4
    """Adam's learning rate."""
