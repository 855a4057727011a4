"""IODINE with an aid for a small budget: a view of the images."""

from __future__ import annotations

from baselines.blocks.view import View, Viewed
from baselines.iodine.aid_settings import IodineAids
from baselines.iodine.method import Iodine
from baselines.iodine.settings import IodineSettings


class AidedIodine(Viewed, Iodine):
    """IODINE with its aid; with its default it equals IODINE."""

    def __init__(self, settings: IodineSettings, aids: IodineAids) -> None:
        super().__init__(settings)
        self.view = View(aids.view)
