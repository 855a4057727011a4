"""Scenes that the suite renders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Le, MultipleOf

from denf.data.sources.source import LEAST_SIDE, Resources, SplitSource
from denf.settings import Count, Seed

SceneKind = Literal["clevr6", "traffic"]
MOST_RENDERED_SIDE = 512  # pixels


class Rendered(SplitSource):
    """Scenes that the suite renders, with exact masks and factors."""

    source: Literal["render"]
    """Which source."""
    size: Annotated[int, Ge(LEAST_SIDE), Le(MOST_RENDERED_SIDE), MultipleOf(8)]
    """Side of the square images in pixels, a multiple of 8, from 16 to 512."""
    kind: SceneKind
    """`clevr6` (solids on a floor) or `traffic` (vehicles on a street)."""
    seed: Seed = 0
    """Seed of the scenes; the scenes of the two splits differ."""
    train: Count
    """Number of scenes."""
    test: Count
    """Number of scenes."""

    resources: ClassVar[Resources] = Resources(threads=2, mem_mb=4000)
    drawn_here: ClassVar[bool] = True

    @property
    def training_images(self) -> int:
        return self.train

    @property
    def splits(self) -> tuple[str, ...]:
        return ("train", *["val"] * (self.validation > 0), "test")

    def examine(self, where: str) -> dict[str, int]:
        return {"train": self.train, "test": self.test}

    def _prepare_split(self, split: str, out: Path, workers: int) -> None:
        from denf.data.scenes.render import render

        testing = split == "test"
        counts = {"train": self.train, "val": self.validation, "test": self.test}
        render(
            self.kind,
            count=counts[split],
            size=self.size,
            first=self.train if split == "val" else 0,  # the scenes after the training scenes
            seed=2 * self.seed + testing,  # the seeds, and so the scenes, of the splits differ
            out=out,
            split=split,
            workers=workers,
            empty=testing,  # backgrounds are scored against the scenes without their objects
        )
