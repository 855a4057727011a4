"""Slot Attention with an aid for a small budget: a view of the images."""

from __future__ import annotations

from baselines.blocks.view import View, Viewed
from baselines.slot_attention.aid_settings import SlotAttentionAids
from baselines.slot_attention.method import SlotAttentionMethod
from baselines.slot_attention.settings import SlotAttentionSettings


class AidedSlotAttention(Viewed, SlotAttentionMethod):
    """Slot Attention with its aid; with its default it equals Slot Attention."""

    def __init__(self, settings: SlotAttentionSettings, aids: SlotAttentionAids) -> None:
        super().__init__(settings)
        self.view = View(aids.view)
