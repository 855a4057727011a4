"""The base class of all specifications of data sets."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from annotated_types import Ge, Le, MinLen, MultipleOf
from pydantic import AfterValidator, model_validator

from denf.errors import DenfError
from denf.settings import Settings, Steps, as_plain

LEAST_SIDE, MOST_SIDE = 16, 4096  # pixels; batches of scenes are held in memory
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_LONGEST = 100  # characters; file systems allow 255 in a name, to which others are added


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise ValueError(
            f"at most {_LONGEST} letters, digits and . _ -, the first a letter or digit"
        )
    return name


FolderName = Annotated[str, AfterValidator(_check_name)]
PathText = Annotated[str, MinLen(1)]


def check_path(path: str, *, where: str, expected: str = "a folder or a file") -> None:
    """Refuse a path at which there is nothing.

    Args:
        path: relative to the current folder, or absolute.
        where: the key that gives it, for errors.
        expected: what should be there.

    Raises:
        DenfError: names key and path.
    """
    if not Path(path).exists():
        raise DenfError(
            where, expected=expected, got=f"no such path: {path}", fix="Check the path."
        )


@dataclass(frozen=True)
class Resources:
    """Resources that the workflow requests for preparing a data set.

    Args:
        threads: number of threads.
        mem_mb: memory in megabytes.
        runtime: time limit on a cluster in minutes.
    """

    threads: int = 1
    mem_mb: int = 2000
    runtime: int = 60


class Source(Settings):
    """A data set: the source of its images, and how they are prepared.

    A subclass has a literal field `source` as its name and implements `prepare`.
    """

    id: FolderName
    """Name of the folders under `results/data` and `results/runs`; another size or seed needs
    another id."""
    size: Annotated[int, Ge(LEAST_SIDE), Le(MOST_SIDE), MultipleOf(8)]
    """Side of the square images in pixels, a multiple of 8, from 16 to 4096."""
    validation: Steps = 0
    """Number of scenes of the split `val`, its first ones, for the learning curves of foreground
    ARI; rendered sets render them for this purpose. They are used neither for training nor for
    testing, and nothing is chosen by them."""

    resources: ClassVar[Resources] = Resources()
    # Whether one pass makes all splits, because the source is one file that is read from its start.
    one_pass: ClassVar[bool] = True
    # Whether the suite's own code draws the images, so that an edit of that code makes them again.
    drawn_here: ClassVar[bool] = False
    # Keys of a source's location and checks, which do not change the prepared data.
    location: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="after")
    def _has_validation_scenes(self) -> Self:
        if self.validation and not (self.has_masks and "val" in self.splits):
            raise ValueError("validation: 0, since there is no split `val` with masks")
        return self

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits."""
        return ("train", "test")

    @property
    def has_masks(self) -> bool:
        """Whether the test split has true masks."""
        return True

    @property
    def training_images(self) -> int | None:
        """Number of training images; None where only the prepared data show the number."""
        return None

    def examine(self, where: str) -> dict[str, int]:
        """Look at the source on this machine: is it there, and do the splits share no image?

        Args:
            where: the data set's key, for errors.

        Returns:
            by split, the largest number of images that it can have, where that is known.

        Raises:
            DenfError: names key and path.
        """
        return {}

    def own_files(self, split: str) -> Sequence[str]:
        """The user's files and folders that a split is made of and that may change."""
        return ()

    def content(self) -> dict[str, Any]:
        """All that the prepared data depend on, as plain values."""
        # One pass makes the whole split `val`, however many of its scenes are scored.
        unseen = self.location | ({"validation"} if self.one_pass else frozenset())
        return {k: v for k, v in as_plain(self).items() if k not in unseen}

    def located(self, file: Path | None, downloads: Path) -> Self:
        """The same data set with its published file on this machine.

        Args:
            file: the published file; None: where the specification says, else fetched.
            downloads: folder of fetched files, one folder per data set in it.

        Raises:
            DenfError: for a file that the source does not read, or one that cannot be fetched.
        """
        if file is None:
            return self
        if "path" in type(self).model_fields:
            return self.changed(path=str(file))
        raise DenfError(
            f"data set {self.id}: --file",
            expected="none, since the source is not a published file",
            got=file,
            fix="Leave it out.",
        )

    def prepare(self, out: Path, *, workers: int = 1) -> None:
        """Prepare every split as `<out>/<split>`.

        Args:
            out: folder of the splits.
            workers: threads or processes; the files do not depend on their number.

        Raises:
            DenfError: for a source that is missing, damaged or not what it should be, or a split
                that is there already.
        """
        raise NotImplementedError

    def prepare_split(self, split: str, out: Path, *, workers: int = 1) -> None:
        """Prepare one split as the folder `out`.

        Raises:
            DenfError: as `prepare` and `check_split`.
        """
        self.check_split(split)
        raise NotImplementedError

    def check_split(self, split: str) -> None:
        """Refuse a split that cannot be prepared alone.

        Raises:
            DenfError: where all splits are made in one pass, or there is no such split.
        """
        if self.one_pass:
            raise DenfError(
                f"data set {self.id}: --split",
                expected="none, since all its splits are made in one pass over the source",
                got=split,
                fix="Leave it out.",
            )
        if split not in self.splits:
            raise DenfError(
                f"data set {self.id}: --split",
                expected=f"one of {', '.join(self.splits)}",
                got=split,
                fix="Choose one of these.",
            )


class SplitSource(Source):
    """A data set whose splits are prepared one by one.

    A subclass implements `_prepare_split`.
    """

    one_pass: ClassVar[bool] = False

    def prepare(self, out: Path, *, workers: int = 1) -> None:
        for split in self.splits:
            self.prepare_split(split, out / split, workers=workers)

    def prepare_split(self, split: str, out: Path, *, workers: int = 1) -> None:
        self.check_split(split)
        self.examine(f"data set {self.id}")
        self._prepare_split(split, out, workers)

    def _prepare_split(self, split: str, out: Path, workers: int) -> None:
        raise NotImplementedError
