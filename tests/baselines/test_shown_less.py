"""Methods that encode masks of the whole image: smaller views still give outputs of full size."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from baselines.blocks.view_settings import ViewSettings
from baselines.genesis.aid_settings import GenesisAids
from baselines.genesis.aids import AidedGenesis
from baselines.genesis.settings import GenesisSettings
from baselines.monet.aid_settings import MonetAids
from baselines.monet.aids import AidedMonet
from baselines.monet.settings import MonetSettings
from denf.harness.method import Method

GENESIS = GenesisSettings(
    size=16, slots=3, width=0.125, hidden=8, mask_latent=4, component_channels=4, component_latent=3
)
MONET = MonetSettings(size=16, slots=4, channels=4, component_channels=4, latent=3)


@pytest.mark.parametrize(
    "make",
    [
        lambda view: AidedGenesis(GENESIS, GenesisAids(view=view)),
        lambda view: AidedMonet(MONET, MonetAids(view=view)),
    ],
    ids=["genesis", "monet"],
)
@torch.no_grad()
def test_outputs_have_the_size_of_the_images(make: Callable[[ViewSettings], Method]):
    torch.manual_seed(0)
    method = make(ViewSettings(shrink=2)).eval()
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2, 3, 32, 32), generator=generator, dtype=torch.uint8)
    found = method.predict(images)
    assert found.segmentation.labels.shape == (2, 32, 32)
    assert found.reconstruction.shape == images.shape
    assert method.sample(3, torch.Generator().manual_seed(0)).shape == (3, 3, 32, 32)
