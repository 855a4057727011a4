"""CLEVRTEX (Karazija et al. 2021): unpacked archives of renders with label images."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import ClassVar, Literal

from denf.data.sources.source import PathText, Resources, Source, check_path


class Variant(StrEnum):
    """The main set, its out-of-distribution test set, and the four variants."""

    FULL = "full"
    OUTD = "outd"
    PBG = "pbg"
    VBG = "vbg"
    GRASSBG = "grassbg"
    CAMO = "camo"


class Clevrtex(Source):
    """CLEVRTEX, from the archives of its project page."""

    source: Literal["clevrtex"]
    """Which source."""
    path: PathText
    """Folder of the unpacked archives, or a zip of it."""
    variant: Variant = Variant.FULL
    """Which of the sets; `outd` has only a test split."""

    resources: ClassVar[Resources] = Resources(threads=4, mem_mb=4000, runtime=600)
    location: ClassVar[frozenset[str]] = frozenset({"path"})

    @property
    def splits(self) -> tuple[str, ...]:
        return ("test",) if self.variant is Variant.OUTD else ("train", "val", "test")

    def examine(self, where: str) -> dict[str, int]:
        check_path(self.path, where=f"{where}.path")
        return {}

    def prepare(self, out: Path, *, workers: int = 1) -> None:
        from denf.data.clevrtex import prepare_clevrtex

        prepare_clevrtex(self.path, out, variant=self.variant, size=self.size, workers=workers)
