"""Real-Traffic's layout, from folders and archives: order, split, gap, resize, refusals."""

from __future__ import annotations

import csv
import io
import shutil
import stat
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from denf.data import ingest
from denf.data.archive import Limits, open_source
from denf.data.prepared import open_prepared
from denf.data.real_traffic import (
    VideoSplit,
    count_frames,
    default_split,
    prepare_real_traffic,
)
from denf.errors import DenfError

TRAFFIC = Path(__file__).parents[3] / "shared/data/traffic"


def jpeg(seed: int, width: int = 24, height: int = 16, mode: str = "RGB") -> bytes:
    rng = np.random.default_rng(seed)
    colour = Image.fromarray(rng.integers(0, 256, (4, 6, 3), dtype=np.uint8))
    buffer = io.BytesIO()
    colour.resize((width, height)).convert(mode).save(buffer, "JPEG")
    return buffer.getvalue()


def footage(folder: Path, videos: int = 10, frames: int = 3) -> Path:
    """Frame j of video k has seed 100 k + j."""
    for k in range(videos):
        (folder / f"f_{k:03d}").mkdir(parents=True)
        for j in range(frames):
            (folder / f"f_{k:03d}/{j:05d}.jpeg").write_bytes(jpeg(100 * k + j))
    return folder


def rows_of(folder: Path) -> list[tuple[int, str, str]]:
    rows = csv.DictReader((folder / "factors.csv").read_text().splitlines())
    return [(int(r["scene"]), r["video"], r["frame"]) for r in rows]


@pytest.mark.parametrize(
    ("videos", "train", "test"),
    [(683, 560, 123), (700, 560, 123), (614, 491, 123), (682, 545, 137), (10, 8, 2), (5, 4, 1)],
)
def test_default_split(videos, train, test):
    assert default_split(videos) == VideoSplit(train, test)


def test_frames_are_split_by_video_and_resized_whole(tmp_path):
    prepare_real_traffic(footage(tmp_path / "cam"), tmp_path / "out", size=20)
    train, test = open_prepared(tmp_path / "out/train"), open_prepared(tmp_path / "out/test")
    assert (len(train), len(test)) == (24, 6)
    assert train.masks is None
    for data, first in ((train, 0), (test, 8)):
        for k, image in enumerate(data.images):
            frame = Image.open(io.BytesIO(jpeg(100 * (first + k // 3) + k % 3)))
            expected = frame.resize((20, 20), Image.Resampling.LANCZOS)
            np.testing.assert_array_equal(image, np.asarray(expected))
    assert rows_of(test.folder)[:4] == [
        (0, "f_008", "00000.jpeg"),
        (1, "f_008", "00001.jpeg"),
        (2, "f_008", "00002.jpeg"),
        (3, "f_009", "00000.jpeg"),
    ]
    assert train.info["split_rule"] == (
        "by video number: the last 2 of 10 test, up to 8 before them train, less their last 0 "
        "frames"
    )
    assert (train.info["videos"], test.info["videos"]) == (8, 2)
    assert train.info["resize"].startswith("images: Pillow lanczos")


def test_gap_shortens_the_training_part_alone(tmp_path):
    source = footage(tmp_path / "cam")
    prepare_real_traffic(source, tmp_path / "a", size=8, split=VideoSplit(4, 3))
    prepare_real_traffic(source, tmp_path / "b", size=8, split=VideoSplit(4, 3), gap=5)
    videos = [video for _, video, _ in rows_of(tmp_path / "a/train")]
    assert sorted(set(videos)) == ["f_003", "f_004", "f_005", "f_006"]
    assert rows_of(tmp_path / "b/train") == rows_of(tmp_path / "a/train")[:-5]
    assert open_prepared(tmp_path / "a/test").sha256 == open_prepared(tmp_path / "b/test").sha256


def test_videos_are_ordered_by_number_whatever_comes_before(tmp_path):
    source = footage(tmp_path / "cam", videos=4)
    (source / "f_000").rename(source / "fz_000")
    (source / "notes").mkdir()
    (source / "notes/readme.txt").write_text("not a video")
    prepare_real_traffic(source, tmp_path / "out", size=8)
    videos = [video for _, video, _ in rows_of(tmp_path / "out/train")]
    assert videos[::3] == ["fz_000", "f_001", "f_002"]


def test_archive_gives_the_same_as_the_folder(tmp_path):
    source = footage(tmp_path / "cam")
    with zipfile.ZipFile(tmp_path / "cam.zip", "w") as archive:
        for path in sorted(source.rglob("*.jpeg"), reverse=True):
            archive.write(path, Path("data/cars_real_traffic") / path.relative_to(source))
        archive.writestr("__MACOSX/data/cars_real_traffic/f_000/._00000.jpeg", b"resource fork")
    prepare_real_traffic(source, tmp_path / "a", size=8)
    prepare_real_traffic(tmp_path / "cam.zip", tmp_path / "b", size=8)
    for split in ("train", "test"):
        a, b = open_prepared(tmp_path / "a" / split), open_prepared(tmp_path / "b" / split)
        assert a.sha256 == b.sha256
        assert rows_of(a.folder) == rows_of(b.folder)


def test_wrong_footage_is_refused_and_nothing_remains(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DenfError, match="one folder of videos"):
        prepare_real_traffic(empty, tmp_path / "out")
    two = tmp_path / "two"
    footage(two / "east", 2)
    footage(two / "west", 2)
    with pytest.raises(DenfError, match="got east, west"):
        prepare_real_traffic(two, tmp_path / "out")
    source = footage(tmp_path / "cam", 4)
    too_many = (VideoSplit(3, 4), VideoSplit(3, 2), VideoSplit(4, 1))
    cases = [*((split, 0) for split in too_many), (VideoSplit(0, 1), 0), (None, 9), (None, -1)]
    for split, gap in cases:
        with pytest.raises(DenfError, match="footage"):
            prepare_real_traffic(source, tmp_path / "out", split=split, gap=gap)
        with pytest.raises(DenfError, match="footage"):
            count_frames(source, split, gap)
    assert count_frames(source, VideoSplit(2, 1), 2) == {"train": 4, "test": 3}
    (source / "f_003/00002.jpeg").write_bytes(jpeg(0, mode="L"))
    with pytest.raises(DenfError, match=r"f_003/00002\.jpeg: expected 8-bit RGB, got 8-bit L"):
        prepare_real_traffic(source, tmp_path / "out", size=8)
    (source / "f_003/00002.jpeg").write_bytes(jpeg(0)[:300])
    with pytest.raises(DenfError, match=r"f_003/00002\.jpeg: expected a whole PNG or JPEG"):
        prepare_real_traffic(source, tmp_path / "out", size=8)
    (source / "f_003/00002.jpeg").write_bytes(b"")
    with pytest.raises(DenfError, match=r"f_003/00002\.jpeg: expected a whole PNG or JPEG"):
        prepare_real_traffic(source, tmp_path / "out", size=8)
    (source / "f_003/00002.jpeg").write_bytes(jpeg(0, 24, 18))
    with pytest.raises(DenfError, match=r"f_003/00002\.jpeg: expected 24×16 .*, got 24×18"):
        prepare_real_traffic(source, tmp_path / "out", size=8)
    shutil.rmtree(source / "f_002")
    (source / "f_002").mkdir()
    (source / "f_002/frame.txt").write_text("no frame")
    with pytest.raises(DenfError, match=r"video f_002: expected \*\.jpeg frames"):
        prepare_real_traffic(source, tmp_path / "out", size=8)
    assert not (tmp_path / "out").exists()


def entry(name: str, mode: int = 0) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


@pytest.mark.parametrize(
    ("info", "message"),
    [
        (entry("../f_000/0.jpeg"), "inside the target folder"),
        (entry("a/../../f_000/0.jpeg"), "inside the target folder"),
        (entry("/f_000/0.jpeg"), "inside the target folder"),
        (entry("C:/f_000/0.jpeg"), "inside the target folder"),
        (entry("..\\f_000\\0.jpeg"), "inside the target folder"),
        (entry("f_000/0.jpeg", stat.S_IFLNK | 0o777), "plain files and folders"),
    ],
)
def test_entries_outside_the_folder_and_links_are_refused(tmp_path, info, message):
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("f_001/0.jpeg", jpeg(0))
        archive.writestr(info, b"/etc/passwd")
    with pytest.raises(DenfError, match=message):
        prepare_real_traffic(tmp_path / "evil.zip", tmp_path / "out")


def test_archives_that_expand_without_bound_are_refused(tmp_path):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for k in range(3):
            archive.writestr(f"f_00{k}/0.jpeg", bytes(1 << 20))
    for limits, message in (
        (Limits(entries=2), "at most 2 entries"),
        (Limits(total=3 << 19), "at most 1572864 bytes unpacked, got 3145728"),
        (Limits(member=1000), "entries of at most 1000 bytes"),
        (Limits(ratio_from=1 << 20), "at most 100 times"),
    ):
        with pytest.raises(DenfError, match=message), open_source(path, limits):
            pass
    with open_source(path) as files:  # small: within the default limits
        assert [f.size for f in files] == [1 << 20] * 3


def test_an_entry_larger_than_declared_is_not_expanded(tmp_path):
    path = tmp_path / "lie.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.bin", bytes(1 << 20))
    data = path.read_bytes().replace((1 << 20).to_bytes(4, "little"), (500).to_bytes(4, "little"))
    path.write_bytes(data)
    with open_source(path) as files:
        assert files[0].size == 500
        with pytest.raises(DenfError, match=r"entry 'a\.bin'"):
            files[0].read()


def test_damaged_archives_are_named(tmp_path):
    path = tmp_path / "cam.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("f_000/0.jpeg", jpeg(0))
    data = path.read_bytes()
    path.write_bytes(data.replace(jpeg(0)[100:110], b"damaged..."))
    with open_source(path) as files, pytest.raises(DenfError, match=r"entry 'f_000/0\.jpeg'"):
        files[0].read()
    path.write_bytes(data[:-30])
    with pytest.raises(DenfError, match=r"cam\.zip: expected a folder or a whole zip"):
        prepare_real_traffic(path, tmp_path / "out")


def archive_bytes() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for k in range(3):
            archive.writestr(f"f_{k:03d}/0.jpeg", jpeg(k))
    return buffer.getvalue()


ARCHIVE = archive_bytes()


@given(at=st.integers(0, len(ARCHIVE) - 1), bit=st.integers(0, 7), cut=st.booleans())
@settings(max_examples=80, deadline=None)
def test_a_damaged_archive_gives_its_frames_or_a_named_error(tmp_path_factory, at, bit, cut):
    folder = tmp_path_factory.mktemp("fuzz")
    path = folder / "cam.zip"
    flipped = ARCHIVE[:at] + bytes([ARCHIVE[at] ^ 1 << bit]) + ARCHIVE[at + 1 :]
    path.write_bytes(ARCHIVE[:at] if cut else flipped)
    message = None
    try:
        prepare_real_traffic(path, folder / "out", size=8, split=VideoSplit(2, 1))
    except DenfError as error:
        message = str(error)
    if message is not None:
        assert str(path) in message
        assert list(folder.iterdir()) == [path]
        return
    found = np.concatenate([open_prepared(folder / "out" / s).images for s in ("train", "test")])
    for k, image in enumerate(found):
        frame = Image.open(io.BytesIO(jpeg(k))).resize((8, 8), Image.Resampling.LANCZOS)
        np.testing.assert_array_equal(image, np.asarray(frame))


@pytest.mark.parametrize("workers", [1, 3])
def test_interrupted_footage_continues_and_equals_the_uninterrupted(tmp_path, workers, monkeypatch):
    source, split = footage(tmp_path / "cam"), VideoSplit(8, 2)
    prepare_real_traffic(source, tmp_path / "whole", size=8, split=split)
    monkeypatch.setattr(ingest, "_BATCH", 5)
    add = ingest.SceneWriter.add

    def interrupted(writer, scene):
        if writer.count == 13:
            raise KeyboardInterrupt
        add(writer, scene)

    with monkeypatch.context() as patch:
        patch.setattr(ingest.SceneWriter, "add", interrupted)
        with pytest.raises(KeyboardInterrupt):
            prepare_real_traffic(source, tmp_path / "c", size=8, split=split, workers=workers)
    assert not (tmp_path / "c/train").exists()
    prepare_real_traffic(source, tmp_path / "c", size=8, split=split, workers=workers)
    for part in ("train", "test"):
        for name in ("images.npy", "factors.csv"):
            whole, resumed = (tmp_path / folder / part / name for folder in ("whole", "c"))
            assert whole.read_bytes() == resumed.read_bytes()


@pytest.mark.skipif(not TRAFFIC.exists(), reason="the street footage is not here")
def test_street_footage(tmp_path):
    scene = TRAFFIC / "kraten_street"
    videos = sorted(scene.iterdir())
    split = VideoSplit(2, 1)
    prepare_real_traffic(scene, tmp_path / "out", split=split, gap=25, name="kraten", workers=2)
    train, test = open_prepared(tmp_path / "out/train"), open_prepared(tmp_path / "out/test")
    frames = [p for v in videos[-3:-1] for p in sorted(v.glob("*.jpeg"))][:-25]
    held_out = sorted(videos[-1].glob("*.jpeg"))
    assert (len(train), len(test)) == (len(frames), len(held_out))
    for image, path in ((train.images[-1], frames[-1]), (test.images[0], held_out[0])):
        with Image.open(path) as frame:
            np.testing.assert_array_equal(image, np.asarray(frame))
