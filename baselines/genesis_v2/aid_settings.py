"""Settings of the aids for GENESIS-V2."""

from __future__ import annotations

from denf.settings import AidSettings, NonNegative


class GenesisV2Aids(AidSettings):
    """What GENESIS-V2 needs to learn within minutes; not in its paper."""

    standardised: bool = False
    """The encoder sees an image less its mean colour, in units of its deviation, so that objects
    stand out against the floor and the borders' zeros are the floor's colour."""
    positions: bool = False
    """A cluster's first and second moments of place take the place of four of its features, so that
    the decoder need not learn places from the features."""
    gate: float = 0.0
    """Gate of the semi-convolution at first; at the published 0 the image moves the clusters only
    once the gate has grown."""
    std_bias: float = 0.0
    """Added to the first bias of the raw deviation of every z, whose σ starts near one, twenty
    times what tells images apart in the means; a short training then unlearns z before anything
    comes through."""
    cluster_weight: NonNegative = 0.0
    """Weight of a second likelihood with the clusters in place of the decoded masks. It is the
    clusters' only gradient that does not have to wait until the decoder draws objects."""
    mask_weight: NonNegative = 0.0
    """Weight of KL(clusters ‖ decoded masks), summed over pixels; the authors' code has it as an
    option, there without gradients into the decoder."""
