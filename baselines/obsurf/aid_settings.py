"""Settings of the aids for ObSuRF."""

from __future__ import annotations

from baselines.blocks.view_settings import ViewSettings
from denf.settings import AidSettings


class ObsurfAids(AidSettings):
    """Additions with which ObSuRF learns within minutes; not in its paper or code."""

    view: ViewSettings = ViewSettings()
    """View of the images that is encoded and reconstructed."""
    unit_gain: bool = False
    """Initial weights of unit gain; see `baselines.obsurf.aids.set_unit_gain`. With PyTorch's
    initial weights, as published, the output depends so little on image and position that a
    training of a few thousand steps learns the mean image only."""
    centred: bool = False
    """The encoder sees images in [−1, 1], so that their differences are large relative to their
    mean; otherwise in [0, 1], as published."""
