"""`denf show`: tables of a released run, and the stored pictures of any run on one sheet."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.table import Table
from rich.text import Text

from denf.errors import DenfError
from denf.show.panels import draw_panels
from denf.show.summary import print_run, sections

RUN = Path(__file__).parents[1] / "results/reference/denf-clevr6"


def cells(table: Table) -> dict[str, list[str]]:
    """Rows by their first cell."""
    columns = [[str(cell) for cell in column.cells] for column in table.columns]
    return {row[0]: list(row[1:]) for row in zip(*columns, strict=True)}


def test_the_tables_have_the_numbers_of_the_files():
    facts, settings, scores, history = sections(RUN)
    record = json.loads((RUN / "run.json").read_text())
    assert record["commit"] in cells(facts)["made by"][0]
    assert f"{record['steps']} steps" in cells(facts)["training"][0]
    changed = cells(settings)
    assert changed["architecture.features"] == ["16", "64"]
    assert "architecture.couplings" not in changed, "a default"
    metrics = json.loads((RUN / "metrics.json").read_text())
    for name in ("ari_fg", "box_iou"):
        mean, _, n = cells(scores)[name]
        assert float(mean) == pytest.approx(metrics[name]["mean"], rel=1e-2)
        assert int(n) == metrics[name]["n"]
    assert float(cells(scores)["right number"][0]) == metrics["count"]["right"]
    with (RUN / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert history.columns[1].header == Text(rows[0]["step"])
    assert history.columns[-1].header == Text(rows[-1]["step"])
    assert float(cells(history)["loss"][-1]) == pytest.approx(float(rows[-1]["loss"]), rel=1e-2)


def training(run: Path) -> str:
    return cells(next(iter(sections(run))))["training"][0]


def test_a_training_from_other_weights_says_so(tmp_path):
    start = "400 steps of 4 images from the weights of runs/c (SHA-256 8906f2d57046…), seed 0, "
    assert training(RUN).startswith(start)
    assert training(RUN.parent / "denf-traffic").startswith("1200 steps of 4 images, seed 0, ")
    shutil.copy(RUN / "experiment.yaml", tmp_path)
    record = json.loads((RUN / "run.json").read_text())
    for command, name in (
        ("denf train e.yaml --weights='two words' --seed 0", "two words"),
        ("denf train e.yaml --set weights=denf", "denf"),  # of experiment.yaml
        (None, "denf"),
    ):
        (tmp_path / "run.json").write_text(json.dumps({**record, "command": command}))
        assert f"images from the weights of {name} (SHA" in training(tmp_path)


def test_all_settings_are_shown_when_asked_for():
    shown = cells(list(sections(RUN, everything=True))[1])
    assert shown["architecture.couplings"] == ["4", "4"]
    assert len(shown) > 50


def test_aids_are_settings_with_defaults_of_their_own(tmp_path):
    (tmp_path / "experiment.yaml").write_text(
        "{method: air, dataset: own, settings: {rate: 0.5}, aids: {quiet: 0.1}}\n"
    )
    (_, settings) = sections(tmp_path)
    assert settings.title.startswith("Settings other than defaults, 2 of ")
    assert cells(settings) == {"rate": ["0.5", "0.0001"], "aids.quiet": ["0.1", "1.0"]}
    whole = cells(list(sections(tmp_path, everything=True))[1])
    assert settings.title.endswith(f" of {len(whole)}")
    assert all(default != "—" for key, (_, default) in whole.items() if key.startswith("aids."))


def test_a_run_without_scores_and_history_is_shown(tmp_path, capsys):
    (tmp_path / "experiment.yaml").write_text("{method: tiles, dataset: own}\n")
    print_run(tmp_path)
    printed = " ".join(capsys.readouterr().out.split())  # a long path wraps the line
    assert "method tiles" in printed
    assert "All settings are the method's defaults." in printed
    assert "None" not in printed


def test_a_damaged_file_is_named(tmp_path):
    for name in ("experiment.yaml", "run.json", "metrics.json", "history.csv"):
        shutil.copy(RUN / name, tmp_path)
    (tmp_path / "history.csv").write_text("step,loss\n1,much\n")
    with pytest.raises(DenfError, match=r"history\.csv: expected numbers under their names"):
        list(sections(tmp_path))
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(DenfError, match=r"run\.json: expected a mapping in JSON"):
        list(sections(tmp_path))
    with pytest.raises(DenfError, match=r"none: expected experiment\.yaml in it, got no"):
        list(sections(tmp_path / "none"))


@pytest.mark.parametrize("keys", [["labels"], ["labels", "boxes", "background", "samples"]])
def test_what_was_stored_is_drawn(tmp_path, keys):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    labels = rng.integers(0, 3, (3, 16, 16))
    boxes = np.array([[[1, 1, 9, 9], [np.nan] * 4]] * 3)
    stored = {"labels": labels, "boxes": boxes, "background": image, "samples": image[:, None]}
    np.savez(tmp_path / "panels.npz", image=image, **{key: stored[key] for key in keys})
    path = draw_panels(tmp_path, tmp_path / "new" / "sheet.png")
    with Image.open(path) as sheet:
        wide, high = sheet.size
        content = np.asarray(sheet.convert("RGB"))
    rows = 1 + len(keys)
    assert 150 * rows < high < 250 * rows
    assert wide > 3 * 150
    assert len(np.unique(content.reshape(-1, 3), axis=0)) > 100


def test_a_run_without_pictures_says_how_to_get_them(tmp_path):
    with pytest.raises(DenfError, match=r"got none\. Evaluate the run with `--panels "):
        draw_panels(RUN, tmp_path / "sheet.png")
    with pytest.raises(DenfError, match=r"file name that ends in \.png, got 'sheet\.pdf'"):
        draw_panels(RUN, tmp_path / "sheet.pdf")
    np.savez(tmp_path / "panels.npz")
    with pytest.raises(DenfError, match="expected pictures, got none"):
        draw_panels(tmp_path, tmp_path / "sheet.png")
