"""Weights on disk: round trip, and refusal of what does not belong together."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from denf.errors import DenfError
from denf.harness.checkpoint import StateStore, build, load_run, save_weights, write_experiment


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
    with pytest.raises(DenfError, match=r"image_size .*expected \(\), got no such tensor"):
        load_run(run)
    save_file({**weights, "extra": torch.zeros(2)}, run / "model.safetensors")
    with pytest.raises(DenfError, match=r"extra .*expected no such tensor, got \(2,\)"):
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
    with pytest.raises(DenfError, match=r"got \['experiment.yaml'\]\. Train it"):
        load_run(run)
    with pytest.raises(DenfError, match="got no such folder"):
        load_run(tmp_path / "nowhere")


def test_a_full_disk_leaves_the_state_before(tmp_path, full_disk):
    store = StateStore(tmp_path / "run", "key")
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
