"""The contract of `denf.harness.method`, kept by every method and every experiment file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor

from denf.data.prepared import Prepared
from denf.harness.batches import batch_indices
from denf.harness.checkpoint import build, load_run, save_weights, write_experiment
from denf.harness.experiment import Experiment, load_experiment
from denf.harness.learning_curve import can_be_scored, validation_ari
from denf.harness.method import Capability, Method, Proposals, Step, UntrainedMethod
from denf.harness.registry import aids_type, method_modules, method_names, method_type

ROOT = Path(__file__).parents[2]
PROTOCOL = yaml.safe_load((ROOT / "config/config.yaml").read_text())
FILES = sorted((ROOT / "config/experiments").glob("*.yaml"))
SHRUNK = {
    "air": ["settings.overview=4", "settings.glimpse=6", "settings.hidden=8", "settings.head=8"],
    "blockgan": ["settings={size: 16, width: 2, objects: 2}"],
    "dcgan": ["settings={size: 16, width: 4, latent: 5}"],
    "denf": ["settings.architecture.features=2", "settings.architecture.couplings=1"],
    "dragan": ["settings={size: 16, width: 4, latent: 5}"],
    "dti-sprites": [
        "settings={size: 16, layers: 2, sprites: 2, sprite_size: 6, mask_std: 2, width: 4}",
        # All parts at work from the first step on: no sprite waits or is left out.
        "settings={hidden: 8, frozen_until: 0, projective_from: 0, empty_sprite: false}",
    ],
    "genesis": [
        "settings={size: 16, slots: 3, width: 0.125, hidden: 8, mask_latent: 4}",
        "settings={component_channels: 4, component_latent: 3}",
    ],
    "genesis-v2": ["settings={size: 16, slots: 3, features: 8, colours: 4}"],
    "gmair": ["settings.size=16", "settings.largest=9", "settings.what=8"],
    "iodine": [
        "settings={slots: 2, latent: 4, iterations: 2, hidden: [8], state: 8}",
        "settings={decoder_channels: [4, 4], encoder_channels: [4, 4]}",
    ],
    "monet": ["settings={size: 16, slots: 3, channels: 4, component_channels: 4, latent: 3}"],
    "obsurf": ["settings={channels: 8, hidden: 8, slots: 3, points: 100}"],
    "relate": ["settings={size: 16, width: 2, objects: 3}"],
    "slot-attention": ["settings={channels: 8, slot_size: 8, slots: 3}"],
    "space": ["settings.size=16", "settings.grid=2", "settings.components=2"],
    "spair": [
        "settings.cell=8",
        "settings.anchor=12",
        "settings.glimpse=6",
        "settings.hidden=8",
        "settings.training_wheels=0",  # every parameter learns from the first step on
    ],
}
# Changes of the aids that the protocol gives to the files of a method.
SHRUNK_AIDS = {
    "genesis": ["aids.view={shrink: 1}"],
    "iodine": ["aids.view={shrink: 2, size: 16}"],
    "monet": ["aids.view={shrink: 1}"],
    "obsurf": ["aids.view={size: 16}"],
    "slot-attention": ["aids.view={shrink: 1, size: 16}"],
}
BATCH, SIZE, STEPS = 3, 16, 2


def defaults(name: str, folder: Path) -> Experiment:
    """A method made small, and nothing else: no preset, no aids."""
    path = folder / "only.yaml"
    path.write_text(yaml.safe_dump({"method": name, "dataset": "squares"}))
    return load_experiment(path, changes=SHRUNK.get(name, ()))


@pytest.fixture(
    scope="module",
    params=[*method_names(), *FILES],
    ids=lambda p: p.stem if isinstance(p, Path) else f"defaults of {p}",
)
def experiment(request, tmp_path_factory) -> Experiment:
    """Every method by a file that names it alone, and every file of the suite, made small."""
    if isinstance(request.param, Path):
        method = load_experiment(request.param, PROTOCOL).method
        changes = [*SHRUNK.get(method, ()), *SHRUNK_AIDS.get(method, ())]
        return load_experiment(request.param, PROTOCOL, changes)
    return defaults(request.param, tmp_path_factory.mktemp("experiments"))


def train(experiment: Experiment, images: Tensor, seed: int) -> tuple[Method, list[Tensor]]:
    """Two steps as the training loop makes them; the method and its losses."""
    method = build(experiment, seed)
    return method, steps(method, images, seed)


def steps(
    method: Method, images: Tensor, seed: int, between: Callable[[], None] = lambda: None
) -> list[Tensor]:
    """The losses of two steps of a method that is not trained yet; `between` follows each."""
    method.train()
    method.optimizers = method.make_optimizers()
    losses = []
    for index in range(STEPS):
        generator = torch.Generator().manual_seed(100 * seed + index)
        batch = images[batch_indices(seed, index, len(images), BATCH)]
        scalars = method.training_step(batch, Step(index, STEPS, generator))
        check_scalars(scalars)
        losses.append(scalars["loss"])
        between()
    return losses


def check_scalars(scalars: Mapping[str, Tensor]) -> None:
    assert "loss" in scalars
    for name, value in scalars.items():
        assert value.shape == (), name
        assert not value.requires_grad, name
        assert torch.isfinite(value), name


@pytest.fixture(scope="module")
def images(scenes_tensor) -> Tensor:
    return scenes_tensor[0]


@pytest.fixture(scope="module")
def data(tmp_path_factory, write_scenes) -> Prepared:
    return write_scenes(tmp_path_factory.mktemp("data") / "train", count=8, size=SIZE)


@pytest.fixture(scope="module")
def scenes_tensor(data) -> tuple[Tensor, Tensor]:
    return torch.tensor(data.images).permute(0, 3, 1, 2), torch.tensor(data.masks)


@pytest.fixture(scope="module")
def trained(experiment, images) -> tuple[Method, list[Tensor]]:
    return train(experiment, images, seed=0)


def test_all_parameters_receive_gradients(trained):
    # The last layer of every coupling's networks starts at zero, so that no gradient gets past it
    # in the first step; what is left after the second has reached every layer.
    method, _ = trained
    parameters = dict(method.named_parameters())
    assert bool(parameters) != isinstance(method, UntrainedMethod)
    without = [n for n, p in parameters.items() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


def test_a_seed_gives_the_same_losses_and_weights(experiment, images, trained):
    method, losses = trained
    again, same = train(experiment, images, seed=0)
    assert torch.equal(torch.stack(losses), torch.stack(same))
    for name, value in method.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    if list(method.parameters()):
        other, losses_of_other_seed = train(experiment, images, seed=1)
        assert not torch.equal(torch.stack(losses), torch.stack(losses_of_other_seed))
        assert any(
            not torch.equal(p, q)
            for p, q in zip(method.parameters(), other.parameters(), strict=True)
        )


def test_scores_of_validation_scenes_change_no_training(experiment, data, images, trained):
    method = build(experiment, seed=0)
    if not can_be_scored(method):
        pytest.skip("it does not segment by itself")
    before = torch.get_rng_state()
    found = []
    losses = steps(method, images, 0, lambda: found.append(validation_ari(method, data, BATCH)))
    assert torch.equal(torch.get_rng_state(), before)
    assert len(found) == STEPS
    assert all(-1 <= score <= 1 for score in found)
    expected, undisturbed = trained
    assert torch.equal(torch.stack(losses), torch.stack(undisturbed))
    for name, value in expected.state_dict().items():
        assert torch.equal(value, method.state_dict()[name]), name


@pytest.mark.parametrize("name", [n for n in method_names() if method_modules(n).aids])
def test_aids_that_are_off_change_nothing(name, images, scenes_tensor, tmp_path):
    """With the defaults of its aids a method is the published one: losses, weights and outputs."""
    plain, losses = train(defaults(name, tmp_path), images, seed=0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        aided = method_type(name, aided=True)(plain.settings, aids_type(name)())  # type: ignore[call-arg]
    assert torch.equal(torch.stack(steps(aided, images, seed=0)), torch.stack(losses))
    others = aided.state_dict()
    for key, value in plain.state_dict().items():
        assert torch.equal(value, others.pop(key)), key
    assert others == {}
    truth = scenes_tensor[1][:BATCH]
    found = [outputs(m.eval(), images[:BATCH], truth) for m in (plain, aided)]
    torch.testing.assert_close(*found, rtol=0, atol=0)


@torch.no_grad()
def outputs(method: Method, images: Tensor, truth: Tensor) -> dict[str, Tensor]:
    """All that a method's capabilities return."""
    can, found = method.capabilities, {}
    shown = images.clone()
    if Capability.SEGMENT in can:
        segmentation = method.segment(images, truth if Capability.ORACLE in can else None)
        found["labels"] = segmentation.labels
        found["object_labels"] = segmentation.object_labels
    if Capability.RECONSTRUCT in can:
        found["reconstruct"] = method.reconstruct(images)
    if Capability.SAMPLE in can:
        found["sample"] = method.sample(2, torch.Generator().manual_seed(0))
    if Capability.RECOMPOSE in can:
        found["recompose"] = method.recompose(images, torch.Generator().manual_seed(0))
    if Capability.LOG_PROB in can:
        found["log_prob"] = method.log_prob(images)
    if Capability.BACKGROUND in can:
        found["background"] = method.without_objects(images)
    if Capability.BOXES in can:
        found |= {f"boxes {name}": value for name, value in vars(method.boxes(images)).items()}
    if Capability.INSPECT in can:
        found |= {f"inspect {name}": value for name, value in method.inspect(images).items()}
    assert torch.equal(images, shown), "the images were changed in place"
    return found


def test_saved_and_loaded_gives_equal_outputs(experiment, trained, scenes_tensor, tmp_path):
    images, truth = scenes_tensor[0][:BATCH], scenes_tensor[1][:BATCH]
    method = trained[0].eval()
    write_experiment(experiment, tmp_path / "experiment.yaml")
    save_weights(method, experiment, tmp_path / "model.safetensors")
    loaded, read = load_run(tmp_path)
    assert read == experiment
    assert type(loaded) is type(method)
    expected, got = outputs(method, images, truth), outputs(loaded, images, truth)
    assert expected.keys() == got.keys()
    for name, value in expected.items():
        torch.testing.assert_close(got[name], value, rtol=0, atol=0, equal_nan=True, msg=name)


def test_declared_capabilities_return_what_the_contract_says(trained, scenes_tensor):
    images, truth = scenes_tensor[0][:BATCH], scenes_tensor[1][:BATCH]
    method = trained[0].eval()
    assert method.capabilities
    assert all(isinstance(c, Capability) for c in method.capabilities)
    found = outputs(method, images, truth)
    pixels = (BATCH, SIZE, SIZE)
    for name in ("labels", "object_labels"):
        if name in found:
            assert found[name].shape == pixels
            assert not found[name].is_floating_point()
            assert found[name].dtype != torch.bool
            assert found[name].min() >= 0
    for name, count in (("sample", 2), ("recompose", BATCH)):
        if name in found:
            assert found[name].shape == (count, 3, SIZE, SIZE)
            assert found[name].dtype == torch.uint8
    for name in ("reconstruct", "background"):
        if name in found:
            assert found[name].shape == images.shape
            assert found[name].dtype == torch.float32
            assert 0 <= found[name].min() <= found[name].max() <= 1
    if Capability.BOXES in method.capabilities:
        assert Capability.SEGMENT in method.capabilities
        check_proposals(Proposals(**under("boxes ", found)))
    if "reconstruct" in found and "labels" in found:
        predicted = method.predict(images)
        assert torch.equal(predicted.segmentation.labels, found["labels"])
        assert torch.equal(predicted.segmentation.object_labels, found["object_labels"])
        torch.testing.assert_close(predicted.reconstruction, found["reconstruct"])
        if predicted.log_prob is not None:
            torch.testing.assert_close(predicted.log_prob, found["log_prob"])
        if predicted.background is not None:
            torch.testing.assert_close(predicted.background, found["background"])
        if predicted.proposals is not None:
            torch.testing.assert_close(vars(predicted.proposals), under("boxes ", found))
    if "log_prob" in found:
        assert found["log_prob"].shape == (BATCH,)
        assert found["log_prob"].is_floating_point()
        assert torch.isfinite(found["log_prob"]).all()
    for name, value in found.items():
        if name.startswith("inspect"):
            assert len(value) == BATCH, name
    if Capability.INSPECT in method.capabilities:
        assert method.trained_size == SIZE


def under(prefix: str, found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in found.items() if k.startswith(prefix)}


def check_proposals(proposals: Proposals) -> None:
    n = proposals.boxes.shape[1]
    assert proposals.boxes.shape == (BATCH, n, 4)
    assert proposals.anchors.shape == (BATCH, n, 2)
    for values in (proposals.boxes, proposals.anchors):
        assert values.is_floating_point()
        assert torch.isfinite(values).all()
    assert (proposals.boxes[..., 2:] >= proposals.boxes[..., :2]).all()
    assert proposals.present.shape == (BATCH, n)
    assert proposals.present.dtype == torch.bool
    assert proposals.count.shape == (BATCH,)
    assert not proposals.count.is_floating_point()
    assert (proposals.count >= 0).all()
    assert (proposals.count <= proposals.present.sum(1)).all()


def test_undeclared_capabilities_raise(trained, images):
    method, generator = trained[0], torch.Generator()
    calls = {
        Capability.SEGMENT: lambda: method.segment(images),
        Capability.RECONSTRUCT: lambda: method.reconstruct(images),
        Capability.SAMPLE: lambda: method.sample(1, generator),
        Capability.RECOMPOSE: lambda: method.recompose(images, generator),
        Capability.LOG_PROB: lambda: method.log_prob(images),
        Capability.BACKGROUND: lambda: method.without_objects(images),
        Capability.BOXES: lambda: method.boxes(images),
        Capability.INSPECT: lambda: method.inspect(images),
    }
    for capability in calls.keys() - method.capabilities:
        with pytest.raises(NotImplementedError):
            calls[capability]()
    if Capability.ORACLE in method.capabilities:
        with pytest.raises(ValueError, match="truth"):
            method.segment(images)
