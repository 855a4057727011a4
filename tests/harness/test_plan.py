"""The plan of a protocol: names that exist, files that never change under a training."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from denf.errors import DenfError
from denf.harness.experiment import load_experiment
from denf.harness.plan import check_inputs, make_plan

DATA = {"id": "squares", "source": "render", "kind": "clevr6", "size": 16, "train": 4, "test": 4}
PROTOCOL = {
    "protocol": "small",
    "seeds": [0],
    "datasets": {"clevr6": DATA},
    "fid": {"samples": 4, "extractor": "random-conv-v1"},
}
ROWS = {
    "denf": {"method": "denf", "dataset": "clevr6", "training": {"steps": 3}},
    "denf-plus": {"extends": "denf", "weights": "denf"},
    "tiles": {"method": "tiles", "dataset": "clevr6", "training": {"steps": 0}},
}


@pytest.fixture
def folder(tmp_path) -> Path:
    experiments = tmp_path / "experiments"
    experiments.mkdir()
    for name, content in ROWS.items():
        (experiments / f"{name}.yaml").write_text(yaml.safe_dump(content))
    return experiments


@pytest.fixture
def plan(folder, tmp_path):
    def make(**changes):
        return make_plan(folder, {**PROTOCOL, **changes}, tmp_path / "plan", where="small.yaml")

    return make


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_training_computes_what_its_plan_says(plan):
    for row in plan()["experiments"]:
        experiment = load_experiment(Path(row["file"]))
        assert experiment.as_dict() == {k: row[k] for k in experiment.as_dict()}
        check_inputs(experiment, row["inputs_hash"], where=row["file"])
        with pytest.raises(DenfError, match="expected the experiment that was planned, 123, got"):
            check_inputs(experiment, "123", where=row["file"])


def test_another_plan_leaves_the_files_of_the_first_as_they_are(plan, folder, tmp_path):
    """Of another protocol, and after an edit of the experiment, in the same checkout."""
    plan()
    before = contents(tmp_path / "plan")
    plan(protocol="other", overrides={"denf": {"training": {"steps": 99}}})
    (folder / "denf.yaml").write_text(yaml.safe_dump({**ROWS["denf"], "training": {"steps": 7}}))
    plan()
    after = contents(tmp_path / "plan")
    assert len(after) > len(before)
    assert {name: after[name] for name in before} == before


@pytest.mark.parametrize("changes", [{"protocol": "other"}, {"seeds": [0, 1]}])
def test_protocols_of_equal_experiments_write_files_of_their_own(plan, changes):
    """A run records its protocol and seeds, though neither changes its weights."""
    first, second = plan()["experiments"], plan(**changes)["experiments"]
    for ours, theirs in zip(first, second, strict=True):
        assert ours["inputs_hash"] == theirs["inputs_hash"]
        for row in (ours, theirs):
            experiment = load_experiment(Path(row["file"])).as_dict()
            assert experiment == {key: row[key] for key in experiment}


def test_an_edited_label_is_the_same_run_and_reaches_the_file(plan, folder):
    first = {row["name"]: row for row in plan()["experiments"]}
    (folder / "denf.yaml").write_text(yaml.safe_dump({**ROWS["denf"], "label": "renamed"}))
    second = {row["name"]: row for row in plan()["experiments"]}
    for name in first:
        assert second[name]["inputs_hash"] == first[name]["inputs_hash"]
    assert load_experiment(Path(first["denf"]["file"])).label != "renamed"
    assert load_experiment(Path(second["denf"]["file"])).label == "renamed"


def test_a_published_file_that_lies_elsewhere_is_the_same_data(plan, tmp_path):
    def row(folder: str) -> dict:
        for video in range(2):
            (tmp_path / folder / f"f{video:03d}").mkdir(parents=True)
            for frame in range(2):
                (tmp_path / folder / f"f{video:03d}/{frame}.jpeg").write_bytes(b"")
        data = {"id": "rt", "source": "real-traffic", "size": 16, "path": str(tmp_path / folder)}
        return plan(datasets={"clevr6": data})["datasets"]["clevr6"]

    first, second = row("here"), row("there")
    assert first["content_hash"] == second["content_hash"]
    assert yaml.safe_load(Path(first["file"]).read_text())["path"] == str(tmp_path / "here")
    assert yaml.safe_load(Path(second["file"]).read_text())["path"] == str(tmp_path / "there")


def test_pictures_that_are_added_or_changed_are_seen(plan, tmp_path):
    pictures = tmp_path / "Anna's {new} photos"
    for split in ("train", "test"):
        (pictures / split).mkdir(parents=True)
        (pictures / split / "0.png").write_bytes(b"a")
    splits = {split: {"images": str(pictures / split)} for split in ("train", "test")}
    own = {"id": "own", "source": "folder", "size": 16, **splits}
    first = plan(datasets={"clevr6": own})["datasets"]["clevr6"]["own_files"]
    assert plan(datasets={"clevr6": own})["datasets"]["clevr6"]["own_files"] == first
    (pictures / "test" / "1.png").write_bytes(b"b")
    second = plan(datasets={"clevr6": own})["datasets"]["clevr6"]["own_files"]
    assert second["train"] == first["train"]
    assert second["test"] != first["test"]


def test_only_chooses(plan):
    assert [row["name"] for row in plan(only=["tiles"])["experiments"]] == ["tiles"]


def test_skip_leaves_out_what_only_does_not_name(plan):
    names = [row["name"] for row in plan(skip=["denf-plus"])["experiments"]]
    assert names == ["denf", "tiles"]
    assert [row["name"] for row in plan(only=["tiles"], skip=["tiles"])["experiments"]] == ["tiles"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"only": ["dnef"]},
            r"only: expected one of denf, denf-plus, tiles, got 'dnef'.*mean denf",
        ),
        ({"skip": ["tilse"]}, r"skip: expected one of denf, denf-plus, tiles, got 'tilse'"),
        ({"only": ["tiles", "denf-plsu"]}, r"got 'denf-plsu'\. Did you mean denf-plus"),
        ({"only": ["denf-plus"]}, r"denf-plus: weights.*got denf, which .*Add denf to `only`"),
        (
            {"overrides": {"slot-atention": {}}},
            r"overrides: .*'slot-atention'. Did you mean slot-at",
        ),
        ({"datasets": {"clevr": DATA}}, r"datasets.*got 'clevr6'. Did you mean clevr\?"),
        ({"preset": "embeded"}, r"preset: .*got 'embeded'. Did you mean embedded"),
        (
            {"overrides": {"denf": {"trainin": {"steps": 3}}}},
            r"^protocol small: overrides.denf: expected only .* Did you mean training\?",
        ),
        (
            {"overrides": {"k-means": {"settings": {"clusers": 3}}}},  # without an experiment here
            r"^protocol small: overrides.k-means: settings: .* Did you mean clusters\?",
        ),
        (
            {"fid": {"samples": 4, "extractor": "inception-v3-compat", "weights": "none.pth"}},
            r"^small.yaml: fid.weights: expected a file .*, got no such file: none.pth",
        ),
        (
            {"fid": {"samples": 4, "extractor": "random-conv-v1", "weights": "some.pth"}},
            r"^small.yaml: expected fid.weights: none, since random-conv-v1 reads no file, got",
        ),
        (
            {"datasets": {"clevr6": {**DATA, "test": 1}}, "overrides": {"tiles": {"tables": [2]}}},
            r"clevr6: expected 2 or more images in each split, since .* tiles .*, got .* test: 1",
        ),
        ({"sedes": [1]}, r"small.yaml: expected only the keys protocol, seeds, .*got sedes"),
        (
            {"datasets": {"clevr6": DATA, "traffic": {**DATA, "kind": "traffic"}}},
            r"datasets.traffic.id: expected another id than that of datasets.clevr6, .*'squares'",
        ),
    ],
)
def test_names_that_do_not_exist_are_refused_with_those_that_do(plan, changes, message):
    with pytest.raises(DenfError, match=message):
        plan(**changes)


def test_a_protocol_runs_at_least_one_experiment(plan):
    with pytest.raises(
        DenfError, match=r"small.yaml: skip: expected one experiment or more .*all 3"
    ):
        plan(skip=list(ROWS))
    assert len(plan(skip=list(ROWS), only=["tiles"])["experiments"]) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"tiles": {**ROWS["tiles"], "weights": "denf"}},
            "tiles: weights: expected an experiment of the same method, tiles, got denf, which is",
        ),
        (
            {"denf": {**ROWS["denf"], "weights": "denf-plus"}},
            "plus: weights: expected a chain .*, got the cycle denf-plus, denf, denf-plus. Remove",
        ),
        ({"denf": {**ROWS["denf"], "weights": "denf"}}, "expected one of denf-plus, tiles"),
        (
            {"denf-plus": {**ROWS["denf-plus"], "seeds": [0, 7]}},
            "denf-plus: seeds: expected some of those of denf, .*: 0, got 7. Add the seed to denf",
        ),
        (
            {
                "denf": {**ROWS["denf"], "weights": "third"},
                "third": {"extends": "tiles", "weights": "denf", "method": "denf"},
            },
            "denf: weights: .*, got the cycle denf, third, denf",
        ),
    ],
)
def test_first_weights_that_no_training_could_load_are_refused(plan, folder, changes, message):
    for name, content in changes.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(DenfError, match=message):
        plan()


def test_first_weights_may_be_those_of_a_run_that_has_first_weights(plan, folder):
    third = {"extends": "denf", "weights": "denf-plus"}
    (folder / "third.yaml").write_text(yaml.safe_dump(third))
    assert len(plan()["experiments"]) == 4


def test_one_data_set_under_two_keys_is_one(plan):
    datasets = plan(datasets={"clevr6": DATA, "traffic": dict(DATA)})["datasets"]
    assert datasets["clevr6"]["id"] == datasets["traffic"]["id"]


def test_files_on_another_machine_are_not_looked_for(plan, folder, tmp_path):
    data = {"id": "c6", "source": "clevr6", "size": 16, "path": "none"}
    protocol = {**PROTOCOL, "datasets": {"clevr6": data}}
    with pytest.raises(DenfError, match=r"small.yaml: datasets.clevr6.path: .* Check the path"):
        plan(datasets={"clevr6": data})
    found = make_plan(folder, protocol, tmp_path / "p", where="small.yaml", elsewhere=True)
    assert found["datasets"]["clevr6"]["path"] == "none"
