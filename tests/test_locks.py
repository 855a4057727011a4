"""Locks between processes, and preparations killed at random moments."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from denf.data.prepared import open_verified
from denf.data.prepared_writer import PreparedWriter
from denf.errors import DenfError
from denf.files import atomic_path, write_atomically
from denf.locks import locked, try_lock

INFO = {"name": "test", "source": "generated", "licence": "none", "split": "train"}


def test_a_lock_says_who_holds_it(tmp_path):
    with locked(tmp_path / "a/run.lock", "run folder x"):  # noqa: SIM117
        with (
            pytest.raises(DenfError, match=rf"run folder x: .* got process {os.getpid()} on .* si"),
            locked(tmp_path / "a/run.lock", "run folder x", wait=0.3),
        ):
            pass
    with locked(tmp_path / "a/run.lock", "run folder x", remove=True):
        pass
    assert list((tmp_path / "a").iterdir()) == []


def test_links_are_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "lock").symlink_to(victim)
    with pytest.raises(OSError, match="lock"):
        try_lock(tmp_path / "lock")
    assert victim.read_text() == "precious"


def increment(folder: Path, times: int) -> None:
    for _ in range(times):
        with locked(folder / "lock", "counter", wait=60):
            count = json.loads((folder / "count").read_text())
            write_atomically(folder / "count", json.dumps(count + 1))


def test_processes_that_are_killed_and_wait_never_hold_a_lock_together(tmp_path):
    (tmp_path / "count").write_text("0")
    context = multiprocessing.get_context("forkserver")
    workers = [context.Process(target=increment, args=(tmp_path, 15)) for _ in range(4)]
    victim = context.Process(target=increment, args=(tmp_path, 10_000))
    for worker in (victim, *workers):
        worker.start()
    time.sleep(1)
    victim.kill()
    victim.join()
    reached = json.loads((tmp_path / "count").read_text())
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert json.loads((tmp_path / "count").read_text()) >= max(60, reached)


def test_a_failed_write_leaves_the_file_before_and_nothing_else(tmp_path, full_disk):
    write_atomically(tmp_path / "a.json", "before")
    with full_disk(100), pytest.raises(OSError, match=r"a\.json cannot be written: File too large"):
        write_atomically(tmp_path / "a.json", "x" * 1000)
    with pytest.raises(ValueError, match="inside"), atomic_path(tmp_path / "a.json") as temporary:
        temporary.write_text("half")
        raise ValueError("inside")
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
    assert (tmp_path / "a.json").read_text() == "before"
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o644


PREPARE = """
import sys
from pathlib import Path
import numpy as np
from denf.data.prepared_writer import PreparedWriter
info = {"name": "test", "source": "generated", "licence": "none", "split": "train"}
rng = np.random.default_rng(0)
with PreparedWriter(Path(sys.argv[1]), size=8, masks=True, info=info) as writer:
    print("ready", flush=True)
    for k in range(200):
        images = rng.integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
        masks = rng.integers(0, 4, (2, 8, 8), dtype=np.uint8)
        if 2 * k >= writer.count:
            writer.append(images, masks, [{"scene": 2 * k}, {"scene": 2 * k + 1}])
"""


def prepare(out: Path, kill_after: float | None = None) -> int:
    command = [sys.executable, "-c", PREPARE, str(out)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout:
        process.stdout.readline()
        if kill_after is not None:
            time.sleep(kill_after)
            process.send_signal(signal.SIGKILL)
        return process.wait()


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if not p.name.startswith(".")}


def test_preparations_killed_at_random_moments_equal_a_whole_one(tmp_path):
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    began = time.monotonic()
    assert prepare(tmp_path / "whole") == 0
    took = time.monotonic() - began
    kills = 0
    for trial in range(3):
        out = tmp_path / f"killed-{trial}"
        for _ in range(2):
            killed = prepare(out, kill_after=float(rng.uniform(0, took / 3)))
            kills += killed == -signal.SIGKILL
            if out.exists():
                break
        if not out.exists():
            assert prepare(out) == 0
        assert contents(out) == contents(tmp_path / "whole")
        open_verified(out)
    print(f"3 preparations, {kills} kills, all equal")


def test_two_preparations_of_one_folder_do_not_meet(tmp_path):
    with PreparedWriter(tmp_path / "d", size=8, masks=False, info=INFO) as writer:
        with (
            pytest.raises(DenfError, match=r"output folder .*d: .* got process \d+"),
            PreparedWriter(tmp_path / "d", size=8, masks=False, info=INFO),
        ):
            pass
        writer.append(np.zeros((1, 8, 8, 3), np.uint8))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["d"]
