"""Foreground ARI over steps: what it says, and that a training does not notice it."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from denf.errors import DenfError, InterruptionError
from denf.harness.checkpoint import load_run
from denf.harness.evaluate import evaluate
from denf.harness.learning_curve import choose_scenes, is_due
from denf.harness.train import train
from denf.run_folder import VALIDATION_ARI, read_history

STEPS = ("training.steps=20", "training.save_minutes=0")


@pytest.fixture(scope="module")
def others(tmp_path_factory, write_scenes):
    """Validation scenes."""
    return write_scenes(tmp_path_factory.mktemp("data") / "val", count=6, seed=5)


@pytest.fixture(scope="module")
def scored(small, scenes, others, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "scored"
    train(small(*STEPS, "training.validations=2"), scenes, run, seed=0, validation=others)
    return run


def without_scores(run: Path) -> list[dict[str, float]]:
    rows = read_history(run)
    return [{k: v for k, v in row.items() if k != VALIDATION_ARI} for row in rows]


def test_weights_and_losses_are_those_of_a_training_without_it(small, scenes, scored, tmp_path):
    train(small(*STEPS), scenes, tmp_path / "run", seed=0)
    ours, theirs = (load_file(run / "model.safetensors") for run in (scored, tmp_path / "run"))
    assert all(np.array_equal(value, theirs[name]) for name, value in ours.items())
    assert without_scores(scored) == read_history(tmp_path / "run")


def test_scores_stand_in_the_rows_that_are_due_and_are_those_of_an_evaluation(scored, others):
    rows = read_history(scored)
    assert [row["step"] for row in rows if VALIDATION_ARI in row] == [10, 20]
    summary, _ = evaluate(load_run(scored)[0], others)
    assert rows[-1][VALIDATION_ARI] == pytest.approx(summary["ari_fg"]["mean"], abs=1e-12)
    record = json.loads((scored / "run.json").read_text())
    assert record["validation"] == {"count": 6, "sha256": others.sha256}


@dataclass(frozen=True)
class StopAt:
    """Images that ask this process to stop when the batch of a step is read."""

    images: np.ndarray
    step: int
    reads: list[np.ndarray] = field(default_factory=list)

    def __getitem__(self, indices: np.ndarray) -> np.ndarray:
        if len(self.reads) == self.step:
            os.kill(os.getpid(), signal.SIGTERM)
        self.reads.append(indices)
        return self.images[indices]

    def __len__(self) -> int:
        return len(self.images)


@pytest.mark.parametrize("step", [3, 9, 12])
def test_a_stopped_and_resumed_curve_equals_an_uninterrupted_one(
    small, scenes, others, scored, tmp_path, step
):
    experiment, run = small(*STEPS, "training.validations=2"), tmp_path / "run"
    stopping = replace(scenes, images=StopAt(scenes.images, step))
    with pytest.raises(InterruptionError):
        train(experiment, stopping, run, seed=0, validation=others)
    counted = replace(scenes, images=StopAt(scenes.images, -1))
    train(experiment, counted, run, seed=0, resume=True, validation=others)
    assert len(counted.images.reads) == 20 - step - 1
    assert (run / "history.csv").read_bytes() == (scored / "history.csv").read_bytes()


def test_a_curve_of_other_scenes_is_not_continued(small, scenes, others, write_scenes, tmp_path):
    experiment = small(*STEPS, method="random-labels")
    stopping = replace(scenes, images=StopAt(scenes.images, 12))
    with pytest.raises(InterruptionError):
        train(experiment, stopping, tmp_path / "run", seed=0, validation=others)
    counted = replace(scenes, images=StopAt(scenes.images, -1))
    new = write_scenes(tmp_path / "new", seed=6)
    train(experiment, counted, tmp_path / "run", seed=0, resume=True, validation=new)
    assert len(counted.images.reads) == 20


@pytest.mark.parametrize(
    ("method", "settings"),
    [("dcgan", "settings={size: 16, width: 4, latent: 5}"), ("true-labels", "label=oracle")],
)
def test_methods_that_do_not_segment_by_themselves_have_none(
    small, scenes, others, tmp_path, method, settings
):
    experiment = small("training.steps=5", settings, method=method)
    train(experiment, scenes, tmp_path / "run", seed=0, validation=others)
    assert all(VALIDATION_ARI not in row for row in read_history(tmp_path / "run"))
    assert json.loads((tmp_path / "run/run.json").read_text())["validation"] is None


def test_scenes_without_objects_leave_the_cell_empty(small, scenes, others, tmp_path):
    empty = replace(others, masks=np.zeros_like(others.masks))
    experiment = small("training.steps=5", method="random-labels")
    train(experiment, scenes, tmp_path / "run", seed=0, validation=empty)
    assert [list(row) for row in read_history(tmp_path / "run")] == [["step", "loss"]]


@given(st.integers(1, 400), st.integers(1, 60), st.integers(1, 12))
def test_moments_are_spread_over_the_rows(steps, every, times):
    rows = [*range(every, steps, every), steps]
    due = [
        step
        for before, step in zip([0, *rows], rows, strict=False)
        if is_due(step, before, steps=steps, times=times)
    ]
    assert due[-1] == steps
    assert len(due) <= min(times, len(rows))
    if steps >= 2 * times * every:  # rows enough for each moment to have its own
        assert len(due) == times
        assert np.ptp(np.diff([0, *due])) <= 2 * every


def test_only_the_first_scenes_and_only_others_with_masks_of_the_same_size(
    scenes, others, write_scenes, tmp_path
):
    few = choose_scenes(others, 4, training=scenes)
    assert (len(few), len(few.masks), few.sha256) == (4, 4, others.sha256)
    assert len(choose_scenes(others, 99, training=scenes)) == 6
    with pytest.raises(DenfError, match=r"masks\.npy"):
        choose_scenes(replace(others, masks=None), 4, training=scenes)
    large = write_scenes(tmp_path / "large", size=32)
    with pytest.raises(DenfError, match="32×32 pixels, as the training images have, got 16×16"):
        choose_scenes(others, 4, training=large)
    without = {"images.npy": scenes.info["sha256"]["images.npy"]}  # prepared without masks
    for training in (scenes, replace(scenes, info={"sha256": without}, masks=None)):
        with pytest.raises(DenfError, match=r"got the same images as in .*train"):
            choose_scenes(scenes, 4, training=training)
