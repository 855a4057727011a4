"""Clips: frames in order, numbers that stay with their objects, one animated overlay."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

import denf
from denf.data.prepared import open_prepared
from denf.data.scenes.render import render
from denf.errors import DenfError
from denf.overlay import SIDE
from denf.pictures import clip
from denf.pictures.batch import decompose_sources
from denf.pictures.clip import track
from denf.pictures.run import TrainedRun
from denf.pictures.sources import Source, find_sources

RUN = Path(__file__).parents[1] / "results/reference/denf-traffic"


def box(x: float, y: float = 0.0) -> list[float]:
    return [x, y, x + 10, y + 10]


def tracked(*frames: list[list[float]]) -> list[list[int]]:
    return track([np.array(boxes, float).reshape(-1, 4) for boxes in frames])


def test_an_object_keeps_its_number_in_whatever_order_boxes_come():
    assert tracked([box(0), box(50)], [box(52), box(2)], [box(4), box(54)]) == [
        [1, 2], [2, 1], [1, 2],
    ]  # fmt: skip


def test_a_new_object_gets_a_new_number_and_a_hidden_one_is_known_again():
    assert tracked([box(0)], [box(1), box(30)], [box(31)], [box(2), box(31)]) == [
        [1], [1, 2], [2], [1, 2],
    ]  # fmt: skip
    empty: list[list[float]] = []
    assert tracked([box(0)], *[empty] * clip._PATIENCE, [box(0)])[-1] == [2]
    assert tracked(empty, empty) == [[], []]


@pytest.fixture(scope="module")
def run() -> TrainedRun:
    return denf.load(RUN)


@pytest.fixture(scope="module")
def frames(run, tmp_path_factory) -> Path:
    """A folder of three frames: one scene, another one, the first again."""
    data = tmp_path_factory.mktemp("scenes") / "test"
    render("traffic", count=2, size=run.size, seed=7, out=data, split="test")
    folder = tmp_path_factory.mktemp("street")
    for k, scene in enumerate((0, 1, 0)):
        Image.fromarray(np.array(open_prepared(data).images[scene])).save(folder / f"{k}.png")
    return folder


def test_a_folder_as_a_clip(run, frames, tmp_path):
    sources = find_sources([frames], clips=True)
    (entry,), errors = decompose_sources(run, sources, tmp_path)
    folder = Path(entry["folder"])
    assert errors == []
    assert {path.name for path in folder.iterdir()} == {"overlay.webp", "objects.json"}
    assert json.loads((folder / "objects.json").read_text()) == entry
    assert [frame["milliseconds"] for frame in entry["frames"]] == [100] * 3
    first, second, third = (frame["objects"] for frame in entry["frames"])
    assert [one["number"] for one in first] == list(range(1, len(first) + 1))
    assert len({one["number"] for one in second}) == len(second)
    assert [one["area"] for one in third] == [one["area"] for one in first]
    with Image.open(folder / entry["overlay"]) as animation:
        assert (animation.n_frames, animation.size) == (3, (SIDE, SIDE))
        still = run.decompose(frames / "0.png").overlay()
        animation.seek(0)
        difference = np.asarray(animation.convert("RGB")).astype(int) - np.asarray(still)
    assert np.abs(difference).mean() < 6  # lossy, but the same picture


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_animated_pictures_are_clips(run, frames, tmp_path, suffix):
    pictures = [Image.open(frames / f"{k}.png") for k in (0, 1)]
    path = tmp_path / f"a.{suffix}"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=40)
    (entry,), errors = decompose_sources(run, find_sources([path]), tmp_path / "out")
    assert errors == []
    assert entry["clip"] == str(path)
    assert [frame["milliseconds"] for frame in entry["frames"]] == [40, 40]


def test_a_clip_that_cannot_be_drawn_is_named(run, frames, tmp_path, monkeypatch):
    street = tmp_path / "street"
    street.mkdir()
    Image.new("RGB", (64, 64)).save(street / "0.png")
    Image.new("RGB", (80, 64)).save(street / "1.png")
    sources = find_sources([street], clips=True)
    entries, (error,) = decompose_sources(run, sources, tmp_path / "out")
    assert entries == []
    assert "frames of 64 × 64 pixels, got frame 1 of 80 × 64" in str(error)
    monkeypatch.setattr(clip, "MOST_FRAMES", 2)
    _, (error,) = decompose_sources(run, find_sources([frames], clips=True), tmp_path / "out")
    assert "expected at most 2 frames" in str(error)
    assert not (tmp_path / "out").exists()


def write_video(path: Path, frames: Path, rate: int = 8) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.bit_rate = 8_000_000
        images = [Image.open(file).convert("RGB") for file in sorted(frames.iterdir())]
        stream.width, stream.height, stream.pix_fmt = *images[0].size, "yuv420p"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_image(image)))
        container.mux(stream.encode(None))
    return path


def test_a_video_is_a_clip(run, frames, tmp_path):
    video = write_video(tmp_path / "street.mp4", frames)
    decoded = list(clip.read_frames(Source(video, Path("street"))))
    assert [milliseconds for _, milliseconds in decoded] == [125] * 3
    first = np.asarray(Image.open(frames / "0.png"), dtype=float)
    assert np.abs(decoded[0][0] - first).mean() < 6  # of 255: the codec loses some
    (entry,), errors = decompose_sources(run, find_sources([video]), tmp_path / "out")
    assert errors == []
    assert [frame["milliseconds"] for frame in entry["frames"]] == [125] * 3
    with Image.open(Path(entry["folder"]) / entry["overlay"]) as animation:
        assert animation.n_frames == 3


def test_videos_of_a_folder_stand_beside_its_pictures(frames, tmp_path):
    (tmp_path / "0.png").write_bytes((frames / "0.png").read_bytes())
    write_video(tmp_path / "street.mp4", frames)
    assert [s.path.name for s in find_sources([tmp_path])] == ["0.png", "street.mp4"]
    (only,) = find_sources([tmp_path], clips=True)
    assert only.frames == (tmp_path / "0.png",)


def test_videos_that_cannot_be_read_are_named(frames, tmp_path, monkeypatch):
    def refusal(path: Path) -> str:
        with pytest.raises(DenfError) as refused:
            list(clip.read_frames(Source(path, Path("street"))))
        return str(refused.value)

    assert "no such file" in refusal(tmp_path / "none.mp4")
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    assert "broken.mp4" in refusal(broken)
    whole = write_video(tmp_path / "whole.mp4", frames)
    monkeypatch.setitem(sys.modules, "av", None)  # as where PyAV is not installed
    assert "uv sync --group video" in refusal(whole)
