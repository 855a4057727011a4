"""MONet's settings; values from appendix B of the paper unless stated otherwise."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge

from denf.settings import Count, MethodSettings, NonNegative, Positive


class MonetSettings(MethodSettings):
    """Settings of MONet."""

    size: Annotated[int, Ge(16)] = 128
    """Side of the images in pixels, a power of two, at least 16."""
    slots: Annotated[int, Ge(2)] = 7
    """K; seven for the six objects and the background of CLEVR6."""
    channels: Count = 32
    """Channels of the U-Net's finest blocks (applied-ai-lab/genesis)."""
    component_channels: Count = 32
    """Channels of the component VAE's first convolutions and of its decoder."""
    latent: Count = 16
    """Dimensions of a slot's z."""
    beta: NonNegative = 0.5
    """β, weight of KL(q(z_k given x, m_k) ‖ N(0, I))."""
    gamma: NonNegative = 0.5
    """γ, weight of KL(masks ‖ decoded masks)."""
    background_std: Positive = 0.09
    """σ of the pixels in slot 0, for images in [0, 1]."""
    object_std: Positive = 0.11
    """σ of the pixels in the other slots."""
    learning_rate: Positive = 1e-4
    """RMSprop's learning rate."""
