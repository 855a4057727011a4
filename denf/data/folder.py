"""Preparing a user's own pictures, with or without masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from denf.data.archive import SourceFile, open_source
from denf.data.crop import (
    CROP_RULES,
    Crop,
    Kernel,
    crop_box,
    resize_image,
    resize_labels,
)
from denf.data.decode import (
    PICTURE_SUFFIXES,
    decode_image,
    decode_labels,
    image_shape,
    labels_shape,
)
from denf.data.ingest import Scene, SceneWriter, listing_sha256, write_scenes
from denf.data.prepared import MAX_OBJECTS
from denf.data.sources.source import MOST_SIDE
from denf.errors import DenfError
from denf.files import tell_left_out

KERNEL = Kernel.BILINEAR


@dataclass(frozen=True)
class _Pair:
    """An image and its mask, each with its name for messages."""

    image: SourceFile
    image_name: str
    mask: SourceFile | None
    mask_name: str


def prepare_folder(
    images: Path | str,
    out: Path | str,
    *,
    masks: Path | str | None = None,
    size: int | None = None,
    crop: Crop = "centre",
    first: int = 0,
    count: int | None = None,
    max_objects: int = MAX_OBJECTS,
    split: str = "all",
    name: str | None = None,
    licence: str = "not stated",
) -> None:
    """Prepare a folder of pictures as the prepared folder `out`.

    Pictures (8-bit RGB PNG or JPEG) are taken in natural order of their paths (2 before 10),
    including those in folders of clips. The headers of all pictures are checked before the first
    picture is written.

    Args:
        images: folder or zip archive.
        out: the prepared folder to make.
        masks: folder or zip archive with one label image (PNG, 8-bit grey or palette) per picture,
            under the same path up to the suffix.
        size: side in pixels; None: that of the pictures, which must all have the same size.
        crop: "centre", the largest centred square, or "whole", the frame squeezed to a square.
        first: number of the first picture to take; negative: counted from the end, so that
            `first=-200` takes the last 200.
        count: how many to take; None: all from `first` on.
        max_objects: the highest label allowed in a mask.
        split: name of the split in `dataset.json`.
        name: of the data set; None: the name of the folder.
        licence: of the pictures.

    Raises:
        DenfError: when a file is damaged or of another mode, depth or size, a picture or a mask has
            no partner, or a mask has too many labels; names the file; nothing is written.
    """
    images, out = Path(images), Path(out)
    label_source = None if masks is None else Path(masks)
    if not 1 <= max_objects <= MAX_OBJECTS:
        raise DenfError(
            "max_objects", expected=f"1 to {MAX_OBJECTS}", got=max_objects, fix="Choose another."
        )
    with ExitStack() as stack:
        pictures = _pictures(images, stack.enter_context(open_source(images)), label_source)
        if label_source is None:
            pairs = [_Pair(file, f"{images}/{file.path}", None, "") for file in pictures]
        else:
            labels = _pictures(label_source, stack.enter_context(open_source(label_source)), None)
            pairs = _pair(images, pictures, label_source, labels)
        chosen = _select(images, pairs, first, count)
        side = _check_headers(chosen, size, crop)
        info = {
            "name": name or images.resolve().name,
            "source": f"{images.resolve().name}, {len(chosen)} of {len(pairs)} pictures",
            "licence": licence,
            "split": split,
            "split_rule": f"first {first}, count {'all' if count is None else count}, by path, "
            "numbers by their value",
            "crop": CROP_RULES[crop],
            "resize": KERNEL.rule,
            "listing_sha256": listing_sha256(
                f for pair in chosen for f in (pair.image, pair.mask) if f is not None
            ),
        }
        writer = stack.enter_context(
            SceneWriter(
                out, size=side, masks=label_source is not None, info=info, count=len(chosen)
            )
        )
        load = partial(_scene, side, crop, max_objects)
        write_scenes(writer, chosen, load, label=str(info["name"]))


def list_pictures(
    images: Path | str,
    *,
    masks: Path | str | None = None,
    first: int = 0,
    count: int | None = None,
) -> dict[tuple[int, int, str], str]:
    """The pictures that `prepare_folder` takes, from the names of the files alone.

    Args:
        images: folder or zip archive.
        masks: folder or zip archive of label images, or None.
        first: number of the first picture to take.
        count: how many to take; None: all from `first` on.

    Returns:
        the name of each, by what is the same for two names of one file: device, inode, and path in
        an archive.

    Raises:
        DenfError: as `prepare_folder`, except for what the pictures hold.
    """
    images, label_source = Path(images), None if masks is None else Path(masks)
    with ExitStack() as stack:
        pictures = _pictures(images, stack.enter_context(open_source(images)), label_source)
        pairs = [_Pair(file, f"{images}/{file.path}", None, "") for file in pictures]
        if label_source is not None:
            labels = _pictures(label_source, stack.enter_context(open_source(label_source)), None)
            pairs = _pair(images, pictures, label_source, labels)
    return {
        _identity(images, pair): pair.image_name for pair in _select(images, pairs, first, count)
    }


def _identity(source: Path, pair: _Pair) -> tuple[int, int, str]:
    inside = source.is_dir()
    found = (source / pair.image.path if inside else source).stat()
    return found.st_dev, found.st_ino, "" if inside else str(pair.image.path)


def _scene(side: int, crop: Crop, max_objects: int, number: int, pair: _Pair) -> Scene:
    image = decode_image(pair.image.read(), pair.image_name)
    height, width, _ = image.shape
    box = crop_box(height, width, crop)
    labels = None
    if pair.mask is not None:
        labels = decode_labels(pair.mask.read(), pair.mask_name, max_objects)
        labels = resize_labels(labels[box], side)
    row = {"scene": number, "file": str(pair.image.path)}
    return Scene(resize_image(image[box], side, KERNEL), labels, [row])


def _pictures(source: Path, files: Sequence[SourceFile], without: Path | None) -> list[SourceFile]:
    """Pictures of a source; `without` is a folder that is left out where it lies inside."""
    inner: tuple[str, ...] | None = None
    if without is not None and without.resolve().is_relative_to(source.resolve()):
        inner = without.resolve().relative_to(source.resolve()).parts
    own = [f for f in files if not (inner and f.path.parts[: len(inner)] == inner)]
    found = [file for file in own if file.path.suffix.lower() in PICTURE_SUFFIXES]
    if not found:
        raise DenfError(
            str(source), expected="PNG or JPEG pictures", got="none", fix="Check the path."
        )
    tell_left_out(source, (f.path for f in own if f.path.suffix.lower() not in PICTURE_SUFFIXES))
    return found


def _pair(
    images: Path, pictures: Sequence[SourceFile], masks: Path, labels: Sequence[SourceFile]
) -> list[_Pair]:
    """Pair pictures and masks by path up to the suffix, in the order of the pictures."""
    by_stem = _by_stem(masks, labels)
    stems = _by_stem(images, pictures)
    unpaired = sorted(stems.keys() ^ by_stem.keys())
    if unpaired:
        stem = unpaired[0]
        lacks, has = ("mask", f"{images}/{stem}") if stem in stems else ("image", f"{masks}/{stem}")
        raise DenfError(
            has,
            expected=f"one {lacks} of the same name in {masks if lacks == 'mask' else images}",
            got=f"none ({len(unpaired)} unpaired files)",
            fix="Add the missing files or remove the unpaired ones.",
        )
    return [
        _Pair(image, f"{images}/{image.path}", by_stem[stem], f"{masks}/{by_stem[stem].path}")
        for stem, image in stems.items()
    ]


def _by_stem(source: Path, files: Sequence[SourceFile]) -> Mapping[str, SourceFile]:
    stems: dict[str, SourceFile] = {}
    for file in files:
        stem = str(file.path.with_suffix(""))
        if stem in stems:
            raise DenfError(
                f"{source}/{file.path}",
                expected="one file of that name",
                got=f"{stems[stem].path.name} beside it",
                fix="Remove or rename one of them.",
            )
        stems[stem] = file
    return stems


def _select(images: Path, pairs: Sequence[_Pair], first: int, count: int | None) -> Sequence[_Pair]:
    start = first + len(pairs) if first < 0 else first
    stop = len(pairs) if count is None else start + count
    if not 0 <= start < stop <= len(pairs):
        raise DenfError(
            f"pictures of {images}, first {first}, count {count}",
            expected=f"a part of its {len(pairs)} pictures",
            got=f"{start} to {stop}",
            fix="Choose a first picture and a count inside.",
        )
    return pairs[start:stop]


def _check_headers(pairs: Sequence[_Pair], size: int | None, crop: Crop) -> int:
    """Check mode and size of every file and return the side of the prepared pictures."""
    if size is not None and not 1 <= size <= MOST_SIDE:
        raise DenfError(
            "size", expected=f"1 to {MOST_SIDE} pixels", got=size, fix="Choose another."
        )
    side = size
    for pair in pairs:
        height, width = image_shape(pair.image.read(), pair.image_name)
        if size is None:
            square = height == width or crop == "centre"
            if not square or side not in (None, min(height, width)):
                raise DenfError(
                    pair.image_name,
                    expected="a square picture" if side is None else f"{side}×{side} pixels",
                    got=f"{width}×{height}",
                    fix="Give a size to resize to.",
                )
            side = min(height, width)
        if pair.mask is not None:
            shape = labels_shape(pair.mask.read(), pair.mask_name)
            if shape != (height, width):
                raise DenfError(
                    pair.mask_name,
                    expected=f"{width}×{height} pixels, as its image",
                    got=f"{shape[1]}×{shape[0]}",
                    fix="Save the mask in the size of its image.",
                )
    if side is None:
        raise ValueError("pairs: expected one or more, got none")
    return side
