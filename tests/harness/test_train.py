"""The training loop: a resume that changes nothing, divergence, what a run folder says."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from denf.data.prepared import Prepared
from denf.errors import DenfError, DivergenceError, InterruptionError
from denf.harness import train as train_module
from denf.harness.batches import batch_indices
from denf.harness.checkpoint import load_run
from denf.harness.experiment import Experiment, load_experiment
from denf.harness.method import Method, Step, descend
from denf.harness.train import train
from denf.settings import as_plain

STEPS = ("training.steps=20", "training.save_minutes=0")


@dataclass(frozen=True)
class StopAt:
    """Images that send this process a signal when the batch of a step is read."""

    images: np.ndarray
    step: int
    number: signal.Signals = signal.SIGTERM

    def __post_init__(self) -> None:
        object.__setattr__(self, "reads", [])

    def __getitem__(self, indices: np.ndarray) -> np.ndarray:
        if len(self.reads) == self.step:
            os.kill(os.getpid(), self.number)
        self.reads.append(indices)
        return self.images[indices]

    def __len__(self) -> int:
        return len(self.images)


def stopping(data: Prepared, step: int, **kind) -> Prepared:
    return replace(data, images=StopAt(data.images, step, **kind))


def history(run: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((run / "history.csv").read_text().splitlines()))


def states(run: Path) -> list[Path]:
    return sorted((run.parent / ".state" / run.name).rglob("*.pt"))


def assert_same_weights(one: Path, other: Path) -> None:
    first, second = load_file(one / "model.safetensors"), load_file(other / "model.safetensors")
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


@pytest.fixture(scope="module")
def whole(small, scenes, tmp_path_factory) -> Path:
    """An uninterrupted run of DeNF."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    train(small(*STEPS), scenes, run, seed=0)
    return run


@pytest.fixture
def idle(small):
    """An experiment whose steps take no time: what is resumed does not depend on the method."""
    return lambda *changes: small(*STEPS, *changes, method="random-labels")


@pytest.mark.parametrize(
    ("step", "number"), [(9, signal.SIGTERM), (12, signal.SIGINT), (0, signal.SIGTERM)]
)
def test_stopped_and_resumed_equals_uninterrupted(small, scenes, whole, tmp_path, step, number):
    run = tmp_path / "run"
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(InterruptionError, match=f"stopped at step {step + 1} of 20"):
        train(small(*STEPS), stopping(scenes, step, number=number), run, seed=0)
    assert signal.getsignal(signal.SIGTERM) is before
    assert not (run / "model.safetensors").exists()
    train(small(*STEPS), scenes, run, seed=0, resume=True)
    assert_same_weights(whole, run)
    assert history(run) == history(whole)
    assert [row["step"] for row in history(run)] == ["5", "10", "15", "20"]
    assert states(run) == []


def test_a_state_carried_elsewhere_continues_after_its_time_was_up(small, scenes, whole, tmp_path):
    here, there = tmp_path / "here" / "run", tmp_path / "there" / "run"
    with pytest.raises(InterruptionError, match=r"stopped at step 1 of 20.*--resume"):
        train(small(*STEPS), scenes, here, seed=0, max_minutes=0)
    shutil.copytree(here.parent / ".state", there.parent / ".state")
    train(small(*STEPS), scenes, there, seed=0, resume=True, max_minutes=10)
    assert_same_weights(whole, there)
    assert history(there) == history(whole)


def test_a_stop_at_the_last_step_finishes(small, scenes, whole, tmp_path):
    train(small(*STEPS), stopping(scenes, 19), tmp_path / "run", seed=0)
    assert_same_weights(whole, tmp_path / "run")


def test_killed_process_continues_where_it_was(scenes, tmp_path):
    """The real command, killed while it trains; every other step saves a state."""
    path = tmp_path / "killed.yaml"
    path.write_text(
        "{method: denf, dataset: squares, settings: {architecture: {features: 2, couplings: 1}},"
        " training: {steps: 24, batch_size: 4, log_every: 2, save_minutes: 0}}"
    )
    run = tmp_path / "run"
    options = ["train", path, "--data", scenes.folder, "--out", run, "--resume"]
    command = [sys.executable, "-c", "from denf.cli import main; main()", *map(str, options)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        deadline = time.monotonic() + 240  # a busy machine imports slowly
        while len(states(run)) < 2 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    reached = int(states(run)[-1].name.split(".")[0].removeprefix("step-"))
    assert 4 <= reached < 24
    experiment = load_experiment(path)
    train(experiment, scenes, run, seed=0, resume=True)
    train(experiment, scenes, tmp_path / "whole", seed=0)
    assert_same_weights(tmp_path / "whole", run)
    assert history(run) == history(tmp_path / "whole")


def interrupted(experiment: Experiment, data: Prepared, run: Path, seed: int = 0) -> None:
    with pytest.raises(InterruptionError):
        train(experiment, stopping(data, 11), run, seed=seed)


def steps_taken(experiment: Experiment, data: Prepared, run: Path, **options) -> int:
    counted = stopping(data, -1)
    train(experiment, counted, run, **options)
    return len(counted.images.reads)


def test_resume_takes_the_rest_of_the_steps_alone(idle, scenes, tmp_path):
    interrupted(idle(), scenes, tmp_path / "run")
    assert steps_taken(idle(), scenes, tmp_path / "run", seed=0, resume=True) == 8


@pytest.mark.parametrize("other", ["settings", "seed", "code", "data", "no resume"])
def test_a_state_of_something_else_is_not_resumed(
    idle, scenes, tmp_path, monkeypatch, write_scenes, other
):
    run, seed, changes, data = tmp_path / "run", 0, (), scenes
    interrupted(idle(), scenes, run)
    if other == "settings":
        changes = ("settings.labels=5",)
    elif other == "seed":
        seed = 1
    elif other == "code":
        monkeypatch.setattr(train_module, "code_hash", lambda *_, **__: "another")
    elif other == "data":
        data = write_scenes(tmp_path / "other", seed=1)
    resume = other != "no resume"
    assert steps_taken(idle(*changes), data, run, seed=seed, resume=resume) == 20
    assert states(run) == []


def test_labels_and_logging_do_not_lose_a_state(idle, scenes, tmp_path):
    interrupted(idle(), scenes, tmp_path / "run")
    relabelled = idle("label=other", "seeds=[0, 1]", "training.log_every=2")
    assert steps_taken(relabelled, scenes, tmp_path / "run", seed=0, resume=True) == 8


def test_two_generations_are_kept_and_a_damaged_one_falls_back(small, scenes, whole, tmp_path):
    run = tmp_path / "run"
    interrupted(small(*STEPS), scenes, run)
    before, newest = states(run)
    assert [p.name.split(".")[0] for p in (before, newest)] == ["step-000000010", "step-000000012"]
    newest.write_bytes(newest.read_bytes()[:1000])
    with pytest.warns(UserWarning, match=r"step-000000012\..*pt cannot be used"):
        assert steps_taken(small(*STEPS), scenes, run, seed=0, resume=True) == 10
    assert_same_weights(whole, run)


@pytest.mark.parametrize("damage", ["empty", "garbage", "flipped bits"])
def test_any_damage_to_a_state_is_noticed(idle, scenes, tmp_path, damage):
    run = tmp_path / "run"
    interrupted(idle(), scenes, run)
    content = bytearray(states(run)[-1].read_bytes())
    for place in range(len(content) // 4, len(content) // 2):
        content[place] ^= 1
    broken = {"empty": b"", "garbage": b"not a state" * 100, "flipped bits": bytes(content)}
    for path in states(run):
        path.write_bytes(broken[damage])
    with pytest.warns(UserWarning, match="cannot be used"):
        assert steps_taken(idle(), scenes, run, seed=0, resume=True) == 20


@dataclass(frozen=True)
class FragileSettings:
    """When the loss, or the weights behind a finite loss, are to break."""

    bad_loss: int = -1
    bad_weights: int = -1


class Fragile(Method):
    """One number that is counted up by gradient steps, until it breaks."""

    def __init__(self, settings: FragileSettings) -> None:
        super().__init__(settings)
        self.number = nn.Parameter(torch.zeros(()))

    def make_optimizers(self) -> dict[str, Optimizer]:
        return {"sgd": SGD([self.number], lr=1.0)}

    def training_step(self, batch: Tensor, step: Step) -> dict[str, Tensor]:
        loss = -self.number + (torch.inf if step.index == self.settings.bad_loss else 0.0)
        descend(loss, self.optimizers["sgd"], self, None)
        if step.index == self.settings.bad_weights:
            self.number.data.fill_(torch.nan)
        return {"loss": loss.detach()}


def test_another_run_s_weights_without_a_training(small, scenes, tmp_path):
    train(small("training.steps=2"), scenes, tmp_path / "base", seed=0)
    read = small("weights=base", "training.steps=0", "settings.instances.appearance={}")
    train(read, scenes, tmp_path / "read", seed=0, weights=tmp_path / "base")
    a, b = (load_file(tmp_path / name / "model.safetensors") for name in ("base", "read"))
    assert all(torch.equal(a[name], b[name]) for name in a)
    method, _ = load_run(tmp_path / "read")
    assert method.settings.instances.appearance is not None
    assert json.loads((tmp_path / "read/run.json").read_text())["first_weights_sha256"]


def test_first_weights_are_neither_forgotten_nor_ignored(small, scenes, tmp_path):
    with pytest.raises(DenfError, match="a run of base, got none"):
        train(small("weights=base", "training.steps=0"), scenes, tmp_path / "a", seed=0)
    with pytest.raises(DenfError, match="expected none"):
        train(small("training.steps=0"), scenes, tmp_path / "b", seed=0, weights=tmp_path)
    train(small("training.steps=0"), scenes, tmp_path / "base", seed=0)
    wider = small("weights=base", "training.steps=0", "settings.architecture.features=3")
    with pytest.raises(DenfError, match=r"model\.safetensors"):
        train(wider, scenes, tmp_path / "c", seed=0, weights=tmp_path / "base")


@pytest.fixture
def fragile(monkeypatch, small):
    """Train the fragile method; it is in no file of baselines/, so `build` is told of it."""

    def run(data: Prepared, out: Path, *changes: str, **settings: int) -> None:
        kind = FragileSettings(**settings)
        monkeypatch.setattr(train_module, "build", lambda experiment, seed: Fragile(kind))
        train(small(*changes, method="one-segment"), data, out, seed=3)

    return run


@pytest.mark.parametrize(
    ("break_at", "named", "kept"),
    [
        ({"bad_loss": 12}, 12, 10),
        ({"bad_loss": 10}, 10, 10),
        ({"bad_weights": 12}, 13, 10),  # the loss of the next step shows it
        ({"bad_weights": 19}, 19, 15),  # the last step: no later loss would
        ({"bad_weights": 9}, 9, 5),  # right before a state is saved
        ({"bad_loss": 2}, 2, 0),  # before any state was saved
    ],
)
def test_divergence_stops_and_keeps_the_last_good_weights(
    fragile, scenes, tmp_path, break_at, named, kept
):
    with pytest.raises(DivergenceError) as caught:
        fragile(scenes, tmp_path / "run", *STEPS, **break_at)
    indices = batch_indices(3, named, len(scenes), 4).tolist()
    assert f"step {named}: expected" in str(caught.value)
    assert f"images {indices}" in str(caught.value)
    weights = load_file(tmp_path / "run/model.safetensors")
    assert weights["number"] == kept  # one is added a step
    record = json.loads((tmp_path / "run/run.json").read_text())
    assert record["status"] == "diverged"
    assert record["reason"] == str(caught.value)
    assert record["steps"] == kept
    assert [int(row["step"]) for row in history(tmp_path / "run")] == list(range(5, kept + 1, 5))
    for path in states(tmp_path / "run"):
        number = torch.load(path)["method"]["number"]
        assert number == int(path.name.split(".")[0].removeprefix("step-"))


def test_denf_with_a_wild_learning_rate_diverges_with_finite_weights(small, scenes, tmp_path):
    experiment = small(*STEPS, "settings.learning_rate=1e30")
    with pytest.raises(DivergenceError, match=r"step \d+: expected a finite loss, got (nan|inf)"):
        train(experiment, scenes, tmp_path / "run", seed=0)
    method, read = load_run(tmp_path / "run")
    assert read == experiment
    assert all(torch.isfinite(p).all() for p in method.parameters())
    with pytest.raises(DenfError, match="expected trained weights"):
        method.sample(1, torch.Generator())


ADVERSARIAL = {
    "blockgan": "settings={size: 16, width: 2, objects: 2}",
    "dcgan": "settings={size: 16, width: 4, latent: 5}",
    "dragan": "settings={size: 16, width: 4, latent: 5}",
    "relate": "settings={size: 16, width: 2, objects: 2, penalty: 1.0}",
}


@pytest.fixture
def game(small):
    """An experiment with two players."""
    return lambda method, *changes: small(ADVERSARIAL[method], *STEPS, *changes, method=method)


@pytest.mark.parametrize("method", ADVERSARIAL)
def test_two_players_stopped_and_resumed_equal_uninterrupted(game, scenes, tmp_path, method):
    """20 steps are 10, a saved state, and 10 more: networks, moments, running statistics."""
    train(game(method), scenes, tmp_path / "whole", seed=0)
    run = tmp_path / "run"
    with pytest.raises(InterruptionError, match="stopped at step 10 of 20"):
        train(game(method), stopping(scenes, 9), run, seed=0)
    optimizers = torch.load(states(run)[-1])["optimizers"]
    assert optimizers.keys() == {"generator", "discriminator"}
    assert all(saved["state"] for saved in optimizers.values())
    train(game(method), scenes, run, seed=0, resume=True)
    assert_same_weights(tmp_path / "whole", run)
    assert history(run) == history(tmp_path / "whole")


@pytest.mark.parametrize("method", ADVERSARIAL)
def test_two_players_with_a_wild_learning_rate_diverge_with_finite_weights(
    game, scenes, tmp_path, method
):
    with pytest.raises(DivergenceError, match=r"step \d+: expected a finite loss, got (nan|inf)"):
        train(game(method, "settings.learning_rate=1e30"), scenes, tmp_path / "run", seed=0)
    assert json.loads((tmp_path / "run/run.json").read_text())["status"] == "diverged"
    loaded, _ = load_run(tmp_path / "run")
    assert all(torch.isfinite(p).all() for p in loaded.parameters())


@pytest.mark.parametrize(("images", "won"), [("white", True), ("scenes", False)])
def test_a_discriminator_that_won_is_noted(game, scenes, tmp_path, images, won):
    """Pure white against a generator that is outpaced four to one, and a fair game."""
    changes = ["training.log_every=2"]
    if won:
        scenes = replace(scenes, images=np.full_like(scenes.images, 255))
        changes += ["settings={learning_rate: 0.01, beta1: 0.9, updates: {discriminator: 4}}"]
    train(game("dcgan", *changes), scenes, tmp_path / "run", seed=0)
    notes = json.loads((tmp_path / "run/run.json").read_text())["notes"]
    assert [note.split(":")[0] for note in notes] == ["the discriminator won"] * won


def test_run_folder(small, scenes, whole):
    assert sorted(p.name for p in whole.iterdir()) == [
        "experiment.yaml",
        "history.csv",
        "model.safetensors",
        "run.json",
    ]
    record = json.loads((whole / "run.json").read_text())
    assert record["status"] == "finished"
    assert record["reason"] is None
    assert record["notes"] == []
    assert (record["seed"], record["steps"]) == (0, 20)
    assert record["started"] <= record["ended"]
    assert 0 < record["seconds"] < 600
    assert record["images_per_second"] == pytest.approx(80 / record["seconds"], rel=0.1)
    assert 10**7 < record["peak_memory_bytes"] < 10**11
    method, experiment = load_run(whole)
    assert record["parameters"] == sum(p.numel() for p in method.parameters())
    assert record["data"]["sha256"] == scenes.sha256
    assert record["data"]["count"] == len(scenes)
    assert record["versions"]["torch"] == torch.__version__.split("+")[0]
    assert (record["threads"], record["aids"]) == (1, {})
    assert record["deterministic"] is False
    assert record["device"]
    assert len(record["code_hash"]) == 16
    assert record["commit"] is None or len(record["commit"]) == 40
    assert (record["commit"] is None) == (record["dirty"] is None)
    # what was trained, complete with defaults, resolves to itself
    assert experiment == small(*STEPS)
    assert experiment.settings == as_plain(method.settings)
    assert experiment.fingerprint() == small(*STEPS).fingerprint()
    for row in history(whole):
        assert all(np.isfinite(float(value)) for value in row.values())


def test_a_run_replaces_an_earlier_one_in_its_folder(idle, scenes, tmp_path):
    for seed in (1, 2):
        train(idle(), scenes, tmp_path / "run", seed=seed)
        assert json.loads((tmp_path / "run/run.json").read_text())["seed"] == seed


def test_without_steps_nothing_is_trained(small, scenes, tmp_path):
    train(small("training.steps=0", method="one-segment"), scenes, tmp_path / "run", seed=0)
    record = json.loads((tmp_path / "run/run.json").read_text())
    assert (record["status"], record["steps"], record["images_per_second"]) == ("finished", 0, None)
    assert history(tmp_path / "run") == []


def test_threads_are_the_experiments_and_not_the_processs(idle, scenes, tmp_path):
    before = torch.get_num_threads()
    train(idle("training.threads=2"), scenes, tmp_path / "run", seed=0)
    assert json.loads((tmp_path / "run/run.json").read_text())["threads"] == 2
    assert torch.get_num_threads() == before


def test_a_state_of_another_number_of_threads_is_not_continued(idle, scenes, tmp_path):
    interrupted(idle(), scenes, tmp_path / "run")
    two = idle("training.threads=2")
    assert steps_taken(two, scenes, tmp_path / "run", seed=0, resume=True) == 20


def test_images_that_denf_cannot_take(small, write_scenes, tmp_path):
    odd = write_scenes(tmp_path / "odd", size=15)
    with pytest.raises(DenfError, match="side is a multiple of 2, got 15×15 pixels"):
        train(small(*STEPS), odd, tmp_path / "run", seed=0)


@pytest.mark.parametrize(("images", "batch_size"), [(12, 5), (7, 7), (3, 8)])
def test_batches_are_shuffled_epochs(images, batch_size):
    def epochs(seed: int) -> np.ndarray:
        steps = [batch_indices(seed, k, images, batch_size) for k in range(images)]
        assert all(len(step) == batch_size for step in steps)
        return np.concatenate(steps).reshape(batch_size, images)

    assert np.array_equal(np.sort(epochs(4)), np.tile(np.arange(images), (batch_size, 1)))
    if batch_size < images:  # otherwise each batch has all images, in order
        assert not np.array_equal(epochs(4)[0], epochs(4)[1])
        assert not np.array_equal(epochs(4), epochs(5))
