"""The data rules, executed: one target fetches and prepares a protocol's published data sets."""

from __future__ import annotations

import gzip
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from denf.data.multi_objects_files import CLEVR6, MULTI_DSPRITES, Sprites
from denf.data.prepared import open_prepared
from denf.data.write_records import scene_record

RANGES = {"train": "0:3", "test": "3:5:1", "val": "5:"}


def snakemake(folder: Path, protocol: dict, *arguments: str, status: int = 0) -> str:
    (folder / "own.yaml").write_text(yaml.safe_dump(protocol))
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *arguments, "--cores", "2", "--configfile", "own.yaml"],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def suite(checkout, tmp_path) -> Path:
    folder = tmp_path / "suite"
    folder.mkdir()
    return checkout(folder)


def test_published_sets_are_fetched_prepared_and_drawn(suite, tmp_path):
    rng = np.random.default_rng(0)
    sprites = MULTI_DSPRITES[Sprites.BINARIZED]
    (tmp_path / "Anna's mirror").mkdir()
    for file, name in ((CLEVR6, "clevr_with_masks_train.tfrecords"), (sprites, "any")):
        records = b"".join(scene_record(file, 2, rng) for _ in range(7))
        (tmp_path / "Anna's mirror" / name).write_bytes(gzip.compress(records, 1))
    for k in range(5):
        (tmp_path / f"my camera/f_{k:03d}").mkdir(parents=True)
        for frame in range(2):
            file = tmp_path / f"my camera/f_{k:03d}/{frame}.jpeg"
            Image.new("RGB", (20, 12), (k, 0, 0)).save(file)
    published = {"source": "clevr6", "size": 16, **RANGES}
    datasets = {
        "clevr6": {
            "id": "c6",
            "url": "http://127.0.0.1:9/clevr_with_masks_train.tfrecords",  # no server
            "mirror": str(tmp_path / "Anna's mirror"),
            **published,
        },
        "traffic": {
            "id": "rt", "source": "real-traffic", "size": 16, "path": str(tmp_path / "my camera"),
        },
        "sprites": {
            "id": "sprites", "path": str(tmp_path / "Anna's mirror/any"), **published,
            "source": "multi-dsprites", "variant": "binarized",
        },
    }  # fmt: skip
    fid = {"samples": 2, "extractor": "random-conv-v1"}
    protocol = {"protocol": "own", "seeds": [0], "datasets": datasets, "fid": fid}
    snakemake(suite, protocol, "data", "results/own/figures/data-c6.png")

    data = suite / "results/data"
    counts = {str(f.relative_to(data)): len(open_prepared(f)) for f in sorted(data.glob("*/*"))}
    expected = {"rt/test": 2, "rt/train": 8}
    for name in ("c6", "sprites"):
        expected |= {f"{name}/train": 3, f"{name}/test": 1, f"{name}/val": 2}
    assert counts == expected
    assert open_prepared(data / "c6/train").info["file"]["name"] == (
        "clevr_with_masks_train.tfrecords"
    )
    assert (suite / "results/own/figures/data-c6.png").stat().st_size > 5000

    downloads = suite / "results/downloads/c6"
    pin = json.loads((downloads / "clevr_with_masks_train.tfrecords.pinned.json").read_text())
    datasets["clevr6"]["sha256"] = pin["sha256"]
    before = (data / "c6/train/images.npy").stat().st_mtime_ns
    assert "rule fetch" in snakemake(suite, protocol, "data")  # checks the file again, and
    assert (data / "c6/train/images.npy").stat().st_mtime_ns == before  # prepares nothing again
    assert "Nothing to be done" in snakemake(suite, protocol, "data")


def test_own_images_are_read_again_after_a_change(suite, tmp_path):
    pictures = tmp_path / "Anna's {own} photos"
    for split in ("train", "test"):
        (pictures / split).mkdir(parents=True)
        for k in range(2):
            Image.new("RGB", (16, 16), (k, 0, 0)).save(pictures / split / f"{k}.png")
    own = {"id": "own", "source": "folder", "size": 16}
    own |= {split: {"images": str(pictures / split)} for split in ("train", "test")}
    fid = {"samples": 2, "extractor": "random-conv-v1"}
    protocol = {"protocol": "mine", "seeds": [0], "datasets": {"clevr6": own}, "fid": fid}
    protocol |= {"only": ["denf"]}
    snakemake(suite, protocol, "data")
    assert len(open_prepared(suite / "results/data/own/train")) == 2
    assert "Nothing to be done" in snakemake(suite, protocol, "data")
    Image.new("RGB", (16, 16), (9, 0, 0)).save(pictures / "train" / "new.png")
    snakemake(suite, protocol, "data")
    assert len(open_prepared(suite / "results/data/own/train")) == 3
    assert len(open_prepared(suite / "results/data/own/test")) == 2


def test_paths_that_a_shell_would_split_reach_the_command_whole(suite):
    name = "Anna's {own} weights.pth"
    (suite / name).touch()
    data = {"id": "t", "source": "render", "kind": "traffic", "size": 16, "train": 4, "test": 4}
    fid = {"samples": 2, "extractor": "inception-v3-compat", "weights": name}
    datasets = {"clevr6": {**data, "id": "c"}, "traffic": data}
    protocol = {"protocol": "own", "seeds": [0], "datasets": datasets, "fid": fid}
    target = "results/runs/t/denf-traffic/seed-0/fid.json"
    planned = snakemake(suite, protocol, target, "--dry-run", "--printshellcmds")
    [command] = re.findall("denf fid .*", planned)
    arguments = shlex.split(command)
    assert arguments[arguments.index("--weights") + 1] == name
    (suite / name).unlink()
    told = snakemake(suite, protocol, target, "--dry-run", status=1)
    assert "own.yaml: fid.weights: expected a file of Inception weights, got no such file" in told


def test_braces_in_the_folder_of_the_suite_are_told(checkout, tmp_path):
    folder = tmp_path / "my {suite}"
    folder.mkdir()
    told = snakemake(checkout(folder), {}, "--dry-run", status=1)
    assert f"folder {folder}: expected a path without braces. Rename it" in told
