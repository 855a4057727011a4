"""A path that is no run folder: what it is, and which runs are near it."""

from __future__ import annotations

import pytest

from denf.errors import DenfError
from denf.run_folder import check_is_run

FILES = ("experiment.yaml", "model.safetensors")


@pytest.fixture
def runs(tmp_path):
    """Two experiments with three seeds each, the last of them without weights."""
    for name in ("air", "denf"):
        for seed in (0, 2, 10):
            folder = tmp_path / "runs/clevr6" / name / f"seed-{seed}"
            folder.mkdir(parents=True)
            (folder / "experiment.yaml").touch()
            if seed != 10:
                (folder / "model.safetensors").touch()
    return tmp_path / "runs"


def said(path, *files) -> str:
    with pytest.raises(DenfError) as told:
        check_is_run(path, *files)
    return str(told.value)


def test_a_run_is_accepted(runs):
    check_is_run(runs / "clevr6/denf/seed-0", *FILES)
    check_is_run(runs / "clevr6/denf/seed-10", FILES[0])


@pytest.mark.parametrize("above", ["clevr6/denf", "clevr6", ""])
def test_runs_at_any_depth_are_named_in_their_order(runs, above):
    text = said(runs / above, *FILES)
    assert "expected experiment.yaml and model.safetensors in it, got none. Choose a run" in text
    first, second = (str(runs / "clevr6/denf" / seed) for seed in ("seed-0", "seed-2"))
    assert f"{first}, {second}." in text
    assert "seed-10" not in text
    assert said(runs, FILES[0]).endswith(
        f"/air/seed-10, {runs}/clevr6/denf/seed-0, {runs}/clevr6/denf/seed-2 and 1 more."
    )


def test_a_file_leads_to_its_folder(runs, tmp_path):
    run = runs / "clevr6/denf/seed-0"
    assert f"got a file. Name its folder, {run}." in said(run / "model.safetensors", *FILES)
    (tmp_path / "rgb.png").touch()
    assert "got a file. Name a folder that `denf train`" in said(tmp_path / "rgb.png", *FILES)
    assert "got no such folder. Name a folder" in said(tmp_path / "none", *FILES)


def test_a_release_without_weights_says_how_to_get_them(tmp_path):
    (tmp_path / "experiment.yaml").touch()
    (tmp_path / "run.json").write_text('{"seed": 2, "first_weights_sha256": null}')
    text = said(tmp_path, *FILES)
    assert "got experiment.yaml. Its weights were not released with it: files over 16 MiB" in text
    start = f"Train it again: `denf train {tmp_path}/experiment.yaml --data DATA"
    assert text.endswith(f"{start} --seed 2 --out RUN`.")
    assert start in said(tmp_path, FILES[1])
    (tmp_path / "run.json").write_text('{"seed": 0, "first_weights_sha256": "7ef36a2cf6a1"}')
    assert said(tmp_path, *FILES).endswith(f"{start} --weights FIRST-RUN --seed 0 --out RUN`.")
    (tmp_path / "experiment.yaml").unlink()
    assert "got none. Name a folder that `denf train`" in said(tmp_path, *FILES)


def test_a_stopped_training_is_to_be_resumed(runs):
    run = runs / "clevr6/denf/seed-3"
    state = run.parent / ".state/seed-3/key"
    state.mkdir(parents=True)
    (state / "step-000000037.abc.pt").touch()
    assert "got no such folder. Its training was stopped: repeat" in said(run, *FILES)
    run.mkdir()
    (run / "experiment.yaml").touch()
    assert "got experiment.yaml. Its training was stopped: repeat" in said(run, *FILES)
