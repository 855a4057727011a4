"""Settings of the aids for GENESIS-V2."""

from __future__ import annotations

from denf.settings import AidSettings, NonNegative


class GenesisV2Aids(AidSettings):
    """Additions with which GENESIS-V2 learns within minutes; not in its paper."""

    standardised: bool = False
    """The encoder sees an image minus its mean colour, divided by its standard deviation, so that
    objects differ clearly from the floor, and zero padding has the colour of the floor."""
    positions: bool = False
    """The first and second moments of a cluster's pixel coordinates replace four of its features,
    so that the decoder need not learn positions from the features."""
    gate: float = 0.0
    """Initial gate of the semi-convolution. At the published 0, clusters do not depend on the image
    until the gate has grown."""
    std_bias: float = 0.0
    """Added to the initial bias of the raw standard deviation of every z. As published, σ starts
    near one, twenty times the differences of the means between images, and a short training loses
    z before it learns to reconstruct images."""
    cluster_weight: NonNegative = 0.0
    """Weight of a second likelihood with the clusters in place of the decoded masks. It is the only
    term that trains the clusters before the decoder draws objects."""
    mask_weight: NonNegative = 0.0
    """Weight of KL(clusters ‖ decoded masks), summed over pixels; an option in the authors' code,
    there without gradients to the decoder."""
