"""Trainings into folders that hold something: nothing is lost, and nothing stale is kept."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from denf.errors import DenfError, InterruptionError
from denf.harness.earlier import check_run_folder
from denf.harness.states import StateKey, StateStore
from denf.harness.train import train
from denf.run_folder import read_scores


@pytest.fixture
def idle(small):
    return lambda *changes: small("training.steps=6", *changes, method="random-labels")


def states(run: Path) -> set[Path]:
    return set((run.parent / ".state" / run.name).rglob("*.pt"))


def stop(experiment, data, run: Path, **options) -> None:
    """A training that stops at its first step with its state saved."""
    with pytest.raises(InterruptionError, match=r"^experiment .*: stopped at step"):
        train(experiment, data, run, max_minutes=0, **options)


def files(folder: Path) -> dict[Path, tuple[bytes, int]]:
    found = (path for path in folder.rglob("*") if path.suffix != ".lock" and path.is_file())
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in found}


def test_a_saved_state_is_continued_or_given_up_but_never_lost(idle, scenes, tmp_path, capsys):
    run = tmp_path / "run"
    stop(idle(), scenes, run, seed=0)
    before = files(tmp_path)
    with pytest.raises(DenfError, match=r"got one of step 1\. Continue it with --resume, or start"):
        train(idle(), scenes, run, seed=0)
    assert files(tmp_path) == before
    train(idle(), scenes, run, seed=0, resume=False)
    assert json.loads((run / "run.json").read_text())["steps"] == 6
    assert states(run) == set()
    assert capsys.readouterr().err.count("denf:") == 0, "nothing of another training was there"


@pytest.mark.parametrize("resume", [None, True, False])
@pytest.mark.parametrize(
    ("changes", "seed", "differing"),
    [
        ((), 1, "seed"),
        (("settings.labels=5",), 0, "settings"),
        (("training.steps=7",), 0, "settings"),
        (("training.steps=7",), 1, "settings and seed"),
    ],
)
def test_states_of_others_are_named_and_kept_until_the_end(
    idle, scenes, tmp_path, capsys, changes, seed, differing, resume
):
    run = tmp_path / "run"
    stop(idle(), scenes, run, seed=0)
    theirs = states(run)
    stop(idle(*changes), scenes, run, seed=seed, resume=resume)
    assert theirs < states(run)
    told = capsys.readouterr().err
    assert f"of another training, which differs in {differing}; they are removed when" in told
    assert ("which starts at step 0" in told) == bool(resume)
    train(idle(*changes), scenes, run, seed=seed, resume=True)
    assert states(run) == set()


def test_a_resume_without_a_state_says_so(idle, scenes, tmp_path, capsys):
    train(idle(), scenes, tmp_path / "run", seed=0, resume=True)
    told = f"denf: {tmp_path}/run has no saved state of this training, which starts at step 0\n"
    assert told in capsys.readouterr().err


def test_a_finished_run_is_left_as_it_is(idle, scenes, tmp_path, capsys):
    run = tmp_path / "run"
    train(idle(), scenes, run, seed=0)
    before = files(run)
    train(idle("label=other"), scenes, run, seed=0, resume=True)
    assert files(run) == before
    assert "holds this training, finished: nothing to do" in capsys.readouterr().err
    for resume in (None, False):
        train(idle(), scenes, run, seed=0, resume=resume)
        assert files(run) != before
        assert "holds a finished run: the training starts over" in capsys.readouterr().err


@pytest.mark.parametrize("change", ["seed", "settings", "no weights", "damaged", "logging"])
def test_a_run_that_is_another_or_not_whole_is_trained(idle, scenes, tmp_path, capsys, change):
    run, changes = tmp_path / "run", {"settings": ["settings.labels=5"]}.get(change, [])
    train(idle(), scenes, run, seed=0)
    if change == "no weights":
        (run / "model.safetensors").unlink()
    elif change == "damaged":
        (run / "model.safetensors").write_bytes(b"no weights")
    elif change == "logging":
        changes = ["training.log_every=2"]
    train(idle(*changes), scenes, run, seed=int(change == "seed"), resume=True)
    assert "holds a finished run: the training starts over" in capsys.readouterr().err
    assert (run / "model.safetensors").stat().st_size > 10


def test_what_is_refused_does_not_start_over(small, scenes, write_scenes, tmp_path, capsys):
    run = tmp_path / "run"
    train(small("training.steps=1"), scenes, run, seed=0)
    before = files(run)
    odd = write_scenes(tmp_path / "odd", size=15)
    with pytest.raises(DenfError, match="multiple of 2"):
        train(small("training.steps=2"), odd, run, seed=0)
    with pytest.raises(DenfError, match=r"^experiment denf: first weights: expected a run of nope"):
        train(small("weights=nope"), scenes, run, seed=0)
    assert files(run) == before
    assert "denf:" not in capsys.readouterr().err


def measure(run: Path) -> None:
    """Scores as of an evaluation of the run."""
    sha256 = json.loads((run / "run.json").read_text())["weights_sha256"]
    for name in ("metrics.json", "fid.json"):
        (run / name).write_text(json.dumps({"run_weights_sha256": sha256, "ari": 1}))
    for name in ("scores.csv", "panels.npz", "train-metrics.json"):
        (run / name).write_text("of these weights")


def test_scores_go_with_the_weights_that_they_were_measured_on(small, scenes, tmp_path, capsys):
    run = tmp_path / "run"
    train(small("training.steps=1"), scenes, run, seed=0)
    measure(run)
    kept = files(run)
    train(small("training.steps=1"), scenes, run, seed=0)  # the same weights
    assert files(run).keys() == kept.keys()
    shutil.copytree(run, tmp_path / "copy")
    capsys.readouterr()
    train(small("training.steps=2"), scenes, run, seed=0)
    names = {"experiment.yaml", "history.csv", "model.safetensors", "run.json"}
    assert {path.name for path in run.iterdir()} == {*names, "train-metrics.json"}
    told = capsys.readouterr().err
    assert "removed metrics.json, scores.csv, panels.npz, fid.json, measured on the weights" in told
    # scores that were put there by hand
    assert read_scores(tmp_path / "copy")["ari"] == 1
    shutil.copy(tmp_path / "copy/fid.json", run)
    with pytest.raises(
        DenfError, match=r"fid\.json, run_weights_sha256: expected .*, as in run\.j"
    ):
        read_scores(run)


def test_damaged_scores_do_not_stop_a_training_at_its_end(idle, scenes, tmp_path):
    run = tmp_path / "run"
    train(idle(), scenes, run, seed=0)
    (run / "metrics.json").write_text("{")
    train(idle(), scenes, run, seed=0)
    assert not (run / "metrics.json").exists()


@pytest.mark.parametrize(
    ("out", "got"),
    [
        ("", "'.', which has no name"),
        ("data", "the prepared data in {tmp}/data"),
        ("data/runs/a", "the prepared data in {tmp}/data"),
        ("note.txt", "a file"),
        ("pictures", "one with other files: a.png"),
        ("first", "the run of --weights"),
        ("link", "the run of --weights"),
    ],
)
def test_folders_of_something_else_are_refused(scenes, tmp_path, monkeypatch, out, got):
    shutil.copytree(scenes.folder, tmp_path / "data")
    (tmp_path / "note.txt").touch()
    for folder in ("pictures", "first"):
        (tmp_path / folder).mkdir()
    (tmp_path / "pictures/a.png").touch()
    (tmp_path / "link").symlink_to(tmp_path / "first")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DenfError, match="expected a new folder, or that of a run, got ") as caught:
        check_run_folder(Path(out), tmp_path / "first")
    assert f"got {got.format(tmp=tmp_path)}. Choose another --out." in str(caught.value)


@pytest.mark.parametrize("name", ["new/run", "empty", "run", "logged"])
def test_folders_for_a_run_are_taken(idle, scenes, tmp_path, name):
    for folder, file in (("empty", ".hidden"), ("run", "run.json"), ("logged", "train.log")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / file).touch()
    (tmp_path / "run/notes.txt").touch()
    check_run_folder(tmp_path / name)


def test_keys_that_are_equal_as_texts_differ_in_nothing():
    key = StateKey("a", "b", "c", 7, None, "4xe")
    assert key.differences(str(key)) == []
    for field, name in (("data", "data"), ("code", "code"), ("first_weights", "first weights")):
        assert key.differences(str(replace(key, **{field: "z"}))) == [name]
    assert key.differences("a-b-c-7") == ["code"], "a state of an earlier version"


def test_the_most_similar_of_other_trainings_is_named(tmp_path):
    for key in (StateKey("a", "b", "c", 1), StateKey("z", "b", "c", 1)):
        StateStore(tmp_path / "run", key).save({}, 1)
    store = StateStore(tmp_path / "run", StateKey("a", "b", "c", 0))
    assert (store.others_differ_in(), store.newest_step()) == (["seed"], None)
