"""RELATE with aids for a small budget: initial weights, a term of the loss, averaged weights."""

from __future__ import annotations

from baselines.blocks.style_aids import AidedStyleGame
from baselines.relate.aid_settings import RelateAids
from baselines.relate.method import Relate
from baselines.relate.settings import RelateSettings


class AidedRelate(AidedStyleGame, Relate):
    """RELATE with aids; with their defaults it equals RELATE."""

    def __init__(self, settings: RelateSettings, aids: RelateAids) -> None:
        super().__init__(settings)
        self.apply_aids(aids)
