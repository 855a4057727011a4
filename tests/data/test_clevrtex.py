"""CLEVRTEX's folders: order, split, crop and resize, labels, and what is missing by name."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from denf.data.clevrtex import Variant, prepare_clevrtex
from denf.data.prepared import open_prepared
from denf.errors import DenfError


def render(folder: Path, number: int, variant: str = "full") -> tuple[Image.Image, Image.Image]:
    rng = np.random.default_rng(number)
    image = Image.fromarray(rng.integers(0, 256, (24, 32, 4), dtype=np.uint8))  # with transparency
    labels = Image.fromarray(rng.integers(0, 5, (24, 32), dtype=np.uint8))
    folder.mkdir(parents=True, exist_ok=True)
    image.save(folder / f"CLEVRTEX_{variant}_{number:06d}.png")
    labels.save(folder / f"CLEVRTEX_{variant}_{number:06d}_flat.png")
    (folder / f"CLEVRTEX_{variant}_{number:06d}.json").write_text("{}")
    return image, labels


def test_scenes_are_split_by_number_cut_and_resized(tmp_path):
    made = {k: render(tmp_path / f"in/{k % 3}", k) for k in range(1, 21)}
    render(tmp_path / "in/0", 1, "pbg")
    prepare_clevrtex(tmp_path / "in", tmp_path / "out", size=16, workers=2)
    expected = {"test": [1, 2], "val": [3, 4], "train": list(range(5, 21))}
    for split, numbers in expected.items():
        data = open_prepared(tmp_path / "out" / split)
        rows = csv.DictReader((data.folder / "factors.csv").read_text().splitlines())
        assert [row["file"] for row in rows] == [f"CLEVRTEX_full_{n:06d}.png" for n in numbers]
        for k, number in enumerate(numbers):
            image, labels = (picture.crop((6, 2, 25, 21)) for picture in made[number])
            flat = Image.fromarray(np.asarray(image)[..., :3])
            small = flat.resize((16, 16), Image.Resampling.BILINEAR)
            np.testing.assert_array_equal(data.images[k], np.asarray(small))
            nearest = labels.resize((16, 16), Image.Resampling.NEAREST)
            np.testing.assert_array_equal(data.masks[k], np.asarray(nearest))


def test_the_set_out_of_distribution_is_all_test(tmp_path):
    for k in range(3):
        render(tmp_path / "in", k, "outd")
    prepare_clevrtex(tmp_path / "in", tmp_path / "out", variant=Variant.OUTD, size=16)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["test"]
    assert len(open_prepared(tmp_path / "out/test")) == 3


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "CLEVRTEX_full_000004_flat.png").unlink(), r"000004\.png: .*got no labels"),
        (lambda f: (f / "CLEVRTEX_full_000004.png").unlink(), "number 4 missing"),
        (lambda f: render(f / "again", 4), r"000004\.png: expected one image .* too"),
        (
            lambda f: (f / "CLEVRTEX_full_000004.png").write_bytes(b""),
            r"000004\.png: expected a whole PNG",
        ),
        (
            lambda f: Image.new("L", (8, 8)).save(f / "CLEVRTEX_full_000004_flat.png"),
            r"000004_flat\.png: expected 32×24 pixels, as its image, got 8×8",
        ),
        (
            lambda f: [p.unlink() for p in f.iterdir() if p.name[14:20] > "000002"],
            "expected 10 or more scenes, got 3",
        ),
        (lambda f: [p.unlink() for p in f.iterdir()], "numbers without a gap, got none"),
    ],
)  # fmt: skip
def test_missing_and_damaged_files_are_named_and_nothing_is_written(tmp_path, damage, message):
    for k in range(12):
        render(tmp_path / "in", k)
    damage(tmp_path / "in")
    with pytest.raises(DenfError, match=message):
        prepare_clevrtex(tmp_path / "in", tmp_path / "out", size=16)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
