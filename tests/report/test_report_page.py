"""The results page: text from the records, and images against their arrays."""

from __future__ import annotations

import base64
import io
import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from denf.report.lines import lines_of
from denf.report.literature import load_literature
from denf.report.loading import load_rows
from denf.report.numbers import count, decimal, duration, significant, size
from denf.report.page.build import write_page
from denf.report.page.gallery import galleries, samples
from denf.report.page.grids import grid_of
from denf.report.page.headline import comparison, headline
from denf.report.page.images import GAP, LARGEST, data_url, fitted, matched, tiled
from denf.report.page.plots import learning_curves, quality_and_cost
from denf.report.page.provenance import compared_settings, records
from denf.report.reference import Reference, load_references


def decode(url: str) -> np.ndarray:
    head, _, text = url.partition(",")
    assert head == "data:image/webp;base64"
    with Image.open(io.BytesIO(base64.b64decode(text))) as image:
        return np.asarray(image.convert("RGB"))


def add(folder, **arrays):
    """Add arrays to the panels of a run."""
    with np.load(folder / "panels.npz") as archive:
        known = dict(archive)
    np.savez(folder / "panels.npz", **known, **arrays)


@pytest.fixture
def pictured(drawn):
    """`drawn` with truth, reconstructions and samples for DeNF on CLEVR6."""
    rng = np.random.default_rng(1)
    folder = drawn / "clevr6/denf/seed-0"
    with np.load(folder / "panels.npz") as archive:
        truth = np.where(archive["labels"] == 0, 0, 3 - archive["labels"]).astype(np.uint8)
        image = archive["image"]
    made = rng.integers(0, 256, (3, 4, 32, 32, 3), dtype=np.uint8)
    add(folder, truth=truth, reconstruction=image, samples=made)
    return drawn


@given(st.permutations(range(4)), st.integers(0, 5))
def test_matched_segments_take_the_numbers_of_the_truth(order, shift):
    truth = np.repeat([[0, 0, 1, 2, 3, 3]], 4, axis=0)
    labels = np.array(order)[truth] + shift
    np.testing.assert_array_equal(matched(labels, truth), truth)


def test_segments_without_a_match_get_new_numbers():
    truth = np.array([[0, 0, 0, 0, 1, 1]])
    labels = np.array([[7, 7, 7, 2, 5, 5]])
    found = matched(labels, truth)
    np.testing.assert_array_equal(found[labels != 2], truth[labels != 2])
    assert found[labels == 2] > truth.max()


def test_tiles_and_sizes():
    pictures = [np.full((8, 10, 3), 20 * k, np.uint8) for k in range(5)]
    sheet = tiled(pictures, 3)
    assert sheet.shape == (16 + GAP, 30 + 2 * GAP, 3)
    assert (sheet[:8, 20 + 2 * GAP :] == 40).all()
    assert (sheet[8 + GAP :, 20 + 2 * GAP :] == 255).all()
    assert fitted(np.zeros((20, 20, 3), np.uint8)).shape == (80, 80, 3)
    assert fitted(np.zeros((256, 256, 3), np.uint8)).shape == (LARGEST, LARGEST, 3)
    assert decode(data_url(sheet)).shape == sheet.shape


def test_the_gallery_shows_every_scene_of_every_method(pictured):
    clevr, traffic = galleries(load_rows(pictured))
    assert [strip.kind for strip in clevr.scenes] == ["image", "truth"]
    assert [strip.kind for strip in traffic.scenes] == ["image"]
    (entry,) = clevr.entries
    kinds = [strip.kind for strip in entry.strips]
    assert kinds == ["segmentation", "boxes", "reconstruction", "background"]
    assert (entry.label, entry.detail) == ("DENF", "ARI-FG 90.0 · seed 0")
    pictures = {strip.kind: decode(strip.pictures[0]) for strip in [*clevr.scenes, *entry.strips]}
    assert {picture.shape for picture in pictures.values()} == {(64, 3 * 64 + 2 * GAP, 3)}
    # The truth has the same regions with other labels; matching gives both the same colours.
    np.testing.assert_array_equal(pictures["segmentation"], pictures["truth"])
    np.testing.assert_array_equal(pictures["reconstruction"], pictures["image"])
    assert not np.array_equal(pictures["background"], pictures["image"])


def test_methods_without_pictures_are_named(drawn, write_run):
    write_run("bare", 0)
    assert galleries(load_rows(drawn))[0].missing == ("BARE",)


def test_samples_are_shown_with_real_images(pictured):
    ((dataset, (real, made)),) = samples(load_rows(pictured))
    assert (dataset, real.label, made.label) == ("CLEVR6", "real images", "DENF")
    assert real.detail == "of the test split"
    assert decode(made.picture).shape[0] == 3 * 64 + 2 * GAP  # 12 samples in rows of four


def test_cells_link_to_the_record_of_their_run(runs, write_run, literature, tmp_path):
    write_run("denf", 0, ari_fg=0.951, notes=["one player has won"], aids=["view"])
    reference = tmp_path / "reference/denf-clevr6"
    write_run("denf", 7, ari_fg=0.93, dataset="elsewhere").rename(
        reference.parent.mkdir() or reference
    )
    rows = load_rows(runs)
    references = load_references(reference.parent)
    table = load_literature(literature)[0]
    grid = grid_of(table, lines_of(table, rows, references))
    row = next(cells for _, cells in grid.rows if cells[0].text == "DeNF (with aids)")
    cells = dict(zip(grid.head, row, strict=True))
    assert cells["Reproduced"].text == "95.1"
    assert cells["Reported"].text == "96.3 ± 0.2"
    assert cells["Reference run"].text == "93.0"
    assert cells["Method"].lines == ("NF", "with aids: view", "seed 0: one player has won")
    assert cells["Reproduced"].lines == ("seed 0", "seed 1: not run", "seed 2: not run")
    anchors = {record.anchor for record in records(rows, references)}
    assert {cells["Reproduced"].link, cells["Reference run"].link} <= anchors
    assert "Difference" not in grid.head or cells["Difference"].text != ""


def test_missing_values_sort_last(runs, write_run, literature):
    write_run("dcgan", 0, fid=50.0, tables=[2])
    for table in load_literature(literature)[:2]:
        grid = grid_of(table, lines_of(table, load_rows(runs)))
        orders = [cells[grid.head.index("Reproduced")].order for _, cells in grid.rows]
        best = min if table.better == "lower" else max
        assert abs(best(orders)) < 1e9 or len(set(orders)) == 1


def test_records_have_the_command_commit_data_and_scores_of_a_run(runs, write_run):
    write_run("denf", 0, ari_fg=0.9)
    (record,) = records(load_rows(runs), [])
    (run,) = record.runs
    assert run.command == "denf train denf.yaml --seed 0"
    assert ("commit", "c0ffee") in run.facts
    assert ("scored on, sha256", "ab" * 32) in run.facts
    assert ("ari_fg", "0.9") in run.scores
    assert "features: 64" in record.settings


def test_settings_are_flattened_for_comparison(runs, write_run):
    write_run("denf", 0, settings={"priors": {"noise": 0.1}, "sizes": [1, 2]})
    (entry,) = compared_settings(load_rows(runs), [])
    settings = entry["settings"]
    assert settings["settings.priors.noise"] == "0.1"
    assert settings["settings.sizes"] == "[1, 2]"
    assert settings["run.json.commit"] == "c0ffee"


def test_curves_equal_the_histories(drawn):
    curves = learning_curves(load_rows(drawn))
    assert [(curve["label"], curve["seed"]) for curve in curves] == [
        ("DENF", 0),
        ("DENF", 1),
        ("DENF-TRAFFIC", 0),
        ("DENF-TRAFFIC", 1),
    ]
    assert set(curves[0]["terms"]) == {"loss", "presence_fraction", "foreground_forward"}
    assert curves[0]["terms"]["loss"]["step"] == list(range(30))


def test_a_row_of_two_tables_is_plotted_once(runs, write_run, literature):
    folder = write_run("denf", 0, ari_fg=0.9, tables=[1, 3])
    record = json.loads((folder / "run.json").read_text())
    cost = {"steps": 5, "seconds": 12.0, "parameters": 100, "peak_memory_bytes": None}
    (folder / "run.json").write_text(json.dumps(record | cost))
    rows = load_rows(runs)
    lines = [line for table in load_literature(literature) for line in lines_of(table, rows)]
    (plot,) = quality_and_cost(lines)
    (point,) = plot["points"]
    assert (point["value"], point["seconds"]) == (pytest.approx(90), 12.0)
    assert point["peak_memory_bytes"] is None


def test_the_time_of_a_training_that_starts_from_another(runs, write_run, literature):
    for name, seconds, facts in (("denf", 60.0, {}), ("denf-plus", 12.0, {"weights": "denf"})):
        folder = write_run(name, 0, ari_fg=0.9, seeds=[0], **facts)
        record = json.loads((folder / "run.json").read_text())
        (folder / "run.json").write_text(json.dumps(record | {"steps": 5, "seconds": seconds}))
    rows = load_rows(runs)
    table = load_literature(literature)[0]
    lines = lines_of(table, rows, [Reference("known", rows[1])])
    (plot,) = quality_and_cost(lines)
    assert [point["seconds"] for point in plot["points"]] == [60.0, 72.0]
    grid = grid_of(table, lines)
    times = {cells[0].text: cells[grid.head.index("Training time")] for _, cells in grid.rows}
    assert (times["DENF-PLUS"].text, times["DENF-PLUS"].lines) == ("12 s", ("after denf",))
    assert (times["DeNF"].text, times["DeNF"].lines) == ("60 s", ())
    assert Reference("known", rows[1]).budget == "12 s of 1 CPU core after denf"


@pytest.mark.parametrize(
    ("protocol", "ending"),
    [
        ("paper", "and with the paper's beside it."),
        ("tiny", "whose data, sizes or budgets differ."),
    ],
)
def test_the_headline_names_the_values_to_compare_with(
    runs, write_run, literature, protocol, ending
):
    for seed in range(3):
        write_run("denf", seed, ari_fg=0.96, protocol=protocol)
    rows = load_rows(runs)
    lines = [line for table in load_literature(literature) for line in lines_of(table, rows)]
    head = headline(rows, lines, protocol)
    facts = dict(head.facts)
    assert facts["Seeds"] == "0, 1, 2"
    assert facts["Commit"] == "c0ffee"
    assert facts["Runs"] == "3 of 3 finished"
    assert facts["Data"] == "clevr6 at 128 × 128 pixels (320 test)"
    assert head.comparison.endswith(ending)
    assert comparison([], protocol) == ("No run has a score yet, so there is nothing to compare.")


def test_the_page_is_one_file_without_external_resources(pictured, literature, tmp_path):
    page = write_page(pictured, literature, tmp_path / "a/index.html", references=tmp_path / "no")
    text = page.read_text()
    assert page.stat().st_size < 15e6
    assert not re.findall(r"<(?:script|img)[^>]*\bsrc=[\"'](?!data:)", text)
    assert not re.findall(r"<link[^>]*\bhref=[\"'](?!data:)", text)
    assert [file.name for file in page.parent.iterdir()] == ["index.html"]
    again = write_page(pictured, literature, tmp_path / "b.html", references=tmp_path / "no")
    assert again.read_bytes() == page.read_bytes()


def test_text_of_records_is_escaped(runs, write_run, literature, tmp_path):
    attack = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
    folder = write_run("denf", 0, ari_fg=0.9, label=attack, notes=[attack], dataset="clevr6")
    (folder / "history.csv").write_text("step,loss\n1,2\n")
    page = write_page(runs, literature, tmp_path / "index.html", references=tmp_path / "no")
    assert attack not in page.read_text()
    assert "<img src=x" not in page.read_text()


def test_the_page_before_any_run(runs, literature, tmp_path):
    page = write_page(runs, literature, tmp_path / "index.html", references=tmp_path / "no")
    text = page.read_text()
    assert "No run has a score yet" in text
    assert "Nothing has been run yet." in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (decimal(-0.04), "0.0"),
        (decimal(-0.04, signed=True), "+0.0"),
        (decimal(-1.25, 1), "−1.2"),
        (significant(1211.34), "1,211"),
        (significant(0.0123456), "0.0123"),
        (significant(-0.000021), "−0.000021"),
        (significant(0.0), "0"),
        (significant(12.0), "12"),
        (significant(None), "—"),
        (count(1_234_000), "1.23 M"),
        (count(215_970), "216 k"),
        (size(922_714_112), "923 MB"),
        (duration(58.66), "58.7 s"),
        (duration(1171.87), "19.5 min"),
        (duration(8000), "2.22 h"),
    ],
)
def test_numbers_are_readable(text, expected):
    assert text == expected
