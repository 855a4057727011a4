"""One's own pictures: pairing, crop, resize, selection, and every refusal by the file's name."""

from __future__ import annotations

import csv
import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from denf.data.folder import prepare_folder
from denf.data.prepared import open_prepared
from denf.data.prepared_writer import PreparedWriter
from denf.errors import DenfError

CLEVR6 = Path(__file__).parents[3] / "shared/data/clevr6/val"


def picture(path: Path, width: int = 16, height: int = 16, seed: int = 0) -> np.ndarray:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
    return image


def labels(path: Path, width: int = 16, height: int = 16, top: int = 3, seed: int = 0):
    mask = np.random.default_rng(seed).integers(0, top + 1, (height, width), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(path)
    return mask


def pairs(root: Path, count: int = 3) -> tuple[Path, Path]:
    for k in range(count):
        picture(root / f"images/{k:03d}.png", seed=k)
        labels(root / f"masks/{k:03d}.png", seed=k)
    return root / "images", root / "masks"


def test_pictures_of_the_right_size_are_taken_as_they_are(tmp_path):
    images = [picture(tmp_path / f"in/images/{k:03d}.png", seed=k) for k in range(5)]
    masks = [labels(tmp_path / f"in/masks/{k:03d}.png", seed=k) for k in range(5)]
    prepare_folder(tmp_path / "in/images", tmp_path / "out", masks=tmp_path / "in/masks")
    data = open_prepared(tmp_path / "out")
    np.testing.assert_array_equal(data.images, images)
    np.testing.assert_array_equal(data.masks, masks)
    rows = list(csv.DictReader((tmp_path / "out/factors.csv").read_text().splitlines()))
    assert [r["file"] for r in rows] == [f"{k:03d}.png" for k in range(5)]
    assert data.info["size"] == 16


@pytest.mark.parametrize(("width", "height"), [(30, 20), (20, 31), (12, 10), (24, 24)])
def test_centre_crop_and_resize(tmp_path, width, height):
    image = picture(tmp_path / "images/a.png", width, height)
    mask = labels(tmp_path / "masks/a.png", width, height)
    prepare_folder(tmp_path / "images", tmp_path / "out", masks=tmp_path / "masks", size=12)
    data = open_prepared(tmp_path / "out")
    side = min(width, height)
    top, left = (height - side) // 2, (width - side) // 2
    square = Image.fromarray(image[top : top + side, left : left + side].copy())
    expected = np.asarray(square.resize((12, 12), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(data.images[0], expected)
    for i in range(12):
        for j in range(12):
            source = mask[top + int((i + 0.5) * side / 12), left + int((j + 0.5) * side / 12)]
            assert data.masks[0, i, j] == source


def test_whole_frame(tmp_path):
    image = picture(tmp_path / "images/a.png", 32, 20)
    prepare_folder(tmp_path / "images", tmp_path / "out", size=16, crop="whole")
    data = open_prepared(tmp_path / "out")
    expected = Image.fromarray(image).resize((16, 16), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(data.images[0], np.asarray(expected))
    assert data.masks is None


@pytest.mark.parametrize(
    ("first", "count", "taken"),
    [(0, None, range(6)), (-2, None, [4, 5]), (1, 3, [1, 2, 3]), (-3, 2, [3, 4]), (0, 2, [0, 1])],
)
def test_selection(tmp_path, first, count, taken):
    images = [picture(tmp_path / f"images/{k}.png", seed=k) for k in range(6)]
    prepare_folder(tmp_path / "images", tmp_path / "out", first=first, count=count)
    np.testing.assert_array_equal(
        open_prepared(tmp_path / "out").images, [images[k] for k in taken]
    )


@pytest.mark.parametrize(("first", "count"), [(6, None), (-7, None), (4, 3), (0, 0), (2, -1)])
def test_selection_outside_the_folder_is_refused(tmp_path, first, count):
    for k in range(6):
        picture(tmp_path / f"images/{k}.png", seed=k)
    with pytest.raises(DenfError, match="a part of its 6 pictures"):
        prepare_folder(tmp_path / "images", tmp_path / "out", first=first, count=count)


def test_clip_folders_are_read_in_order_and_masks_inside_are_left_out(tmp_path):
    root = tmp_path / "clips"
    order = ["a/1.png", "a/2.png", "b/0.jpg", "c.png"]
    for k, name in enumerate(reversed(order)):
        picture(root / name, seed=k)
        labels((root / "truth" / name).with_suffix(".png"), seed=k)
    (root / ".hidden").mkdir()
    (root / ".hidden/x.png").write_bytes(b"ignored")
    (root / "notes.txt").write_text("ignored")
    prepare_folder(root, tmp_path / "out", masks=root / "truth")
    rows = list(csv.DictReader((tmp_path / "out/factors.csv").read_text().splitlines()))
    assert [r["file"] for r in rows] == order


def test_palette_masks_give_their_indices(tmp_path):
    images, masks = pairs(tmp_path / "in", 1)
    mask = labels(masks / "000.png")
    palette = Image.fromarray(mask)
    palette.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200, 9, 9, 9])
    palette.save(masks / "000.png", bits=2)
    with Image.open(masks / "000.png") as saved:
        assert saved.mode == "P"
    prepare_folder(images, tmp_path / "out", masks=masks)
    np.testing.assert_array_equal(open_prepared(tmp_path / "out").masks[0], mask)


def test_photographs_are_turned_upright(tmp_path):
    image = Image.fromarray(np.arange(8 * 12 * 3, dtype=np.uint8).reshape(8, 12, 3))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    (tmp_path / "images").mkdir()
    image.save(tmp_path / "images/a.png", exif=exif)
    prepare_folder(tmp_path / "images", tmp_path / "out", size=12, crop="whole")
    upright = image.transpose(Image.Transpose.ROTATE_270).resize(
        (12, 12), Image.Resampling.BILINEAR
    )
    np.testing.assert_array_equal(open_prepared(tmp_path / "out").images[0], np.asarray(upright))


def as_mode(mode: str):
    def damage(images: Path, masks: Path) -> None:
        Image.open(images / "001.png").convert(mode).save(images / "001.png")

    return damage


def sixteen_bit(images: Path, masks: Path) -> None:
    data = np.zeros((16, 16), np.uint16)
    Image.fromarray(data).save(masks / "001.png")


def png(path: Path, width: int, height: int, depth: int, kind: int, rows: bytes) -> None:
    """A PNG file from its header values and its filtered rows (colour type 0: grey, 2: RGB)."""

    def chunk(name: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (as_mode("RGBA"), r"images/001\.png: expected 8-bit RGB, got 8-bit RGBA"),
        (as_mode("L"), r"images/001\.png: expected 8-bit RGB, got 8-bit L"),
        (as_mode("P"), r"images/001\.png: expected 8-bit RGB, got 8-bit P"),
        (
            lambda i, m: picture(i / "001.png", 20, 18),
            r"images/001\.png: expected 16×16 pixels, got 20×18",
        ),
        (
            lambda i, m: labels(m / "001.png", 16, 15),
            r"masks/001\.png: expected 16×16 pixels, as its image, got 16×15",
        ),
        (
            lambda i, m: labels(m / "001.png", top=200),
            r"masks/001\.png: expected labels 0…6, got \d+ labels up to",
        ),
        (
            lambda i, m: picture(m / "001.png"),
            r"masks/001\.png: expected 8-bit L or P, got 8-bit RGB",
        ),
        (
            lambda i, m: png(i / "001.png", 16, 16, 16, 2, bytes(97 * 16)),
            r"images/001\.png: expected 8-bit RGB, got 16-bit RGB",
        ),
        (sixteen_bit, r"masks/001\.png: expected 8-bit L or P, got 16-bit I;16"),
        (
            lambda i, m: png(m / "001.png", 16, 16, 4, 0, bytes(9 * 16)),
            r"masks/001\.png: expected 8-bit L or P, got 4-bit L",
        ),
        (lambda i, m: (m / "001.png").unlink(), r"images/001: expected one mask .* got none \(1"),
        (lambda i, m: picture(m / "7.png"), r"masks/7: expected one image of the same name"),
        (lambda i, m: picture(i / "001.jpg"), r"images/001\.png: expected one file of that name"),
        (
            lambda i, m: (i / "001.png").write_bytes((i / "001.png").read_bytes()[:400]),
            r"images/001\.png: expected a whole PNG or JPEG picture, got .*truncated",
        ),
        (
            lambda i, m: (i / "001.png").write_bytes(b"GIF89a not a picture"),
            r"images/001\.png: expected a whole PNG or JPEG picture",
        ),
        (lambda i, m: (i / "001.png").unlink() or (i / "001.png").symlink_to("gone"), r"001\.png"),
    ],
)
def test_bad_files_are_named_and_nothing_is_written(tmp_path, damage, message):
    images, masks = pairs(tmp_path / "in")
    damage(images, masks)
    with pytest.raises(DenfError, match=message):
        prepare_folder(images, tmp_path / "out/deep", masks=masks, max_objects=6)
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_an_unpaired_size_and_missing_folders_are_refused(tmp_path):
    picture(tmp_path / "images/a.png", 20, 16)
    with pytest.raises(DenfError, match="a square picture, got 20×16"):
        prepare_folder(tmp_path / "images", tmp_path / "out", crop="whole")
    with pytest.raises(DenfError, match="expected 1 to 4096 pixels"):
        prepare_folder(tmp_path / "images", tmp_path / "out", size=0)
    with pytest.raises(DenfError, match="none: expected a folder"):
        prepare_folder(tmp_path / "none", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DenfError, match="empty: expected PNG or JPEG pictures"):
        prepare_folder(tmp_path / "empty", tmp_path / "out")
    prepare_folder(tmp_path / "images", tmp_path / "out")
    with pytest.raises(DenfError, match="a path that does not exist"):
        prepare_folder(tmp_path / "images", tmp_path / "out")
    assert len(open_prepared(tmp_path / "out")) == 1


def test_an_unbounded_picture_is_refused(tmp_path):
    (tmp_path / "images").mkdir()
    png(tmp_path / "images/a.png", 12_000, 9_000, 8, 2, b"")
    with pytest.raises(DenfError, match=r"a\.png: expected a whole PNG"):
        prepare_folder(tmp_path / "images", tmp_path / "out", size=8)


def test_a_full_disk_keeps_what_was_written_to_be_continued(tmp_path):
    images, masks = pairs(tmp_path / "in", 70)
    prepare_folder(images, tmp_path / "whole", masks=masks)
    code = (
        "import resource, sys; from denf.data.folder import prepare_folder\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000,) * 2)\n"  # room for 64 scenes
        "prepare_folder(sys.argv[1], sys.argv[2], masks=sys.argv[3])"
    )
    arguments = [str(images), str(tmp_path / "out"), str(masks)]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], check=False, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "File too large" in done.stderr
    assert not (tmp_path / "out").exists()
    assert json.loads((tmp_path / "out.partial/progress.json").read_text())["count"] == 64
    prepare_folder(images, tmp_path / "out", masks=masks)
    assert open_prepared(tmp_path / "out").sha256 == open_prepared(tmp_path / "whole").sha256


@pytest.mark.skipif(not CLEVR6.exists(), reason="the rendered scenes are not here")
def test_rendered_scenes(tmp_path):
    prepare_folder(CLEVR6 / "images", tmp_path / "out", masks=CLEVR6 / "masks", first=-20, count=8)
    data = open_prepared(tmp_path / "out")
    assert (len(data), data.size) == (8, 128)
    for k in range(8):
        image, mask = (
            Image.open(CLEVR6 / kind / f"{380 + k:06d}.png") for kind in ("images", "masks")
        )
        np.testing.assert_array_equal(data.images[k], np.asarray(image))
        np.testing.assert_array_equal(data.masks[k], np.asarray(mask))


def test_pictures_of_other_kinds_are_counted(tmp_path, capsys):
    images, masks = pairs(tmp_path)
    for name in ("a.heic", "b.HEIC", "notes.txt", ".hidden"):
        (images / name).touch()
    prepare_folder(images, tmp_path / "out", masks=masks)
    (line,) = [text for text in capsys.readouterr().err.splitlines() if "left out" in text]
    assert line.startswith(f"denf: {images}: 3 of other kinds are left out: ")
    assert line.endswith(": 2 .heic, 1 .txt")


def test_an_absurd_size_is_refused_before_memory_is_taken(tmp_path):
    images, _ = pairs(tmp_path)
    with pytest.raises(DenfError, match="size: expected 1 to 4096 pixels, got 10000000"):
        prepare_folder(images, tmp_path / "out", size=10_000_000)
    with pytest.raises(DenfError, match="expected at most 4096 pixels a side, got 5000"):
        PreparedWriter(tmp_path / "out", size=5000, masks=False, info={"name": "large"})
    assert not (tmp_path / "out").exists()


def test_an_interrupted_preparation_survives_a_disk_without_room(tmp_path):
    def writer(count: int = 0) -> PreparedWriter:
        return PreparedWriter(tmp_path / "d", size=8, masks=False, info={}, count=count)

    with pytest.raises(KeyboardInterrupt), writer() as first:
        first.append(np.zeros((3, 8, 8, 3), np.uint8))
        raise KeyboardInterrupt
    with pytest.raises(DenfError, match="GB of free disk space"), writer(10**15):
        pass
    with writer(3) as again:
        assert again.count == 3
