"""Pictures of any kind: the stated conversion, compared with the numbers that were saved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from denf.data.decode import decode_image
from denf.errors import DenfError
from denf.pictures.clip import read_frames
from denf.pictures.conversion import SUFFIXES, read_picture
from denf.pictures.sources import find_sources, is_clip, left_out

COLOURS = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)


def saved(path: Path, picture: Image.Image, **options: object) -> np.ndarray:
    picture.save(path, **options)
    return read_picture(path)


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tiff", "a.webp", "a.gif"])
def test_lossless_kinds_keep_every_value(name, tmp_path):
    options = {"lossless": True} if name.endswith("webp") else {}
    found = saved(tmp_path / name, Image.fromarray(COLOURS), **options)
    np.testing.assert_array_equal(found, COLOURS)
    assert (tmp_path / name).suffix in SUFFIXES


def test_jpeg_is_close_and_upright(tmp_path):
    smooth = np.linspace(0, 255, 32 * 48, dtype=np.uint8).reshape(32, 48)
    turned = Image.Exif()
    turned[0x0112] = 6  # the camera was turned: shown after a quarter turn
    found = saved(tmp_path / "a.jpg", Image.fromarray(smooth), exif=turned, quality=95)
    assert found.shape == (48, 32, 3)
    expected = np.rot90(smooth, -1).astype(int)
    assert np.abs(found[..., 0] - expected).max() <= 4


def test_grey_and_palette_and_black_and_white(tmp_path):
    grey = COLOURS[..., 0]
    np.testing.assert_array_equal(
        saved(tmp_path / "l.png", Image.fromarray(grey)), np.stack([grey] * 3, axis=2)
    )
    palette = Image.fromarray(COLOURS).quantize(16)
    np.testing.assert_array_equal(
        saved(tmp_path / "p.png", palette), np.asarray(palette.convert("RGB"))
    )
    bits = Image.fromarray(grey > 127)
    found = saved(tmp_path / "1.png", bits)
    np.testing.assert_array_equal(found[..., 1], 255 * (grey > 127))


def test_the_upper_8_of_16_bits_are_kept(tmp_path):
    deep = np.arange(0, 65536, 1024, dtype=np.uint16).reshape(8, 8) + 77
    for name in ("a.png", "a.tiff"):
        found = saved(tmp_path / name, Image.fromarray(deep))
        np.testing.assert_array_equal(found, np.stack([deep // 256] * 3, axis=2))


def test_transparent_parts_are_laid_over_white(tmp_path):
    alpha = np.linspace(0, 255, 54, dtype=np.uint8).reshape(6, 9)
    found = saved(tmp_path / "a.png", Image.fromarray(np.dstack((COLOURS, alpha))))
    share = alpha[..., None] / 255
    np.testing.assert_allclose(found, share * COLOURS + (1 - share) * 255, atol=1)
    clear = Image.fromarray(np.zeros((4, 4), np.uint8), "L")
    assert (saved(tmp_path / "l.png", clear, transparency=0) == 255).all()


def test_cmyk_becomes_rgb(tmp_path):
    ink = Image.new("CMYK", (4, 4), (255, 0, 0, 0))
    np.testing.assert_array_equal(
        saved(tmp_path / "a.tiff", ink), np.broadcast_to([0, 255, 255], (4, 4, 3))
    )


def test_of_an_animation_the_first_frame_is_read(tmp_path):
    frames = [Image.new("RGB", (5, 4), colour) for colour in ("red", "blue")]
    found = saved(tmp_path / "a.gif", frames[0], save_all=True, append_images=frames[1:])
    assert (found == [255, 0, 0]).all()


@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=5)))
@settings(max_examples=20, deadline=None)
def test_arrays_and_tensors_are_read_alike(grey):
    expected = np.stack([grey] * 3, axis=2)
    tensor = torch.from_numpy(grey)[None]
    for form in (grey, grey[..., None], expected, tensor, tensor / 255, tensor.expand(3, -1, -1)):
        np.testing.assert_array_equal(read_picture(form), expected)


REFUSED = {
    "number": (5, "got int64 \\(\\)"),
    "ragged list": ([[1], [1, 2]], "an array element|inhomogeneous"),
    "empty tensor": (torch.zeros(3, 0, 4), "got \\(3, 0, 4\\)"),
    "batch": (np.zeros((2, 4, 4, 3), np.uint8), "got uint8 \\(2, 4, 4, 3\\)"),
    "floats": (np.zeros((4, 4, 3)), "got float64"),
    "empty": (np.zeros((0, 4, 3), np.uint8), "got uint8 \\(0, 4, 3\\)"),
    "channels last": (torch.zeros(8, 8, 3), "a tensor \\(C, H, W\\)"),
    "out of range": (torch.full((3, 2, 2), 2.0), "floats in \\[0, 1\\], got 2…2"),
    "not a number": (torch.full((3, 2, 2), torch.nan), "floats in \\[0, 1\\], got nan"),
    "32 bits": (Image.new("F", (2, 2)), "8 or 16 bits per channel, got 32 bits"),
}


@pytest.mark.parametrize(("picture", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_picture_is_refused(picture, message):
    with pytest.raises(DenfError, match=f"^picture: expected .*{message}"):
        read_picture(picture)


def test_a_failed_read_names_the_file_and_no_address(tmp_path):
    whole = tmp_path / "a.png"
    Image.fromarray(COLOURS).save(whole)
    contents = {"text.png": b"text", "cut.png": whole.read_bytes()[:60], "empty.jpg": b""}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DenfError, match=f"picture {tmp_path}/{name}: expected a whole") as told:
            read_picture(tmp_path / name)
        assert " at 0x" not in str(told.value)
    with pytest.raises(DenfError, match="got a folder"):
        read_picture(tmp_path)


def test_a_training_picture_that_cannot_be_read_shows_no_address_either():
    with pytest.raises(DenfError, match=r"cannot identify image file\. Replace") as told:
        decode_image(b"text", "a.png")
    assert " at 0x" not in str(told.value)


def test_folders_are_read_in_the_order_of_their_numbers(tmp_path):
    folder = tmp_path / "street"
    folder.mkdir()
    for name in ("f10.png", "f9.JPG", "notes.txt", "f1.tif"):
        (folder / name).touch()
    found = find_sources([folder, tmp_path / "one.png"])
    assert [source.path.name for source in found] == ["f1.tif", "f9.JPG", "f10.png", "one.png"]
    assert [str(s.folder) for s in found] == ["street/f1", "street/f9", "street/f10", "one"]
    (clip,) = find_sources([folder], clips=True)
    assert [path.name for path in clip.frames] == ["f1.tif", "f9.JPG", "f10.png"]
    assert left_out(folder) == [folder / "notes.txt"]


def test_pictures_of_one_name_get_folders_with_their_suffixes(tmp_path):
    for name in ("a.jpg", "a.tif", "b.png"):
        (tmp_path / name).touch()
    here = tmp_path.name
    found = find_sources([tmp_path, tmp_path / "a.jpg", tmp_path / "a.jpg"])
    assert [str(source.folder) for source in found] == [
        f"{here}/a.jpg", f"{here}/a.tif", f"{here}/b", "a",
    ]  # fmt: skip
    others = [tmp_path / "x/a.jpg", tmp_path / "y/a.jpg"]
    with pytest.raises(DenfError, match=r"got .*/x/a\.jpg and .*/y/a\.jpg\. Rename"):
        find_sources(others)


def test_a_single_picture_is_no_clip(tmp_path):
    frames = [Image.new("RGB", (5, 4), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "still.png")
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(DenfError, match=r"--clip .*still\.png: expected a folder of frames"):
        find_sources([tmp_path / "still.png"], clips=True)
    (moving,) = find_sources([tmp_path / "moving.gif"], clips=True)
    assert len(list(read_frames(moving))) == 2


def test_an_empty_folder_is_an_error_of_its_own(tmp_path):
    (tmp_path / "nothing").mkdir()
    for clips in (False, True):
        (source,) = find_sources([tmp_path / "nothing"], clips=clips)
        assert is_clip(source)
        with pytest.raises(DenfError, match=r"nothing: expected PNG, .* got none"):
            list(read_frames(source))
