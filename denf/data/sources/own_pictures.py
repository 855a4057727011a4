"""Your own pictures, with masks where you have them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Le

from denf.data.sources.source import PathText, SplitSource, check_path
from denf.errors import DenfError, within
from denf.settings import Count, Settings


class Pictures(Settings):
    """The pictures of a split."""

    images: PathText
    """Folder or zip of 8-bit RGB pictures, PNG or JPEG."""
    masks: PathText | None = None
    """Folder or zip of label images under the same names; without masks there is no ARI."""
    first: int = 0
    """Number of the first picture; negative: counted from the end."""
    count: Count | None = None
    """Number of pictures to take; `null`: all from `first` on."""


class OwnPictures(SplitSource):
    """Your own pictures, with masks where you have them."""

    source: Literal["folder"]
    """Which source."""
    train: Pictures
    """The training pictures."""
    test: Pictures
    """The test pictures."""
    crop: Literal["centre", "whole"] = "centre"
    """Part of the picture to keep: the largest centred square (`centre`), or the `whole` frame,
    squeezed to a square."""
    max_objects: Annotated[int, Ge(1), Le(254)] = 254
    """The highest label allowed in a mask."""
    licence: str = "not stated"
    """Licence of the images, kept in dataset.json."""

    @property
    def has_masks(self) -> bool:
        return self.test.masks is not None

    def examine(self, where: str) -> dict[str, int]:
        from denf.data.folder import list_pictures

        found = {}
        for split in self.splits:
            pictures = self._pictures(split)
            for key, path in (("images", pictures.images), ("masks", pictures.masks)):
                if path is not None:
                    check_path(path, where=f"{where}.{split}.{key}")
            with within(f"{where}.{split}"):
                found[split] = list_pictures(
                    pictures.images,
                    masks=pictures.masks,
                    first=pictures.first,
                    count=pictures.count,
                )
        shared = [name for file, name in found["test"].items() if file in found["train"]]
        if shared:
            raise DenfError(
                f"{where}.test.images",
                expected="no picture of the training split",
                got=f"{len(shared)} of them, such as {shared[0]}",
                fix="Give each split a folder of its own, or other numbers of `first` and `count`.",
            )
        return {split: len(files) for split, files in found.items()}

    def own_files(self, split: str) -> list[str]:
        pictures = self._pictures(split)
        return [source for source in (pictures.images, pictures.masks) if source is not None]

    def _pictures(self, split: str) -> Pictures:
        return self.train if split == "train" else self.test

    def _prepare_split(self, split: str, out: Path, workers: int) -> None:
        from denf.data.folder import prepare_folder

        pictures = self._pictures(split)
        prepare_folder(
            pictures.images,
            out,
            masks=pictures.masks,
            size=self.size,
            crop=self.crop,
            first=pictures.first,
            count=pictures.count,
            max_objects=self.max_objects,
            split=split,
            name=self.id,  # of both splits, independent of the names of their folders
            licence=self.licence,
        )
