"""The GPU lease with GPUs that need not exist: lock files are all it knows of them."""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from denf.errors import DenfError
from denf.harness.lease import gpu_lease

_SOON = 20.0


def hold(folder: Path, gpus: int, pipe: Connection, share: int) -> None:
    """In a process: take a GPU, say which, keep it until told to let go."""
    with gpu_lease(gpus, folder, share=share) as gpu:
        pipe.send((gpu, os.environ["CUDA_VISIBLE_DEVICES"]))
        pipe.recv()
    pipe.send("CUDA_VISIBLE_DEVICES" in os.environ)


class Holder:
    """A process that holds a GPU."""

    def __init__(self, folder: Path, gpus: int = 2, share: int = 1) -> None:
        context = multiprocessing.get_context("forkserver")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=hold, args=(folder, gpus, theirs, share), daemon=True)
        self.process.start()
        theirs.close()

    def gpu(self) -> int:
        assert self.pipe.poll(_SOON), "no GPU was leased"
        gpu, visible = self.pipe.recv()
        assert visible == gpu
        return int(gpu)

    def kill(self) -> None:
        self.process.kill()
        self.process.join()


@pytest.fixture(autouse=True)
def _no_choice_of_cards(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.fixture
def holders(tmp_path):
    started: list[Holder] = []

    def start() -> Holder:
        started.append(Holder(tmp_path / "leases"))
        return started[-1]

    yield start
    for holder in started:
        holder.kill()


def test_two_processes_get_two_cards_and_a_third_the_one_of_a_killed(holders):
    first, second = holders(), holders()
    gpus = first.gpu(), second.gpu()
    assert sorted(gpus) == [0, 1]
    third = holders()
    assert not third.pipe.poll(0.5), "a third GPU was leased of two"
    second.kill()
    assert third.gpu() == gpus[1]
    first.pipe.send("let go")
    assert first.pipe.poll(_SOON)
    assert first.pipe.recv() is False  # the variable is gone with the lease


def test_a_card_is_free_again_after_the_lease(tmp_path):
    for _ in range(2):
        with gpu_lease(1, tmp_path) as gpu:
            assert gpu == "0"
            assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"
        assert "CUDA_VISIBLE_DEVICES" not in os.environ
    with pytest.raises(ValueError, match="inside"), gpu_lease(1, tmp_path):
        raise ValueError("inside")
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_leases_are_among_the_listed_cards(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, 3")
    with gpu_lease(4, tmp_path / "leases") as first:
        inside = os.environ["CUDA_VISIBLE_DEVICES"]
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, 3")  # as another process sees it
        with gpu_lease(4, tmp_path / "leases") as second:
            assert (first, inside, second) == ("2", "2", "3")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "2, 3"


def test_one_card_chosen_outside_is_used_at_once_and_leased_to_others_never(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with gpu_lease(2, tmp_path / "leases") as first:
        with gpu_lease(2, tmp_path / "leases") as second:
            assert (first, second) == ("0", "0")
        assert f"GPU 0 is shared with process {os.getpid()}" in capsys.readouterr().err
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
        with gpu_lease(2, tmp_path / "leases") as third:
            assert third == "1"


@pytest.mark.parametrize("choice", ["", "-1", "none"])
def test_no_card_chosen_outside_is_left_alone(tmp_path, monkeypatch, choice):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", choice)
    with gpu_lease(2, tmp_path / "leases") as gpu:
        assert gpu is None
    assert os.environ["CUDA_VISIBLE_DEVICES"] == choice
    assert not (tmp_path / "leases").exists()


def test_the_folder_is_private_and_links_are_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    with gpu_lease(1, tmp_path / "leases"):
        assert (tmp_path / "leases").stat().st_mode & 0o777 == 0o700
    (tmp_path / "leases/gpu0.lock").unlink()
    (tmp_path / "leases/gpu0.lock").symlink_to(victim)
    with pytest.raises(OSError, match=r"gpu0\.lock"), gpu_lease(1, tmp_path / "leases"):
        pass
    assert victim.read_text() == "precious"
    (tmp_path / "link").symlink_to(tmp_path / "leases")
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    for folder in ("link", "open"):
        with (
            pytest.raises(DenfError, match=rf"{folder}: expected a folder of user \d+ that no"),
            gpu_lease(1, tmp_path / folder),
        ):
            pass


def test_a_lock_that_is_deleted_while_it_is_held_lends_no_card_twice(holders, tmp_path):
    first = holders()
    gpu = first.gpu()
    (tmp_path / f"leases/gpu{gpu}.lock").unlink()
    others = {holders().gpu()}
    assert others == {1 - gpu}
    late = holders()
    assert not late.pipe.poll(1.5), "the GPU was lent twice"
    first.kill()
    assert late.gpu() == gpu


def test_without_cards_there_is_no_lease(tmp_path):
    with gpu_lease(0, tmp_path / "leases") as gpu:
        assert gpu is None
        assert "CUDA_VISIBLE_DEVICES" not in os.environ
    assert not (tmp_path / "leases").exists()


def test_a_shared_card_has_so_many_places_and_empty_cards_come_first(tmp_path):
    held = [Holder(tmp_path / "leases", gpus=2, share=2) for _ in range(2)]
    assert sorted(holder.gpu() for holder in held) == [0, 1]
    more = [Holder(tmp_path / "leases", gpus=2, share=2) for _ in range(2)]
    assert sorted(holder.gpu() for holder in more) == [0, 1]
    waiting = Holder(tmp_path / "leases", gpus=2, share=2)
    assert not waiting.pipe.poll(1.0)
    held[0].kill()
    assert waiting.gpu() in (0, 1)
    for holder in (*held, *more, waiting):
        holder.kill()
