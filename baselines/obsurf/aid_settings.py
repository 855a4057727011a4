"""Settings of the aids for ObSuRF."""

from __future__ import annotations

from baselines.blocks.view_settings import ViewSettings
from denf.settings import AidSettings


class ObsurfAids(AidSettings):
    """What ObSuRF needs to learn within minutes; not in its paper or code."""

    view: ViewSettings = ViewSettings()
    """What encoder and loss are shown of the images."""
    unit_gain: bool = False
    """First values of unit gain; see `baselines.obsurf.aids.set_unit_gain`. At PyTorch's initial
    values, as published, so little of image and place reaches the output that a training of a few
    thousand steps learns the mean image alone."""
    centred: bool = False
    """The encoder sees images in [−1, 1], so that their differences outweigh what they have in
    common; otherwise in [0, 1], as published."""
