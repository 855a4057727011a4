"""Listings: nothing of a source is left out in silence, and the order is the natural one."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from PIL import Image

from denf.data.archive import listing_digest, open_source
from denf.data.folder import prepare_folder
from denf.data.prepared import open_prepared
from denf.data.real_traffic import VideoSplit, prepare_real_traffic
from denf.errors import DenfError
from denf.files import natural_key


def png(seed: int = 0, *, mode: str = "RGB", kind: str = "PNG") -> bytes:
    shape = (8, 8, 3) if mode == "RGB" else (8, 8)
    top = 256 if mode == "RGB" else 3
    array = np.random.default_rng(seed).integers(0, top, shape, dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(array).save(data, kind)
    return data.getvalue()


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def names(source: Path) -> list[str]:
    with open_source(source) as files:
        return [str(file.path) for file in files]


def test_linked_folders_are_followed_and_loops_are_not(tmp_path):
    write(tmp_path / "images/a/0.png", png())
    write(tmp_path / "elsewhere/1.png", png(1))
    (tmp_path / "images/b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/up").symlink_to(tmp_path / "images")
    (tmp_path / "images/a/here").symlink_to(tmp_path / "images/a")
    assert names(tmp_path / "images") == ["a/0.png", "b/1.png"]
    prepare_folder(tmp_path / "images", tmp_path / "out")
    assert len(open_prepared(tmp_path / "out")) == 2


def test_a_link_to_nothing_and_a_pipe_are_named(tmp_path):
    write(tmp_path / "images/0.png", png())
    (tmp_path / "images/.#0.png").symlink_to(tmp_path / "gone")  # an editor's lock is hidden
    assert names(tmp_path / "images") == ["0.png"]
    os.mkfifo(tmp_path / "images/1.png")
    with pytest.raises(DenfError, match=r"images/1\.png: expected a readable file, got no regular"):
        prepare_folder(tmp_path / "images", tmp_path / "out")
    with pytest.raises(DenfError, match="expected a folder or a whole zip archive"):
        names(tmp_path / "images/1.png")
    (tmp_path / "images/1.png").unlink()
    (tmp_path / "images/1.png").symlink_to(tmp_path / "gone")
    with pytest.raises(DenfError, match=r"images/1\.png: expected to be listed, got No such file"):
        names(tmp_path / "images")


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_a_folder_without_permission_is_named(tmp_path):
    write(tmp_path / "images/a/0.png", png()).parent.chmod(0)
    with pytest.raises(DenfError, match=r"images/a: expected to be listed, got Permission denied"):
        names(tmp_path / "images")
    (tmp_path / "images/a").chmod(0o755)


def test_the_order_is_natural():
    paths = ["f2/10", "f10/1", "f2/9", "f02/9", "a", "f2/9b", "f2/x", "f" + "9" * 5000, "f2"]
    ordered = sorted(map(PurePosixPath, paths), key=natural_key)
    expected = ["a", "f02/9", "f2", "f2/9", "f2/9b", "f2/10", "f2/x", "f10/1", "f" + "9" * 5000]
    assert sorted(map(str, ordered)) == sorted(expected)
    assert [str(p) for p in ordered if str(p).startswith("f2/")] == [
        *("f2/9", "f2/9b", "f2/10", "f2/x")
    ]
    places = [str(p) for p in ordered]
    assert places.index("f2/x") < places.index("f10/1") < places.index("f" + "9" * 5000)


def test_time_does_not_leak_across_the_border_of_a_split(tmp_path):
    for video in range(995, 1005):
        for frame in (1, 2, 10):
            data = png(10 * video + frame, kind="JPEG")
            write(tmp_path / f"rt/cam/f{video:03d}/frame{frame}.jpeg", data)
    prepare_real_traffic(tmp_path / "rt", tmp_path / "out", size=8, split=VideoSplit(8, 2))
    rows = (tmp_path / "out/test/factors.csv").read_text().split()[1:]
    assert [row.split(",")[1:] for row in rows] == [
        [f"f{video}", f"frame{frame}.jpeg"] for video in (1003, 1004) for frame in (1, 2, 10)
    ]


def test_lossy_masks_are_refused(tmp_path):
    write(tmp_path / "images/0.png", png())
    write(tmp_path / "masks/0.jpg", png(mode="L", kind="JPEG"))
    with pytest.raises(DenfError, match=r"masks/0\.jpg: expected a PNG, got JPEG"):
        prepare_folder(tmp_path / "images", tmp_path / "out", masks=tmp_path / "masks")
    write(tmp_path / "masks/0.png", png(mode="L", kind="JPEG"))  # the name does not decide
    (tmp_path / "masks/0.jpg").unlink()
    with pytest.raises(DenfError, match=r"masks/0\.png: expected a PNG, got JPEG"):
        prepare_folder(tmp_path / "images", tmp_path / "out", masks=tmp_path / "masks")
    assert not (tmp_path / "out").exists()


def test_the_digest_of_a_listing_sees_every_change(tmp_path):
    path = write(tmp_path / "images/a/0.png", png())
    masks = write(tmp_path / "masks/0.png", png(mode="L")).parent
    seen = {listing_digest(tmp_path / "images", masks)}
    os.utime(path, ns=(1, 1))
    seen.add(listing_digest(tmp_path / "images", masks))
    path.write_bytes(png() + b"\0")
    seen.add(listing_digest(tmp_path / "images", masks))
    write(tmp_path / "images/a/1.png", png())
    seen.add(listing_digest(tmp_path / "images", masks))
    write(masks / "1.png", png(mode="L"))
    seen.add(listing_digest(tmp_path / "images", masks))
    assert len(seen) == 5
    assert listing_digest(tmp_path / "images", masks) in seen
    assert listing_digest(path) != listing_digest(masks)
    with pytest.raises(DenfError, match="expected a folder or a file, got none"):
        listing_digest(tmp_path / "gone")


def zipped(path: Path, count: int = 12, **options: int) -> bytes:
    with zipfile.ZipFile(path, "w", **options) as archive:
        for k in range(count):
            archive.writestr(f"cam/f{k // 3:03d}/{k:03d}.jpeg", bytes([k]) * 20)
    return path.read_bytes()


def listed(path: Path) -> list[tuple[str, bytes]]:
    with open_source(path) as files:
        return [(str(file.path), file.read()) for file in files]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_no_flipped_bit_of_a_directory_loses_an_entry(tmp_path, method):
    path = tmp_path / "rt.zip"
    whole = zipped(path, compression=method)
    expected = listed(path)
    directory = whole.index(b"PK\1\2")
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    places = range(directory, len(whole))
    named = equal = 0
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            assert listed(path) == expected, f"byte {place} of {len(whole)}"
            equal += 1
        except DenfError as error:
            assert "rt.zip" in str(error)  # noqa: PT017
            named += 1
    print(f"{len(places)} flips: {named} named, {equal} equal")
    assert named > equal


def test_a_directory_that_has_lost_an_entry_is_refused(tmp_path):
    path = tmp_path / "rt.zip"
    whole = zipped(path)
    starts = [k for k in range(len(whole)) if whole[k : k + 4] == b"PK\1\2"]
    # the comment of the first entry swallows the second
    damaged = bytearray(whole)
    damaged[starts[0] + 32 : starts[0] + 34] = (starts[2] - starts[1]).to_bytes(2, "little")
    path.write_bytes(damaged)
    with pytest.raises(DenfError, match=r"expected 12 entries, as its end says, got 11"):
        listed(path)


def test_archives_with_many_entries_or_a_prefix_are_read(tmp_path, monkeypatch):
    path = tmp_path / "many.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for k in range(66_000):
            archive.writestr(f"{k}.txt", b"")
    assert len(names(path)) == 66_000
    whole = zipped(tmp_path / "rt.zip")
    (tmp_path / "rt.zip").write_bytes(b"#!/bin/sh\n" + whole)  # a self-extracting archive
    assert len(names(tmp_path / "rt.zip")) == 12
