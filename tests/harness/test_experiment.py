"""Experiment files: what comes over what, what is refused and how, what a fingerprint sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from denf.errors import DenfError
from denf.harness.checkpoint import write_experiment
from denf.harness.experiment import load_experiment, load_experiments
from denf.harness.layers import merge
from denf.harness.registry import method_modules, method_names

ROOT = Path(__file__).parents[2]


@pytest.fixture
def write(tmp_path):
    """Write experiment files: name and keys, or text as it is."""

    def files(**contents: dict[str, Any] | str) -> Path:
        for name, content in contents.items():
            text = content if isinstance(content, str) else yaml.safe_dump(content)
            (tmp_path / f"{name}.yaml").write_text(text)
        return tmp_path / f"{next(iter(contents))}.yaml"

    return files


DENF = {"method": "denf", "dataset": "clevr6"}


def test_defaults(write):
    found = load_experiment(write(own=DENF))
    assert (found.name, found.label, found.group, found.tables) == ("own", "own", "method", ())
    assert (found.seeds, found.protocol) == ((0,), "none")
    assert found.training.total_steps(600) == 1000  # A.4: 20 epochs in batches of 12
    assert found.training.changed(steps=7).total_steps(600) == 7


def test_precedence(write):
    """Extended file < the protocol's overrides < the file's own keys < --set."""
    sizes = {"features": 10, "couplings": 1, "squeezes": 1, "clamp": 1.0, "squeeze": "pixels"}
    base = {**DENF, "label": "base", "tables": [1], "settings": {"architecture": sizes}}
    own = {"extends": "base", "settings": {"architecture": {"squeezes": 2, "clamp": 3.0}}}
    protocol = {
        "protocol": "small",
        "seeds": [4, 5],
        "overrides": {
            "denf": {
                "settings": {"architecture": {"couplings": 2, "squeezes": 1, "clamp": 2.0}},
                "training": {"steps": 9},
            },
            "k-means": {"settings": {"clusters": 3}},
        },
    }
    path = write(own=own, base=base)
    found = load_experiment(path, protocol, ["settings.architecture.clamp=4", "label=x"])
    got = found.settings["architecture"]
    assert got == {**sizes, "couplings": 2, "squeezes": 2, "clamp": 4.0}
    assert (found.seeds, found.protocol, found.training.steps) == ((4, 5), "small", 9)
    # a file that extends another is an ablation under its own name
    assert (found.name, found.group, found.tables) == ("own", "ablation", (3,))
    assert load_experiment(path, protocol).label == "own"
    # a file that extends nothing is an experiment of the protocol's size: overrides come last
    alone = load_experiment(path.with_name("base.yaml"), protocol)
    assert alone.settings["architecture"] == {**sizes, "couplings": 2, "clamp": 2.0}


def test_overrides_of_an_experiment_come_after_those_of_its_method(write):
    protocol = {
        "protocol": "small",
        "overrides": {
            "denf": {"training": {"steps": 9, "batch_size": 2}},
            "own": {"training": {"steps": 3}},
            "k-means": {"training": {"steps": 5}},
        },
    }
    path = write(own={"extends": "base"}, base=DENF, **{"k-means": {"extends": "base"}})
    found = load_experiment(path, protocol).training
    assert (found.steps, found.batch_size) == (3, 2)
    # a name that a method has too stands for the method
    assert load_experiment(path.with_name("k-means.yaml"), protocol).training.steps == 9


def test_changes_are_yaml(write):
    changes = ["seeds=[3, 1]", "settings.graph=true", "training.steps=5", "settings.mirror=yes"]
    found = load_experiment(write(own=DENF), changes=[*changes, "settings.learning_rate=1e-5"])
    assert found.seeds == (3, 1)
    assert (found.settings["graph"], found.training.steps) == (True, 5)
    assert (found.settings["mirror"], found.settings["learning_rate"]) == (True, 1e-5)


def test_own_seeds_come_before_the_protocols(write):
    protocol = {"protocol": "p", "seeds": [0, 1, 2]}
    assert load_experiment(write(own={**DENF, "seeds": [7]}), protocol).seeds == (7,)


REFUSED = {
    "unknown key": (
        {**DENF, "metod": 1},
        r"own.yaml: expected only the keys name, method, dataset, .*training, got metod: 1",
    ),
    "unknown nested key": (
        {**DENF, "training": {"step": 3}},
        r"own.yaml: expected only the keys epochs, steps, .*, got training.step: 3",
    ),
    "unknown setting": (
        {**DENF, "settings": {"architecture": {"feature": 3}}},
        r"own.yaml: settings: expected only the keys features, couplings, .*"
        r"got architecture.feature: 3",
    ),
    "unknown setting of a baseline": (
        {"method": "k-means", "dataset": "x", "settings": {"k": 3}},
        r"own.yaml: settings: expected only the keys clusters, position, seed, got k: 3",
    ),
    "setting of a method without": (
        {"method": "one-segment", "dataset": "x", "settings": {"k": 3}},
        r"own.yaml: settings: expected no keys, got k: 3",
    ),
    "wrong type": (
        {**DENF, "training": {"batch_size": "many"}},
        r"own.yaml: expected training.batch_size: a whole number, got 'many'",
    ),
    "setting that is an aid": (
        {"method": "air", "dataset": "x", "settings": {"quiet": 0.1}},
        r"own.yaml: settings: expected only the keys steps, .*baseline_rate, got quiet: 0.1",
    ),
    "unknown aid": (
        {"method": "air", "dataset": "x", "aids": {"quite": 0.1}},
        r"own.yaml: aids: expected only the keys above_background, .*got quite: 0.1",
    ),
    "aids of a method without": (
        {**DENF, "aids": {"quiet": 0.1}},
        r"own.yaml: method denf: aids: expected none, got some. Write aids.py and aid_settings.py",
    ),
    "repeated key": (
        "method: denf\ndataset: x\nsettings: {mirror: true}\nsettings: {union: clamp}",
        r"(?s)own.yaml: expected a readable YAML file, .*'settings' was first given.*line 3",
    ),
    "mapping in place of a value": (
        {**DENF, "settings": {"learning_rate": {"start": 1}}},
        r"settings: expected learning_rate: a number, got \{'start': 1\}",
    ),
    "value in place of a mapping": (
        {**DENF, "settings": 3},
        r"own.yaml: expected settings: a mapping of keys, got 3",
    ),
    "out of range": (
        {**DENF, "settings": {"priors": {"scale_std": 0}}},
        r"own.yaml: settings: expected priors.scale_std: a number above 0, got 0",
    ),
    "not one of the choices": (
        {**DENF, "settings": {"union": "sum"}},
        r"settings: expected union: one of 'smooth' or 'clamp', got 'sum'",
    ),
    "endless": (
        {**DENF, "training": {"epochs": float("inf")}},
        r"own.yaml: expected training.epochs: a finite number, got inf",
    ),
    "no seeds": ({**DENF, "seeds": []}, r"own.yaml: expected seeds: 1 or more of them"),
    "negative seed": ({**DENF, "seeds": [1, -1]}, r"expected seeds.1: 0 or more, got -1"),
    "unknown table": ({**DENF, "tables": [4]}, r"expected tables.0: one of 1, 2 or 3, got 4"),
    "no method": ({"dataset": "x"}, r"own.yaml: expected the key method, got nothing"),
    "unknown method": (
        {"method": "dnf", "dataset": "x"},
        r"own.yaml: method: expected one of air, .*, got 'dnf'. Did you mean denf",
    ),
    "missing parent": (
        {"extends": "parent"},
        r"own.yaml: extends: expected .*beside it, got 'parent'. There are: own\.",
    ),
    "not a mapping": ("[1, 2]", r"own.yaml: expected a mapping .*, got list"),
    "empty": ("", r"own.yaml: expected a mapping .*, got NoneType"),
    "no YAML": ("a: [1\nb: 2", r"(?s)own.yaml: expected a readable YAML file, got .*line 2"),
}


@pytest.mark.parametrize(("content", "message"), REFUSED.values(), ids=REFUSED)
def test_refusals_name_file_key_value_and_what_is_allowed(write, content, message):
    with pytest.raises(DenfError, match=message):
        load_experiment(write(own=content))


def test_all_problems_are_told_at_once(write):
    bad = {**DENF, "training": {"steps": -1, "epoch": 2}}
    with pytest.raises(
        DenfError,
        match=r"only the keys epochs, .*; expected training.steps: 0 or more, got -1. Did",
    ):
        load_experiment(write(own=bad))


def test_chained_extends_is_refused(write):
    path = write(own={"extends": "middle"}, middle={"extends": "base"}, base=DENF)
    with pytest.raises(DenfError, match=r"extends nothing, got middle.yaml, which extends base"):
        load_experiment(path)


@pytest.mark.parametrize("name", ["../../x", "a/b", "", ".hidden", "a\0b", None, 3, ["base"]])
def test_only_names_of_files_beside_it_are_extended(write, name):
    with pytest.raises(DenfError, match=r"own.yaml: extends: expected the name of a file"):
        load_experiment(write(own={"extends": name}, base=DENF))


@pytest.mark.parametrize("name", ["mine.yml", "mine.YAML", "my row.yaml"])
def test_files_that_would_not_be_found_under_their_name_are_told(write, name):
    write(own=DENF).with_name(name).write_text("extends: own")
    with pytest.raises(DenfError, match=rf"{name}: expected a name .* suffix .yaml, got '{name}'"):
        load_experiments(write(own=DENF).parent, {})


def test_a_protocol_in_place_of_an_experiment_is_told_in_one_line():
    with pytest.raises(DenfError, match=r"^experiment file .*, got a protocol\. .*--protocol .*$"):
        load_experiment(ROOT / "config/config.yaml")


def test_missing_file_and_empty_folder(tmp_path):
    with pytest.raises(DenfError, match=r"nowhere.yaml: expected a readable YAML file.*Check the"):
        load_experiment(tmp_path / "nowhere.yaml")
    with pytest.raises(DenfError, match=r"expected \*.yaml files, got none"):
        load_experiments(tmp_path, {})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("seeds", r"--set: expected key.subkey=value, got 'seeds'"),
        ("seeds=[1", r"--set seeds: expected a value in YAML, got '\[1'"),
        ("density=1", r"^--set density: expected .*, got density: 1. Did you mean settings.weig"),
        ("weights.density=1", r"^--set weights.density: .*mean settings.weights.density\?"),
        ("settings.weights.densty=1", r"^--set settings.weights.densty: .*mean weights.density\?"),
        ("steps=1", r"^--set steps: .*mean training.steps\?"),
        ("training.batch_size=0", r"^--set training.batch_size: .* 1 or more, got 0"),
        ("method=dnf", r"^--set method: .*mean denf\?"),
        (".steps=1", r"--set: expected key.subkey=value, got '.steps=1'"),
        ("training.stps=1", r"expected only the keys epochs, steps, .*got training.stps: 1"),
        (
            "settings.union.x=1",
            r"--set settings.union.x: settings: expected union: one of 'smooth' or 'clamp'",
        ),
    ],
)
def test_bad_changes(write, change, message):
    with pytest.raises(DenfError, match=message):
        load_experiment(write(own=DENF), changes=[change])


def test_bad_overrides_name_the_protocol(write):
    path = write(own=DENF)
    where = r"protocol small: overrides.denf: "
    bad = {"protocol": "small", "overrides": {"denf": {"setings": {}}}}
    with pytest.raises(DenfError, match=where + "expected only the keys"):
        load_experiment(path, bad)
    with pytest.raises(DenfError, match=r"overrides.denf: expected a mapping .*, got 3"):
        load_experiment(path, {"protocol": "small", "overrides": {"denf": 3}})
    assert load_experiment(path, {"protocol": "small", "overrides": None}).protocol == "small"


def test_fingerprint_sees_what_the_weights_depend_on(write):
    base = {**DENF, "settings": {"mirror": False}}
    one = load_experiment(write(own=base)).fingerprint()

    def changed(**keys: Any) -> str:
        return load_experiment(write(own=merge(base, keys))).fingerprint()

    for same in (
        {"label": "x", "framework": "y", "group": "control", "tables": [1], "seeds": [8]},
        {"dataset": "other", "protocol": "z"},
        {"training": {"log_every": 1, "save_minutes": 0}},
        {"training": {"epochs": 20.0, "batch_size": 12}},  # the defaults, written out
    ):
        assert changed(**same) == one, same
    for other in (
        {"settings": {"mirror": True}},
        {"settings": {"priors": {"noise": 0.1}}},
        {"training": {"batch_size": 13}},
        {"settings": {"precision": "bfloat16"}},
        {"training": {"threads": 2}},
    ):
        assert changed(**other) != one, other
    controls = [{"method": name, "dataset": "clevr6"} for name in ("true-labels", "one-segment")]
    assert len({load_experiment(write(own=c)).fingerprint() for c in controls}) == 2


@pytest.mark.parametrize(
    "path", sorted((ROOT / "config/experiments").glob("*.yaml")), ids=lambda p: p.stem
)
@pytest.mark.parametrize("protocol", ["config", "paper"])
def test_a_resolved_file_resolves_to_itself(tmp_path, path, protocol):
    configuration = yaml.safe_load((ROOT / f"config/{protocol}.yaml").read_text())
    found = load_experiment(path, configuration)
    write_experiment(found, tmp_path / "experiment.yaml")
    again = load_experiment(tmp_path / "experiment.yaml")
    assert again == found
    assert again.fingerprint() == found.fingerprint()


AIR = {"method": "air", "dataset": "clevr6"}


def test_a_row_with_aids_says_so(write):
    """In its label, once, however often it is resolved; aids that are all off are none."""
    found = load_experiment(write(own={**AIR, "label": "AIR", "aids": {"quiet": 0.1}}))
    assert found.label == "AIR (with aids)"
    assert (found.aids["quiet"], found.aids["training_wheels"]) == (0.1, 0)
    again = load_experiment(write(own=found.as_dict()))
    assert again.label == "AIR (with aids)"
    off = load_experiment(write(own={**AIR, "label": "AIR", "aids": {"quiet": 1}}))
    assert (off.label, off.aids) == ("AIR", {})


def test_aids_change_the_fingerprint_and_none_do_not(write):
    plain, off, aided = (
        load_experiment(write(own={**AIR, **aids})).fingerprint()
        for aids in ({}, {"aids": {"quiet": 1.0}}, {"aids": {"quiet": 0.1}})
    )
    assert plain == off != aided
    assert "aids" not in load_experiment(write(own=AIR)).as_dict()


def test_presets_come_before_overrides_and_own_keys(write):
    """The extended file < preset < overrides < own keys."""
    base = {**AIR, "settings": {"hidden": 8, "rate": 0.5}, "training": {"steps": 1}}
    own = {"extends": "base", "settings": {"head": 9}}
    path = write(own=own, base=base)
    embedded = {"protocol": "small", "preset": "embedded"}
    found = load_experiment(path, embedded)
    sizes = [found.settings[k] for k in ("hidden", "rate", "head", "glimpse", "steps")]
    assert sizes == [128, 0.0007, 9, 14, 6]
    assert (found.training.steps, found.aids["std_bias"]) == (500, -2)
    over = {"settings": {"hidden": 3, "head": 3}, "aids": {"std_bias": 0}}
    found = load_experiment(path, {**embedded, "overrides": {"air": over}})
    assert (found.settings["hidden"], found.settings["head"]) == (3, 9)
    assert (found.aids["std_bias"], found.aids["quiet"]) == (0, 0.1)


def test_presets_have_parts_for_single_experiments(write):
    protocol = {"protocol": "small", "preset": "embedded"}
    path = write(**{"denf-plus": {"extends": "base"}}, base=DENF)
    assert load_experiment(path, protocol).training.steps == 100
    assert load_experiment(path.with_name("base.yaml"), protocol).training.steps == 400


def test_parts_of_the_suites_presets_are_for_its_experiments():
    """Planning does not look for them: a folder of one's own need not have those experiments."""
    methods = {e.name: e.method for e in load_experiments(ROOT / "config/experiments", {})}
    named = {
        (name, method)
        for method in method_names()
        for file in method_modules(method).presets.glob("*.yaml")
        for name in yaml.safe_load(file.read_text()).get("experiments", {})
    }
    assert ("denf-plus", "denf") in named
    assert named <= set(methods.items())


def test_a_method_without_the_preset_runs_as_it_is(write):
    protocol = {"protocol": "small", "preset": "embedded"}
    path = write(own={"method": "k-means", "dataset": "x", "training": {"steps": 0}})
    assert load_experiment(path, protocol) == load_experiment(path).changed(protocol="small")


def test_an_unknown_preset_is_refused_with_the_nearest(write):
    with pytest.raises(DenfError, match=r"preset: .*ci, embedded, paper.*mean embedded\?"):
        load_experiment(write(own=AIR), {"protocol": "p", "preset": "embeded"})


@pytest.mark.parametrize("name", ["denf+warm", "denf(1)", "denf copy", "denf's", "-denf"])
def test_names_that_break_commands_are_refused(write, tmp_path, name):
    write(**{name: DENF})
    with pytest.raises(DenfError, match=r"letters, digits, hyphens and underscores.*Rename"):
        load_experiments(tmp_path, {})


def test_a_copy_of_a_resolved_file_keeps_no_other_name(write, tmp_path):
    write(copy={**DENF, "name": "own"}, own=DENF)
    with pytest.raises(DenfError, match=r"copy\.yaml, name: expected copy, as the file, got 'own'"):
        load_experiments(tmp_path, {})


def test_hidden_files_are_no_experiments(write, tmp_path):
    write(own=DENF, **{"._own": "\0"})
    assert [e.name for e in load_experiments(tmp_path, {})] == ["own"]
