"""Weights on disk: round trip, and refusal of what does not belong together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from denf.errors import DenfError
from denf.harness.checkpoint import (
    build,
    load_run,
    save_weights,
    start_from,
    tensors_sha256,
    write_experiment,
)
from denf.harness.states import StateKey, StateStore

KEY = StateKey("settings", "code", "data", 0)


@pytest.fixture
def run(small, tmp_path) -> Path:
    """A run folder with untrained weights."""
    experiment = small()
    write_experiment(experiment, tmp_path / "experiment.yaml")
    save_weights(build(experiment, seed=5), experiment, tmp_path / "model.safetensors")
    return tmp_path


def edit(run: Path, *keys: str, value: object) -> None:
    """Change a key of the run's experiment.yaml."""
    values = yaml.safe_load((run / "experiment.yaml").read_text())
    place = values
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    (run / "experiment.yaml").write_text(yaml.safe_dump(values))


def test_round_trip(small, run):
    method, experiment = load_run(run)
    assert experiment == small()
    assert not method.training
    for name, value in build(small(), seed=5).state_dict().items():
        assert torch.equal(value, method.state_dict()[name])
    assert not any(
        torch.equal(p, q)
        for (name, p), q in zip(
            method.named_parameters(), build(small(), seed=6).parameters(), strict=True
        )
        if name.endswith("first.weight")
    )
    assert [p.name for p in run.glob("*.tmp")] == []


def test_weights_of_other_shapes_are_refused(run):
    edit(run, "settings", "architecture", "features", value=3)
    header = r"architecture.features: expected 3, got 2\. Use the run's own experiment.yaml"
    with pytest.raises(DenfError, match=header):
        load_run(run)
    # without the suite's header, the shapes tell
    weights = load_file(run / "model.safetensors")
    save_file(weights, run / "model.safetensors")
    shapes = r"(?s)F.first.bias \(and \d+ more\): expected \(3,\), got \(2,\)\. The weights belong"
    with pytest.raises(DenfError, match=shapes):
        load_run(run)


def test_weights_of_equal_shapes_and_other_meaning_are_refused(run):
    edit(run, "settings", "priors", "what", value="unimodal")
    edit(run, "settings", "learning_rate", value=0.5)
    with pytest.raises(DenfError, match=r"priors.what \(and 1 more\): expected unimodal, got bimo"):
        load_run(run)


def test_weights_with_a_part_that_the_settings_lack_are_refused(run):
    edit(run, "settings", "instances", "appearance", value={"weight": 0.7})
    with pytest.raises(DenfError, match=r"appearance.* \(and \d+ more\): expected .*, got None"):
        load_run(run)


def test_weights_of_another_method_are_refused(small, run):
    write_experiment(small(method="k-means"), run / "experiment.yaml")
    with pytest.raises(DenfError, match=r"method: expected k-means, got denf"):
        load_run(run)


def test_training_length_and_label_do_not_matter(run):
    edit(run, "training", "steps", value=7)
    edit(run, "label", value="another")
    _, experiment = load_run(run)
    assert experiment.training.steps == 7


def test_tensors_missing_or_in_excess_are_refused(run):
    weights = load_file(run / "model.safetensors")
    kept = {name: value for name, value in weights.items() if name != "image_size"}
    save_file(kept, run / "model.safetensors")
    with pytest.raises(DenfError, match=r"image_size: expected \(\), got no such tensor"):
        load_run(run)
    save_file({**weights, "extra": torch.zeros(2)}, run / "model.safetensors")
    with pytest.raises(DenfError, match=r"extra: expected no such tensor, got \(2,\)"):
        load_run(run)


@pytest.mark.parametrize("damage", ["empty", "short", "garbage", "header"])
def test_damaged_weights_are_refused(run, damage):
    path = run / "model.safetensors"
    whole = path.read_bytes()
    broken = {
        "empty": b"",
        "short": whole[:-100],
        "garbage": b"no weights at all, but some text",
        "header": whole[:8] + b"#" + whole[9:],
    }
    path.write_bytes(broken[damage])
    with pytest.raises(
        DenfError, match=r"model.safetensors: expected whole safetensors, got .*Tra"
    ):
        load_run(run)


def test_missing_files_are_named(run, tmp_path):
    (run / "model.safetensors").unlink()
    with pytest.raises(DenfError, match=r"got experiment\.yaml\. Name a folder"):
        load_run(run)
    with pytest.raises(DenfError, match="got no such folder"):
        load_run(tmp_path / "nowhere")


def test_a_full_disk_leaves_the_state_before(tmp_path, full_disk):
    store = StateStore(tmp_path / "run", KEY)
    store.save({"weights": torch.arange(3)}, step=1)
    with (
        full_disk(1 << 16),
        pytest.raises(OSError, match=r"step-000000002\..*\.pt cannot be written"),
    ):
        store.save({"weights": torch.zeros(1 << 16)}, step=2)
    assert [p.name.split(".")[0] for p in store.folder.iterdir()] == ["step-000000001"]
    found: list[torch.Tensor] = []
    assert store.restore(lambda state: found.append(state["weights"]))
    assert torch.equal(found[0], torch.arange(3))


def test_a_full_disk_leaves_the_weights_before(small, run, full_disk):
    path = run / "model.safetensors"
    before = path.read_bytes()
    experiment = small()
    with full_disk(1 << 10), pytest.raises(OSError, match="cannot be written"):
        save_weights(build(experiment, seed=6), experiment, path)
    assert path.read_bytes() == before
    assert [p.name for p in run.glob("*.tmp")] == []


def record(run: Path, sha256: str) -> None:
    (run / "run.json").write_text(json.dumps({"weights_sha256": sha256}))


def test_equal_weights_give_equal_files_in_every_process(small, run):
    script = (
        "import sys, torch; from pathlib import Path; "
        "from denf.harness.checkpoint import build, save_weights; "
        "from denf.harness.experiment import load_experiment; "
        "e = load_experiment(Path(sys.argv[1])); save_weights(build(e, 5), e, Path(sys.argv[2]))"
    )
    files = [run / "model.safetensors", run / "again.safetensors"]
    arguments = [sys.executable, "-c", script, run / "experiment.yaml", files[1]]
    subprocess.run(arguments, check=True, env={**os.environ, "PYTHONHASHSEED": "7"})
    own = yaml.safe_load((run / "experiment.yaml").read_text())["name"]
    assert own == small().name
    one, other = (path.read_bytes() for path in files)
    assert one == other
    assert files[0].stat().st_mode & 0o777 == 0o644
    assert torch.equal(load_file(files[0])["image_size"], load_file(files[1])["image_size"])


def test_weights_that_are_not_those_of_the_record_are_refused(small, run):
    weights = load_file(run / "model.safetensors")
    record(run, tensors_sha256(weights))
    load_run(run)
    name = next(n for n, v in weights.items() if v.is_floating_point() and v.numel())
    changed = {**weights, name: weights[name] + 1e-3}
    save_file(changed, run / "model.safetensors")
    with pytest.raises(DenfError, match=r"expected weights of SHA-256 .* as .*run\.json says"):
        load_run(run)
    with pytest.raises(DenfError, match="expected weights of SHA-256"):
        start_from(build(small(), seed=0), run)


def test_weights_that_are_not_finite_or_of_another_type_are_refused(run):
    weights = load_file(run / "model.safetensors")
    name = next(n for n, v in weights.items() if v.is_floating_point() and v.numel())
    broken = weights[name].clone()
    broken.view(-1)[0] = torch.nan
    save_file({**weights, name: broken}, run / "model.safetensors")
    with pytest.raises(DenfError, match="expected finite weights, got NaN"):
        load_run(run)
    save_file({**weights, name: weights[name].half()}, run / "model.safetensors")
    with pytest.raises(DenfError, match=r"expected torch\.float32, got torch\.float16"):
        load_run(run)


def test_no_flipped_bit_of_weights_or_states_passes(run, tmp_path):
    """Damage is named, or a state before it is taken; never other numbers."""
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    path = run / "model.safetensors"
    whole = path.read_bytes()
    record(run, tensors_sha256(load_file(path)))
    expected = tensors_sha256(load_run(run)[0].state_dict())
    named = equal = 0
    for _ in range(40):
        damaged = bytearray(whole)
        damaged[rng.integers(len(whole))] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            assert tensors_sha256(load_run(run)[0].state_dict()) == expected
            equal += 1
        except DenfError:
            named += 1
    print(f"weights: 40 flips, {named} named, {equal} equal")
    store = StateStore(tmp_path / "states/run", KEY)
    for step in (1, 2):
        store.save({"step": step, "weights": torch.arange(500.0)}, step)
    newest = store._generations()[0]
    whole = newest.read_bytes()
    for _ in range(100):
        damaged = bytearray(whole)
        damaged[rng.integers(len(whole))] ^= 1 << int(rng.integers(8))
        newest.write_bytes(damaged)
        taken: list[int] = []
        with pytest.warns(UserWarning, match="differs from its checksum"):
            assert store.restore(lambda state, taken=taken: taken.append(state["step"]))
        assert taken == [1]
    newest.write_bytes(whole)
    store.save({"step": 3, "weights": torch.arange(500.0)}, 3)
    assert len(store._generations()) == 2


def test_a_state_that_does_not_fit_gives_way_to_the_one_before(tmp_path):
    store = StateStore(tmp_path / "run", KEY)
    store.save({"step": 1}, 1)
    store.save({"other": 2}, 2)
    taken: list[int] = []
    with pytest.warns(UserWarning, match="missing key 'step'"):
        assert store.restore(lambda state: taken.append(state["step"]))
    assert taken == [1]
    store.save({"step": 2}, 2)  # beside the one of the same step that could not be used
    assert all(path.exists() for path in store._generations())
