"""CLEVRTEX: PNG renders with label images, in the folders of the published archives.

Files are `CLEVRTEX_<variant>_<6 digits>.png` with the labels in `…_flat.png` beside them. Split,
crop and resize are those of the authors' reader (clevrtex-generation, clevrtex_eval.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from denf.data.archive import SourceFile, open_source
from denf.data.crop import CROP_RULES, Kernel, crop_box, resize_image, resize_labels
from denf.data.decode import decode_image, decode_labels
from denf.data.ingest import Scene, SceneWriter, listing_sha256, pending_splits, write_scenes
from denf.data.prepared import MAX_OBJECTS
from denf.data.sources.clevrtex import Variant
from denf.errors import DenfError

PROJECT_PAGE = "https://www.robots.ox.ac.uk/~vgg/research/clevrtex/"
KERNEL = Kernel.BILINEAR
SHARES = {"test": (0.0, 0.1), "val": (0.1, 0.2), "train": (0.2, 1.0)}  # of the scenes, by number


@dataclass(frozen=True)
class _Render:
    image: SourceFile
    labels: SourceFile


def prepare_clevrtex(
    source: Path | str,
    out: Path | str,
    *,
    variant: Variant = Variant.FULL,
    size: int = 128,
    workers: int = 1,
) -> None:
    """Prepare CLEVRTEX as `<out>/{train,val,test}`; the variant `outd` has only a test split.

    The centred square of 0.8 of the height is resized, images by Pillow's bilinear kernel, labels
    by nearest neighbour; transparency is dropped.

    Args:
        source: folder of the unpacked archives, or a zip of it.
        out: folder of the splits.
        variant: one of the variants in `source`.
        size: side in pixels.
        workers: threads that decode and resize.

    Raises:
        DenfError: when an image, a label image or a number is missing or damaged; nothing is
            written.
    """
    source, out = Path(source), Path(out)
    with ExitStack() as stack:
        renders = find_renders(source, stack.enter_context(open_source(source)), variant)
        parts = _divide(source, renders, variant)
        infos = {
            split: {
                "name": f"clevrtex_{variant}",
                "source": PROJECT_PAGE,
                "licence": "as on the project page; cite Karazija et al. 2021",
                "split": split,
                "split_rule": f"by number: {'all' if variant is Variant.OUTD else SHARES[split]}",
                "size": size,
                "crop": CROP_RULES["inner"],
                "resize": KERNEL.rule,
                "listing_sha256": listing_sha256(f for r in part for f in (r.image, r.labels)),
            }
            for split, part in parts.items()
        }
        # all writers close at the end, so that a bad file in the last split also undoes the first
        writers = {
            split: stack.enter_context(
                SceneWriter(out / split, size=size, masks=True, info=infos[split])
            )
            for split in pending_splits(out, infos)
        }
        for split, writer in writers.items():
            load, label = partial(_scene, source, size), f"clevrtex {split}"
            write_scenes(writer, parts[split], load, label=label, workers=workers)


def find_renders(source: Path, files: Sequence[SourceFile], variant: Variant) -> list[_Render]:
    """Images of a variant by number, each with its label image.

    Raises:
        DenfError: when there are none, numbers are missing or repeated, or labels are missing.
    """
    name = re.compile(rf"CLEVRTEX_{variant}_(\d{{6}})\.png")
    by_path = {file.path: file for file in files}
    renders: dict[int, _Render] = {}
    for file in files:
        match = name.fullmatch(file.path.name)
        if match is None:
            continue
        labels = by_path.get(file.path.with_name(f"{file.path.stem}_flat.png"))
        number = int(match[1])
        if labels is None or number in renders:
            raise DenfError(
                f"{source}/{file.path}",
                expected="one image of that number, and its labels in …_flat.png",
                got="no labels" if labels is None else f"{renders[number].image.path} too",
                fix="Unpack the archives again.",
            )
        renders[number] = _Render(file, labels)
    gaps = sorted(set(range(min(renders, default=0), max(renders, default=0))) - set(renders))
    if gaps or not renders:
        raise DenfError(
            f"CLEVRTEX {source}",
            expected=f"CLEVRTEX_{variant}_<number>.png, numbers without a gap",
            got=f"number {gaps[0]} missing" if gaps else "none",
            fix="Check the path and the variant; unpack all parts of the archive.",
        )
    return [renders[number] for number in sorted(renders)]


def _divide(
    source: Path, renders: Sequence[_Render], variant: Variant
) -> Mapping[str, Sequence[_Render]]:
    if variant is Variant.OUTD:
        return {"test": renders}
    count = len(renders)
    parts = {s: renders[int(a * count) : int(b * count)] for s, (a, b) in SHARES.items()}
    if not all(parts.values()):
        raise DenfError(
            f"CLEVRTEX {source}",
            expected="10 or more scenes",
            got=count,
            fix="Unpack all parts of the archive.",
        )
    return parts


def _scene(source: Path, size: int, number: int, render: _Render) -> Scene:
    image = decode_image(render.image.read(), f"{source}/{render.image.path}", alpha=True)
    name = f"{source}/{render.labels.path}"
    labels = decode_labels(render.labels.read(), name, MAX_OBJECTS)
    height, width, _ = image.shape
    if labels.shape != (height, width):
        raise DenfError(
            name,
            expected=f"{width}×{height} pixels, as its image",
            got=f"{labels.shape[1]}×{labels.shape[0]}",
            fix="Unpack the archives again.",
        )
    box = crop_box(height, width, "inner")
    row = {"scene": number, "file": render.image.path.name}
    return Scene(resize_image(image[box], size, KERNEL), resize_labels(labels[box], size), [row])
