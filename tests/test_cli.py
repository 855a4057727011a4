"""The commands: help that reads, pure JSON on standard output, short messages for mistakes."""

from __future__ import annotations

import json
import os
import re
import resource
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from typer.main import get_command

from denf import cli
from denf.data.prepared import open_prepared

ROOT = Path(__file__).parents[1]
SIZE = 32
EXPERIMENT = {
    "method": "denf",
    "dataset": "own",
    "settings": {"architecture": {"features": 2, "couplings": 1}},
    "training": {"steps": 3, "batch_size": 2, "log_every": 1},
}


@dataclass(frozen=True)
class Answer:
    status: int
    out: str
    err: str

    @property
    def json(self):
        """Standard output, which must be one JSON value and nothing else."""
        assert self.status == 0, self.err
        return json.loads(self.out)


@pytest.fixture
def denf(monkeypatch, capfd):
    """Run a command as the shell would, in this process: importing torch once is enough."""

    def run(*arguments: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["denf", *map(str, arguments)])
        capfd.readouterr()
        try:
            cli.main()
            status: object = 0
        except SystemExit as stop:
            status = stop.code
        printed = capfd.readouterr()
        assert "Traceback" not in printed.err
        return Answer(int(status or 0), printed.out, printed.err)

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield run
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory, write_scenes) -> Path:
    """A user's folders `images` and `masks`."""
    folder = tmp_path_factory.mktemp("pictures")
    data = write_scenes(folder / "prepared", count=8, size=SIZE)
    for name, arrays in (("images", data.images), ("masks", data.masks)):
        (folder / name).mkdir()
        for k, array in enumerate(arrays):
            Image.fromarray(np.array(array)).save(folder / name / f"{k:02d}.png")
    return folder


@pytest.fixture(scope="module")
def experiment(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("experiments") / "own.yaml"
    path.write_text(yaml.safe_dump(EXPERIMENT))
    return path


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.array(picture)


def commands() -> Iterator[object]:
    """`denf` and all commands under it, each as its words and typer's object."""
    queue: list[tuple[list[str], object]] = [([], get_command(cli.app))]
    while queue:
        path, command = queue.pop()
        yield pytest.param(path, command, id=" ".join(["denf", *path]))
        queue += [([*path, name], c) for name, c in getattr(command, "commands", {}).items()]


@pytest.mark.parametrize(("path", "command"), commands())
def test_help_reads_as_documentation(denf, path, command):
    answer = denf(*path, "--help")
    assert answer.status == 0
    assert "Usage: denf" in answer.out
    first_line = command.help.strip().splitlines()[0]
    assert first_line in " ".join(answer.out.split())
    for parameter in command.params:
        assert parameter.help, f"{path} {parameter.name} has no help"
        assert parameter.name == "help" or parameter.opts[0] in answer.out or parameter.metavar


def test_help_is_quick_and_lists_the_commands():
    """In a process of its own: the command line starts without torch."""
    code = (
        "import sys; sys.argv = ['denf', '--help']\n"
        "from denf.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([m for m in ('torch', 'numpy', 'pandas', 'yaml') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *text, imported = done.stdout.strip().splitlines()
    assert imported == "[]"
    listed = {line.split()[0] for line in text if line.startswith("  ")}
    assert listed >= {
        "data", "experiments", "train", "evaluate", "fid", "sample", "decompose", "tables",
        "figures", "bench",
    }  # fmt: skip


def test_from_pictures_to_samples(denf, pictures, experiment, tmp_path):
    chain = tmp_path
    data, run = chain / "data", chain / "runs" / "own"
    made = denf(
        "data", "folder", "--images", pictures / "images", "--masks", pictures / "masks",
        "--out", data, "--name", "squares", "--licence", "CC0", "--split", "test",
    )  # fmt: skip
    assert (made.status, made.out) == (0, "")
    info = open_prepared(data).info
    assert [info[k] for k in ("name", "licence", "split")] == ["squares", "CC0", "test"]

    record = denf("train", experiment, "--data", data, "--out", run, "--seed", 4).json
    assert (record["status"], record["seed"], record["steps"]) == ("finished", 4, 3)
    words = ["denf", "train", experiment, "--data", data, "--out", run, "--seed", 4]
    assert record["command"] == shlex.join(map(str, words))
    assert record == json.loads((run / "run.json").read_text())

    above = denf("evaluate", run.parent, "--data", data, "--out", chain / "none.json")
    assert above.status == 2
    assert f"Choose a run in it: {run}." in above.err

    metrics = denf(
        "evaluate", run, "--data", data, "--out", chain / "new/metrics.json", "--scores",
        chain / "made/scores.csv", "--panels", chain / "also/panels.npz", "--panel-count", 2,
    ).json  # fmt: skip
    assert metrics == json.loads((chain / "new/metrics.json").read_text())
    for name in ("ari_fg", "ari_fg_strict", "ari", "mse", "bits_per_dim"):
        assert set(metrics[name]) == {"mean", "std", "n"}
        assert metrics[name]["n"] == 8
    assert metrics["run"] == str(run)
    assert metrics["data"]["licence"] == "CC0"
    assert len((chain / "made/scores.csv").read_text().splitlines()) == 1 + 8
    with np.load(chain / "also/panels.npz") as panels:
        assert len(panels["image"]) == 2

    shown = denf("show", run)
    assert shown.status == 0
    assert "3 steps of 2 images, seed 4" in shown.out
    assert "architecture.couplings" in shown.out

    again = denf("train", experiment, "--data", data, "--out", run, "--seed", 4)
    assert again.err.startswith(f"denf: {run} holds a finished run: the training starts over")

    distance = denf(
        "fid", run, "--data", data, "--out", chain / "fid.json", "--source", data, "--samples", 8,
        "--extractor", "random-conv-v1",
    ).json  # fmt: skip
    assert distance == json.loads((chain / "fid.json").read_text())
    assert (distance["extractor"], distance["mode"]) == ("random-conv-v1", "objects-subset")
    assert (distance["samples"], distance["reference"]) == (8, 8)
    assert distance["fid"] >= -1e-3
    assert {"kid", "precision", "recall"} <= distance.keys()
    assert [point["samples"] for point in distance["fid_by_samples"]] == [2, 4, 8]
    assert distance["floor"].keys() == {"samples", "fid"}
    assert distance["recomposed_from"]["name"] == "squares"

    sampled = denf("sample", run, "--count", 3, "--out", chain / "samples", "--seed", 1).json
    assert sampled == {"count": 3, "mode": "prior", "out": str(chain / "samples")}
    assert {p.name for p in (chain / "samples").iterdir()} == {f"00000{k}.png" for k in range(3)}
    assert {pixels(p).shape for p in (chain / "samples").iterdir()} == {(SIZE, SIZE, 3)}

    wide = chain / "my picture.jpg"
    Image.fromarray(np.full((40, 60, 3), 100, np.uint8)).save(wide)
    square = pictures / "images" / "00.png"
    found = denf("decompose", run, wide, square, "--out", chain / "decomposed").json
    assert [entry["picture"] for entry in found] == [str(wide), str(square)]
    for entry in found:
        folder = Path(entry["folder"])
        assert json.loads((folder / "objects.json").read_text()) == entry
        files = {one[key] for one in entry["objects"] for key in ("file", "cut_out")}
        plain = {"input.png", "labels.png", "background.png"}
        names = {p.name for p in folder.iterdir()}
        assert names == plain | files | {"overlay.png", "objects.json"}
        for name in plain | files:
            assert pixels(folder / name).shape[:2] == (SIZE, SIZE)
        assert pixels(folder / "overlay.png").shape == (512, 512, 3)
        labels = pixels(folder / "labels.png")
        assert labels.ndim == 2, "a palette image, whose values are the labels"
        assert {one["number"] for one in entry["objects"]} == set(np.unique(labels)) - {0}
    np.testing.assert_array_equal(pixels(chain / "decomposed/00/input.png"), pixels(square))

    twice = denf("decompose", run, square, pictures / "masks/00.png", "--out", chain / "refused")
    assert (twice.status, twice.out) == (2, "")
    assert f"a folder of its own, got {square} and {pictures}/masks/00.png. Rename" in twice.err
    assert not (chain / "refused").exists()
    some = denf("decompose", run, chain / "none.png", square, "--out", chain / "some")
    assert some.status == 1
    assert [entry["picture"] for entry in json.loads(some.out)] == [str(square)]
    assert some.err.startswith("denf: 1 of 2 could not be decomposed:\n  picture ")
    assert f"picture {chain}/none.png: expected a readable file" in some.err
    clip = denf("decompose", run, pictures / "images", "--clip", "--out", chain / "clip").json
    assert [len(entry["frames"]) for entry in clip] == [8]
    assert (chain / "clip/images/overlay.webp").exists()


def test_footage_with_a_split_of_ones_own(denf, tmp_path):
    frame = Image.fromarray(np.full((20, 30, 3), 90, np.uint8))
    for video in range(4):
        folder = tmp_path / "camera" / f"f{video:03d}"
        folder.mkdir(parents=True)
        for number in range(video + 1):
            frame.save(folder / f"{number}.jpeg")
    specification = tmp_path / "ours.yaml"
    specification.write_text(
        f"{{id: ours, source: real-traffic, size: 16, path: {tmp_path / 'camera'}, "
        "train_videos: 2, test_videos: 1, name: ours, licence: CC0}"
    )
    answer = denf("data", "prepare", specification, "--out", tmp_path / "d")
    assert (answer.status, answer.out) == (0, "")
    train, test = (open_prepared(tmp_path / "d" / split) for split in ("train", "test"))
    assert (len(train), len(test), train.size) == (2 + 3, 4, 16)
    assert (train.info["name"], train.info["licence"]) == ("ours", "CC0")


def test_clevr6_with_splits_of_ones_own(denf, tmp_path):
    sample = ROOT.parent / "shared/data/clevr_with_masks_sample.tfrecords"
    if not sample.exists():
        pytest.skip("the sample of the official file is not here")
    specification = tmp_path / "c6.yaml"
    specification.write_text(
        "{id: c6, source: clevr6, size: 16, url: 'https://example.org/f', train: '0:2', "
        "test: '2:4:1', val: none}"
    )
    answer = denf("data", "prepare", specification, "--file", sample, "--out", tmp_path / "d")
    assert (answer.status, answer.out) == (0, ""), answer.err
    assert sorted(p.name for p in (tmp_path / "d").iterdir()) == ["test", "train"]
    assert open_prepared(tmp_path / "d/train").size == 16


def test_experiments_are_listed_as_json(denf, tmp_path):
    folder, protocol = ROOT / "config/experiments", ROOT / "config/config.yaml"
    plan = tmp_path / "plan"
    listing = denf("experiments", folder, "--protocol", protocol, "--plan", plan).json
    names = [e["name"] for e in listing["experiments"]]
    skipped = {"denf-union", "denf-background"}
    assert sorted(names) == sorted({path.stem for path in folder.glob("*.yaml")} - skipped)
    assert set(listing["code"]["train"]) == set(names)
    assert all(Path(e["file"]).is_file() for e in listing["experiments"])
    assert denf("experiments", folder, "--protocol", protocol, "--plan", plan).json == listing


TRAIN = ["train", "{experiment}", "--data", "{data}", "--out", "{tmp}/r"]
EVALUATE = ["evaluate", "{tmp}/r", "--data", "{data}", "--out", "{tmp}/m.json"]
FID = ["fid", "{tmp}/r", "--data", "{data}", "--out", "{tmp}/f.json"]
REFERENCE = str(ROOT / "results/reference/denf-clevr6")  # trained on 128×128 pixels
MISTAKES = {
    "no such experiment": (
        ["train", "{tmp}/none.yaml", "--data", "{data}", "--out", "{tmp}/r"],
        "experiment file {tmp}/none.yaml: expected a readable YAML file",
    ),
    "no such data": (
        ["train", "{experiment}", "--data", "{tmp}/none", "--out", "{tmp}/r"],
        "{tmp}/none/dataset.json: expected the description of prepared data",
    ),
    "unknown key": (
        [*TRAIN, "--set", "sed=1"],
        "--set sed: expected only the keys name, method",
    ),
    "setting without its section": (
        [*TRAIN, "--set", "weights.density=0.1"],
        "--set weights.density: expected weights: a text, got ",
    ),
    "unknown setting": (
        [*TRAIN, "--set", "settings.rate=1"],
        "--set settings.rate: settings: expected only the keys ",
    ),
    "no such protocol": (
        [*TRAIN, "--protocol", "{tmp}/p"],
        "protocol {tmp}/p: expected a readable YAML file",
    ),
    "no protocol": (
        ["experiments", "{tmp}", "--protocol", "{experiment}"],
        "protocol {experiment}: expected a mapping with the key `protocol`",
    ),
    "seed too large": (
        [*TRAIN, "--seed", "99999999999999999999"],
        "--seed: expected a number from 0 to 4294967295, got 99999999999999999999. ",
    ),
    "negative seed": (
        [*TRAIN, "--seed", "-1"],
        "--seed: expected a number from 0 to 4294967295, got -1. ",
    ),
    "run in prepared data": (
        ["train", "{experiment}", "--data", "{data}", "--out", "{data}"],
        "run folder {data}: expected a new folder, or that of a run, got the prepared data in ",
    ),
    "run without a name": (
        ["train", "{experiment}", "--data", "{data}", "--out", ""],
        "run folder .: expected a new folder, or that of a run, got '.', which has no name",
    ),
    "validation of the training scenes": (
        [*TRAIN, "--validation", "{data}"],
        "validation scenes {data}: expected other scenes than those of the training, got the same",
    ),
    "scores over weights": (
        ["evaluate", "{tmp}/r", "--data", "{data}", "--out", "{tmp}/r/model.safetensors"],
        "--out {tmp}/r/model.safetensors: expected a file of its own, got a place in use: {tmp}/r/",
    ),
    "scores over scores": (
        [*EVALUATE, "--scores", "{tmp}/m.json"],
        "--scores {tmp}/m.json: expected a file of its own, got that of --out",
    ),
    "pictures over data": (
        [*EVALUATE, "--panels", "{data}/images.npy"],
        "--panels {data}/images.npy: expected a file of its own, got a place in use: {data}",
    ),
    "distance over scores": (
        ["fid", "{tmp}/r", "--data", "{data}", "--out", "{tmp}/r/metrics.json"],
        "--out {tmp}/r/metrics.json: expected a file of its own, got a place in use: {tmp}/r/met",
    ),
    "distance over weights": (
        [*FID, "--weights", "{tmp}/f.json"],
        "--out {tmp}/f.json: expected a file of its own, got a place in use: {tmp}/f.json",
    ),
    "weights of an extractor without weights": (
        [*FID, "--extractor", "random-conv-v1", "--weights", "{tmp}/w"],
        "--weights {tmp}/w: expected none with --extractor random-conv-v1, got a file. Leave --we",
    ),
    "samples in data": (
        ["sample", "{tmp}/r", "--count", "1", "--out", "{data}/s", "--source", "{data}"],
        "--out {data}/s: expected a file of its own, got a place in use: {data}",
    ),
    "scenes of another size": (
        ["evaluate", REFERENCE, "--data", "{data}", "--out", "{tmp}/m.json"],
        f"scenes {{data}}: expected 128×128 pixels, as run {REFERENCE} was trained on, got 32×32. "
        "Prepare them with that --size, or give --other-size.",
    ),
    "source of another size": (
        ["sample", REFERENCE, "--count", "1", "--out", "{tmp}/s", "--source", "{data}"],
        f"scenes {{data}}: expected 128×128 pixels, as run {REFERENCE} was trained on, got 32×32",
    ),
    "no such run": (
        ["evaluate", "{tmp}/none", "--data", "{data}", "--out", "{tmp}/m.json"],
        "run folder {tmp}/none: expected experiment.yaml and model.safetensors in it, got "
        "no such folder",
    ),
    "no run to show": (
        ["show", "{tmp}"],
        "run folder {tmp}: expected experiment.yaml in it, got none",
    ),
    "output there": (
        ["sample", "{tmp}/none", "--count", "1", "--out", "{tmp}"],
        "output folder {tmp}: expected a path that does not exist",
    ),
    "no such key of a protocol": (
        ["data", "prepare", "clevr", "--protocol", f"{ROOT}/config/ci.yaml", "--out", "{tmp}/d"],
        f"{ROOT}/config/ci.yaml: datasets: expected one of clevr6, traffic, got 'clevr'",
    ),
    "no such specification": (
        ["data", "prepare", "{tmp}/none.yaml", "--out", "{tmp}/d"],
        "specification {tmp}/none.yaml: expected a readable YAML file",
    ),
    "no such scenes": (
        ["data", "render", "cats", "--count", "1", "--out", "{tmp}/d"],
        "scene kind: expected ['clevr6', 'traffic'], got cats",
    ),
    "no pictures": (
        ["data", "folder", "--images", "{tmp}", "--out", "{tmp}/d"],
        "{tmp}: expected PNG or JPEG pictures, got none",
    ),
    "listing": (
        ["tables", "--runs", "{tmp}", "--listing", "{tmp}/none.json"],
        "{tmp}/none.json: expected a list",
    ),
    "size": (
        ["data", "render", "traffic", "--count", "1", "--size", "8", "--out", "{tmp}/d"],
        "size: expected 16 to 512 pixels, got 8",
    ),
    "more than the disk holds": (
        [
            *("data", "render", "traffic", "--size", "512", "--count", "1000000000000"),
            *("--out", "{tmp}/d"),
        ],
        "output folder {tmp}/d: expected 1,048,576,000.0 GB of free disk space, got ",
    ),
    "pictures of an absurd size": (
        ["data", "folder", "--images", "{data}/../images", "--size", "4097", "--out", "{tmp}/d"],
        "size: expected 1 to 4096 pixels, got 4097",
    ),
    "no such document": (["document", "{tmp}/none.md"], "{tmp}/none.md: expected text in UTF-8"),
    "an odd size": (["bench", "step", "--size", "5"], "--size: expected an even number, since"),
    "a picture as output folder": (
        ["decompose", "{tmp}", "{tmp}/a.png", "--out", "{experiment}"],
        "output folder {experiment}: expected a path where a folder can be written, got a file",
    ),
    "a folder as output file": (
        ["evaluate", "{tmp}", "--data", "{data}", "--out", "{tmp}"],
        "output file {tmp}: expected a path where a file can be written, got a folder",
    ),
    "a file above the output": (
        ["page", "--runs", "{tmp}", "--out", "{experiment}/index.html"],
        "output file {experiment}/index.html: expected a path where a file can be written, got a ",
    ),
    "no such runs to tabulate": (
        ["tables", "--runs", "{tmp}/none"],
        "folder {tmp}/none: expected an existing folder, got no such folder",
    ),
    "no such references": (
        ["page", "--runs", "{tmp}", "--references", "{experiment}"],
        "folder {experiment}: expected an existing folder, got a file",
    ),
    "no such references of tables": (
        ["tables", "--runs", "{tmp}", "--references", "{tmp}/none"],
        "folder {tmp}/none: expected an existing folder, got no such folder",
    ),
    "no runs in it": (
        ["figures", "--runs", "{data}", "--out", "{tmp}/figures"],
        "folder of runs {data}: expected <data set>/<experiment>/seed-<k> in it, got none",
    ),
    "no number": (
        [*TRAIN, "--seed", "one"],
        "train, --seed: expected a whole number, got 'one'. See `denf train --help`.",
    ),
    "too small": (
        ["bench", "--threads", "0"],
        "bench, --threads: expected at least 1, got '0'. See `denf bench --help`.",
    ),
    "too large": (
        ["bench", "--threads", "100000"],
        "bench, --threads: expected at most 1024, got '100000'. See `denf bench --help`.",
    ),
    "more threads than any machine has": (
        [*TRAIN, "--set", "training.threads=100000"],
        "--set training.threads: expected training.threads: 1024 or less, got 100000",
    ),
    "no such choice": (
        ["bench", "speed"],
        "bench, case: expected one of 'all', 'union', ",
    ),
    "nothing given": (["train"], "train: expected a value for experiment, got none. See `denf tr"),
    "no such command": (
        ["fly"],
        "command line: expected commands and arguments that exist, got no such command 'fly'. See",
    ),
    "one argument too many": (
        ["show", "a", "b"],
        "show: expected commands and arguments that exist, got unexpected extra argument(s) (b)",
    ),
    "no such option": (
        ["data", "render", "--coun", "3"],
        "data render: expected one of its options, got --coun. Did you mean --count",
    ),
    "an option without its value": (
        ["data", "render", "--count"],
        "command line: expected a value for --count, got none. See `denf --help`.",
    ),
}


@pytest.mark.parametrize(("arguments", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_gives_one_message_and_status_2(
    denf, pictures, experiment, tmp_path, arguments, message
):
    places = {"tmp": tmp_path, "experiment": experiment, "data": pictures / "prepared"}
    before = sorted(tmp_path.iterdir())
    answer = denf(*(argument.format(**places) for argument in arguments))
    assert (answer.status, answer.out) == (2, "")
    assert answer.err.startswith(f"denf: {message.format(**places)}")
    assert len(answer.err.splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(("options", "shown"), [([], True), (["--references", "empty"], False)])
def test_tables_show_the_reference_runs_of_a_folder(denf, tmp_path, options, shown):
    for name in ("runs", "empty"):
        (tmp_path / name).mkdir()
    named = [tmp_path / word if word == "empty" else word for word in options]
    made = denf("tables", "--runs", tmp_path / "runs", "--out", tmp_path / "tables", *named)
    assert made.status == 0
    assert ("| Reference run |" in (tmp_path / "tables/table1.md").read_text()) is shown


def test_a_group_without_a_command_prints_its_help(denf):
    answer = denf("data")
    assert (answer.status, answer.out) == (2, "")
    assert answer.err.startswith("Usage: denf data")


def test_files_beside_the_pictures_are_counted(denf, pictures, tmp_path):
    for name in ("a.heic", "b.heic", "inner/c.png"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).touch()
    (tmp_path / "photos/0.png").write_bytes((pictures / "images/00.png").read_bytes())
    run = ROOT / "results/reference/denf-traffic"
    answer = denf("decompose", run, tmp_path / "photos", "--out", tmp_path / "out")
    assert len(answer.json) == 1
    said = f"denf: {tmp_path}/photos: 3 of other kinds are left out: 2 .heic, 1 folder\n"
    assert answer.err == said


def test_weights_of_the_extractor_are_looked_for_before_samples_are_made(
    denf, pictures, tmp_path, monkeypatch
):
    monkeypatch.setattr("denf.harness.generate.generate", lambda *_, **__: pytest.fail("samples"))
    data, out, weights = pictures / "prepared", tmp_path / "f.json", tmp_path / "w.pth"
    options = ["--data", data, "--out", out, "--weights", weights, "--other-size"]
    answer = denf("fid", REFERENCE, *options)
    assert answer.status == 2
    assert f"got no file {weights}. " in answer.err
    weights.write_bytes(b"other weights")
    answer = denf("fid", REFERENCE, *options)
    assert answer.status == 2
    assert answer.err.startswith(f"denf: Inception weights {weights}: expected SHA-256 ")


def test_scores_at_another_size_say_so(denf, pictures, tmp_path):
    out = tmp_path / "m.json"
    options = ["--data", pictures / "prepared", "--out", out, "--other-size"]
    metrics = denf("evaluate", REFERENCE, *options).json
    assert (metrics["data"]["size"], metrics["trained_size"]) == (SIZE, 128)


def test_a_full_disk_gives_a_message_and_loses_nothing(denf, pictures, tmp_path):
    arguments = ["data", "folder", "--images", pictures / "images", "--out", tmp_path / "d"]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))  # a write beyond fails
    try:
        answer = denf(*arguments)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (answer.status, answer.out) == (1, "")
    assert re.fullmatch(r"denf: .*/d\.partial cannot be written: File too large\. .*\n", answer.err)
    assert [p.name for p in tmp_path.iterdir()] == ["d.partial"]
    assert denf(*arguments).status == 0
    np.testing.assert_array_equal(
        open_prepared(tmp_path / "d").images, open_prepared(pictures / "prepared").images
    )


def test_divergence_gives_status_3_and_a_record(denf, pictures, experiment, tmp_path):
    run = tmp_path / "run"
    arguments = ["train", experiment, "--data", pictures / "prepared", "--out", run]
    wild = [*arguments, "--set", "settings.learning_rate=1e30"]
    answer = denf(*wild)
    assert (answer.status, answer.out) == (3, "")
    assert answer.err.splitlines()[-1].startswith("denf: step ")
    kept = denf(*wild, "--keep-diverged")
    assert kept.json["status"] == "diverged"
    over, *told = kept.err.splitlines()
    assert over == f"denf: {run} holds a diverged run: the training starts over"
    assert told[0].startswith("step 1 of 3: loss ")  # without a terminal, a line per log
    assert told[1].startswith("denf: step ")


def test_a_stopped_training_gives_status_130_and_continues(denf, pictures, experiment, tmp_path):
    run = tmp_path / "run"
    arguments = [
        "train", experiment, "--data", pictures / "prepared", "--out", run, "--resume", "--set",
    ]  # fmt: skip

    def stop_when_it_trains() -> None:
        while getattr(signal.getsignal(signal.SIGTERM), "__module__", "") != "denf.harness.process":
            time.sleep(0.005)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=stop_when_it_trains, daemon=True)
    thread.start()
    answer = denf(*arguments, "training.steps=100")
    thread.join()
    assert (answer.status, answer.out) == (130, "")
    assert "stopped at step" in answer.err
    assert answer.err.strip().endswith("Repeat the command with --resume to continue.")
    assert not run.exists() or not (run / "run.json").exists()
    [state] = (tmp_path / ".state/run").rglob("*.pt")
    assert int(state.name.split(".")[0].removeprefix("step-")) < 100
