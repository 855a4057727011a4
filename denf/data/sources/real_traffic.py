"""Real-Traffic (Ehrhardt et al. 2020), or any footage of a fixed camera cut into clips."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import model_validator

from denf.data.sources.published import Published
from denf.data.sources.source import Resources
from denf.errors import within
from denf.settings import Count, Steps

if TYPE_CHECKING:
    from denf.data.real_traffic import VideoSplit


class RealTraffic(Published):
    """Real-Traffic, or any footage of a fixed camera cut into clips."""

    source: Literal["real-traffic"]
    """Which source."""
    gap: Steps = 0
    """Frames left out at the border between the splits."""
    train_videos: Count | None = None
    """Number of training videos, given with `test_videos`; `null`: as in the table below."""
    test_videos: Count | None = None
    """Number of test videos, the last ones, given with `train_videos`."""
    name: str = "real-traffic"
    """Name of the data set in dataset.json."""
    licence: str = "not stated by its authors"
    """Licence of the images, kept in dataset.json."""

    resources: ClassVar[Resources] = Resources(threads=4, mem_mb=4000, runtime=600)

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.train_videos is None) != (self.test_videos is None):
            raise ValueError("train_videos and test_videos are given together or not at all")
        return self

    @property
    def has_masks(self) -> bool:
        return False

    def examine(self, where: str) -> dict[str, int]:
        super().examine(where)
        if self.path is None:
            return {}
        from denf.data.real_traffic import count_frames

        with within(where):
            return count_frames(self.path, self._split(), self.gap)

    def _split(self) -> VideoSplit | None:
        from denf.data.real_traffic import VideoSplit

        if self.train_videos is None or self.test_videos is None:
            return None
        return VideoSplit(self.train_videos, self.test_videos)

    def prepare(self, out: Path, *, workers: int = 1) -> None:
        from denf.data.real_traffic import prepare_real_traffic

        prepare_real_traffic(
            self._file(),
            out,
            size=self.size,
            split=self._split(),
            gap=self.gap,
            workers=workers,
            name=self.name,
            licence=self.licence,
        )
