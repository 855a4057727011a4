"""Whatever a file holds: every command answers a broken one with one line that names it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from denf.border import PARENT, border
from denf.cli import app
from denf.errors import DenfError

DEEP = 5_000
BROKEN: dict[str, bytes] = {
    "empty": b"",
    "not UTF-8": b"\xff\xfe\x00{\x80: 1}",
    "deep JSON": b"[" * DEEP,
    "deep YAML": b"{a: " * DEEP,
    "a list": b"[1, 2]",
    "a string": b'"text"',
    "zeros": b"\0" * 4096,
    "npy header": b"\x93NUMPY\x01\x00\x76\x00{'descr': '|O', 'shape': (1" + b" " * 90 + b"\n",
    "npy shape": b"\x93NUMPY\x01\x00\x76\x00"
    + b"{'descr': '|u1', 'fortran_order': False, 'shape': (10000000000000, 9, 9, 3), }".ljust(117)
    + b"\n",
    "safetensors header": (1 << 62).to_bytes(8, "little") + b"{}",
    "safetensors JSON": (8).to_bytes(8, "little") + b'{"a": 1}',
    "zip": b"PK\5\6" + b"\xff" * 18,
    "gzip": b"\x1f\x8b\x08\0\0\0\0\0\0\0\xff\xff",
    "png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\xff\xff\xff\xff\xff\xff\xff\xff\x08\2\0\0\0\0\0\0\0",
}


@pytest.fixture
def answer(capsys) -> Callable[..., tuple[int, str]]:
    """Exit status and error of a command, whose errors must be one line."""

    def call(*arguments: object) -> tuple[int, str]:
        status = 0
        try:
            with border():
                app([str(a) for a in arguments], prog_name="denf")
        except SystemExit as error:
            status = int(error.code or 0)
        said = capsys.readouterr().err
        lines = [line for line in said.splitlines() if "it/s" not in line and "scene" not in line]
        return status, "\n".join(line for line in lines if line.startswith("denf: ")) or said

    return call


@pytest.fixture(scope="module")
def world(tmp_path_factory, write_scenes) -> Path:
    """One of every file that commands read, all whole."""
    from denf.harness.checkpoint import build, save_weights, write_experiment
    from denf.harness.experiment import load_experiment

    root = tmp_path_factory.mktemp("world")
    write_scenes(root / "data", count=4)
    (root / "experiments").mkdir()
    values = {
        "method": "denf",
        "dataset": "squares",
        "settings": {"architecture": {"features": 2, "couplings": 1}},
        "training": {"steps": 1, "batch_size": 2},
    }
    (root / "experiments/denf.yaml").write_text(yaml.safe_dump(values))
    (root / "protocol.yaml").write_text("protocol: tiny\n")
    (root / "listing.json").write_text('[{"name": "denf", "data": "squares"}]')
    run = root / "runs/squares/denf/seed-0"
    run.mkdir(parents=True)
    experiment = load_experiment(root / "experiments/denf.yaml")
    method = build(experiment, seed=0)
    save_weights(method, experiment, run / "model.safetensors")
    write_experiment(experiment, run / "experiment.yaml")
    (run / "run.json").write_text('{"status": "finished"}')
    (run / "metrics.json").write_text('{"ari_fg": {"mean": 0.5}}')
    (run / "fid.json").write_text('{"fid": 3.0}')
    (run / "scores.csv").write_text("scene,ari_fg\n0,0.4\n1,0.6\n")
    (run / "history.csv").write_text("step,loss\n1,2.0\n2,1.5\n")
    np.savez(run / "panels.npz", image=np.zeros((1, 8, 8, 3), np.uint8))
    for name, source in (("tetrominoes", "tetrominoes"), ("traffic", "real-traffic")):
        (root / f"{name}.yaml").write_text(f"{{id: d, source: {source}, size: 16, path: none}}")
    for name in ("images", "masks"):
        (root / name).mkdir()
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(root / "images/0.png")
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(root / "masks/0.png")
    return root


RUN = "runs/squares/denf/seed-0"
TRAIN = ("train", "experiments/denf.yaml", "--data", "data", "--out", "new/run")
EVALUATE = ("evaluate", RUN, "--data", "data", "--out", "new/metrics.json")
TABLES = ("tables", "--runs", "runs", "--out", "new", "--literature", "literature.yaml")
FIGURES = ("figures", "--runs", "runs", "--out", "new")
FOLDER = ("data", "folder", "--images", "images", "--masks", "masks", "--out", "new/d")
PREPARE = ("data", "prepare", "--out", "new")
READS = [
    ("experiments/denf.yaml", TRAIN),
    ("experiments/denf.yaml", ("experiments", "experiments")),
    ("protocol.yaml", (*TRAIN, "--protocol", "protocol.yaml")),
    ("data/dataset.json", TRAIN),
    ("data/images.npy", TRAIN),
    ("data/masks.npy", EVALUATE),
    (f"{RUN}/model.safetensors", EVALUATE),
    (f"{RUN}/experiment.yaml", EVALUATE),
    (f"{RUN}/run.json", EVALUATE),
    (f"{RUN}/run.json", TABLES),
    (f"{RUN}/metrics.json", TABLES),
    (f"{RUN}/fid.json", TABLES),
    (f"{RUN}/scores.csv", TABLES),
    (f"{RUN}/experiment.yaml", TABLES),
    ("listing.json", (*TABLES, "--listing", "listing.json")),
    ("literature.yaml", TABLES),
    (f"{RUN}/history.csv", (*FIGURES, "--name", "training-curves-others")),
    (f"{RUN}/scores.csv", (*FIGURES, "--name", "ari-distribution")),
    (f"{RUN}/panels.npz", (*FIGURES, "--name", "figure3")),
    ("images/0.png", FOLDER),
    ("masks/0.png", FOLDER),
    ("images/0.png", ("decompose", RUN, "images/0.png", "--out", "new")),
    ("data/dataset.json", ("data", "card", "data", "--out", "new/card.png")),
    ("tetrominoes.yaml", ("data", "prepare", "tetrominoes.yaml", "--out", "new")),
    ("scenes.tfrecords", (*PREPARE, "tetrominoes.yaml", "--file", "scenes.tfrecords")),
    ("rt.zip", (*PREPARE, "traffic.yaml", "--file", "rt.zip")),
]


@pytest.mark.parametrize(("file", "command"), READS, ids=[f"{f}-{c[0]}-{c[1]}" for f, c in READS])
def test_a_broken_file_is_named_in_one_line(world, answer, monkeypatch, file, command):
    monkeypatch.chdir(world)
    path = world / file
    before = path.read_bytes() if path.exists() else None
    literature = world / "literature.yaml"
    if file != literature.name:
        literature.write_text("tables: {}\ncitations: {}\n")
    named = 0
    try:
        for kind, content in BROKEN.items():
            path.write_bytes(content)
            status, said = answer(*command)
            assert status in (1, 2), f"{kind}: status {status}, {said}"
            assert said.startswith("denf: "), f"{kind}: {said}"
            assert len(said.strip().splitlines()) == 1, f"{kind}: {said}"
            assert path.name in said or path.parent.name in said, f"{kind}: {said}"
            named += 1
    finally:
        path.unlink()
        if before is not None:
            path.write_bytes(before)
        literature.unlink(missing_ok=True)
    print(f"{file}: {named} of {len(BROKEN)} kinds named")


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (DenfError("a\x1b[2Jb", expected=1, got="\udcff", fix="x"), 2, "denf: a\\x1b[2Jb: expec"),
        (MemoryError("Unable to allocate 9 TiB"), 1, "denf: out of memory: Unable to allocate 9"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 9"), 1, "denf: out of memory"),
        (OSError(28, "No space left on device", "f"), 1, "denf: f cannot be read or written: No s"),
        (OSError("a mirror that fails"), 1, "denf: a mirror that fails"),
    ],
)
def test_failures_of_the_machine_are_one_line(capsys, error, status, line):
    with pytest.raises(SystemExit) as left, border():
        raise error
    assert left.value.code == status
    said = capsys.readouterr().err
    assert said.startswith(line)
    assert said.count("\n") == 1


def test_errors_of_the_program_keep_their_traceback():
    with pytest.raises(ZeroDivisionError), border():
        _ = 1 / 0
    with pytest.raises(RuntimeError, match="shape"), border():
        raise RuntimeError("shape")


CHILD = """
import sys, time
from denf.border import border
with border():
    print("ready", flush=True)
    time.sleep(60)
"""


def test_a_command_ends_with_the_process_that_planned_it():
    parent = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    mark = f"{socket.gethostname()}:{parent.pid}"
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD], env={**os.environ, PARENT: mark}, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    with child.stdout:
        assert child.stdout.readline() == b"ready\n"
        time.sleep(1.5)
        assert child.poll() is None
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        assert child.wait(timeout=20) == 128 + signal.SIGTERM


@pytest.mark.parametrize("mark", ["elsewhere:{ended}", "nonsense", "", f"{socket.gethostname()}:x"])
def test_a_mark_of_another_machine_is_left_alone(monkeypatch, mark):
    ended = subprocess.Popen(["true"])
    ended.wait()
    monkeypatch.setenv(PARENT, mark.format(ended=ended.pid))
    with border():
        time.sleep(1.5)  # longer than the pause between two looks at the parent
