"""Tables: every number traced to its file, with every row and seed."""

from __future__ import annotations

import csv
import json
import statistics
from pathlib import Path

import pytest

from denf.report.markup import Sheet, escape_latex, to_latex, to_markdown
from denf.report.tables import COLUMNS, write_tables


def read(out: Path, number: int) -> dict[str, dict[str, str]]:
    lines = list(csv.DictReader((out / f"table{number}.csv").read_text().splitlines()))
    assert all(set(line) <= set(COLUMNS) for line in lines)
    return {line["experiment"]: line for line in lines}


def markdown_cells(out: Path, number: int, begin: str) -> dict[str, str]:
    lines = (out / f"table{number}.md").read_text().splitlines()
    head = next(line for line in lines if line.startswith("| Method"))
    line = next(line for line in lines if line.startswith(f"| {begin}"))
    split = [[cell.strip() for cell in text.strip("|").split(" | ")] for text in (head, line)]
    return dict(zip(*split, strict=True))


def test_every_number_traces_to_its_file(runs, write_run, literature, tmp_path):
    for seed, value in enumerate((0.951, 0.967, 0.958)):
        write_run("denf", seed, ari_fg=value, tables=[1, 3])
    out = tmp_path / "tables"
    written = write_tables(runs, literature, out)
    assert [path.name for path in written] == [
        *(f"table{n}.{suffix}" for n in (1, 2, 3) for suffix in ("csv", "md", "tex")),
        "columns.csv",
    ]
    assert sorted(path.name for path in out.iterdir()) == sorted(path.name for path in written)
    for number in (1, 3):
        line = read(out, number)["denf"]
        files = line["files"].split("; ")
        stored = [json.loads(Path(file).read_text()) for file in files]
        values = [100 * content["ari_fg"]["mean"] for content in stored]
        assert len(values) == 3
        assert float(line["mean"]) == pytest.approx(statistics.fmean(values), abs=1e-10)
        assert float(line["std"]) == pytest.approx(statistics.stdev(values), abs=1e-10)
        assert float(line["difference"]) == pytest.approx(statistics.fmean(values) - 96.3)
        assert float(line["ci_low"]) < float(line["mean"]) < float(line["ci_high"])
        for key in ("ari_fg_strict", "ari"):
            mean = statistics.fmean(100 * content[key]["mean"] for content in stored)
            assert float(line[f"{key}_mean"]) == pytest.approx(mean, abs=1e-10)
        texts = [f"{seed}={content['ari_fg']['mean']!r}" for seed, content in enumerate(stored)]
        assert line["values"] == "; ".join(texts)
        assert line["commands"].split("; ")[2] == "denf train denf.yaml --seed 2"
    cells = markdown_cells(out, 1, "DeNF")
    assert cells["Reproduced"] == "95.9 ± 0.8"
    assert cells["Reported"] == "96.3 ± 0.2"
    assert (cells["Difference"], cells["Verdict"], cells["Seeds"]) == ("−0.4", "match", "0, 1, 2")


def test_cost_is_in_the_tables(runs, write_run, literature, tmp_path):
    for seed, speed in enumerate((10.0, 14.0)):
        write_run("denf", seed, ari_fg=0.9)
        file = next(runs.rglob(f"denf/seed-{seed}/run.json"))
        cost = {"steps": 5, "parameters": 1_234_000, "images_per_second": speed}
        file.write_text(json.dumps({**json.loads(file.read_text()), **cost}))
    write_run("true-labels", 0, ari_fg=1.0, seeds=[0], group="control")
    write_tables(runs, literature, tmp_path / "t")
    line = read(tmp_path / "t", 1)["denf"]
    assert (float(line["parameters"]), float(line["images_per_second"])) == (1_234_000, 12)
    cells = markdown_cells(tmp_path / "t", 1, "DeNF")
    assert (cells["Parameters"], cells["Training images/s"]) == ("1.23 M", "12")
    assert read(tmp_path / "t", 1)["true-labels"]["parameters"] == ""


def test_the_protocol_of_every_reported_value_is_given(runs, literature, tmp_path):
    write_tables(runs, literature, tmp_path / "t")
    lines = read(tmp_path / "t", 1)
    text = (tmp_path / "t" / "table1.md").read_text()
    assert lines["iodine"]["reported_protocol"] == lines["monet"]["reported_protocol"]
    assert lines["iodine"]["reported_protocol"] != lines["dti-sprites"]["reported_protocol"]
    assert "- IODINE, MONet, Slot Att.: Emami et al. (2021), Table 1" in text
    assert "- Sprites: the protocol of this value was not found" in text


def test_before_any_run_all_reported_rows_are_there(runs, literature, tmp_path):
    write_tables(runs, literature, tmp_path / "t")
    for number, count in ((1, 6), (2, 6), (3, 3)):
        lines = read(tmp_path / "t", number)
        assert len(lines) == count
        assert {line["verdict"] for line in lines.values()} == {"not run"}
        assert {line["mean"] for line in lines.values()} == {""}
        text = (tmp_path / "t" / f"table{number}.md").read_text()
        assert "Nothing has been run yet." in text
        assert "Where the numbers come from" not in text


@pytest.mark.parametrize(
    ("experiment", "data", "objection"),
    [
        ({"protocol": "embedded"}, {}, "protocol embedded in place of paper"),
        ({}, {"size": 64}, "size 64 in place of 128"),
        ({}, {"count": 100}, "count 100 in place of 320 or more"),
        ({}, {"count": None}, "count unknown in place of 320 or more"),
        ({}, {"split": "train"}, "split train in place of test"),
        ({}, {"source": "my renders"}, "source my renders in place of https:"),
    ],
)
def test_embedded_and_small_data_get_no_verdict(
    runs, write_run, literature, tmp_path, experiment, data, objection
):
    for seed in range(3):
        write_run("denf", seed, ari_fg=0.963, data=data, **experiment)
    write_tables(runs, literature, tmp_path / "t")
    line = read(tmp_path / "t", 1)["denf"]
    assert (line["verdict"], line["difference"]) == ("—", "")
    assert line["no_verdict_because"].startswith(objection)
    for suffix in ("md", "tex"):
        text = (tmp_path / "t" / f"table1.{suffix}").read_text()
        assert "No difference and no verdict is given for any row" in text
        assert objection in text


@pytest.mark.parametrize(
    ("value", "verdict"), [(0.97, "match"), (0.98, "above"), (0.95, "below"), (0.973, "match")]
)
def test_verdicts_on_the_papers_protocol(runs, write_run, literature, tmp_path, value, verdict):
    write_run("denf", 0, ari_fg=value, seeds=[0])
    write_tables(runs, literature, tmp_path / "t")
    line = read(tmp_path / "t", 1)["denf"]
    assert line["verdict"] == verdict
    assert (line["std"], line["ci_low"]) == ("", "")  # one seed has neither
    caption = (tmp_path / "t" / "table1.md").read_text().splitlines()[0]
    assert "Match: within ± 1 of the reported mean" in caption
    assert "clevr6 test (320 scenes of 128 × 128 pixels, source: https://" in caption


@pytest.mark.parametrize(
    ("facts", "verdict"),
    [
        ({"size": [128, 128], "rank_note": "few images"}, "match"),
        ({"extractor": "random-conv-v1"}, "—"),
        ({"samples": 500}, "—"),
    ],
)
def test_fid_is_compared_with_inception_features_only(
    runs, write_run, literature, tmp_path, facts, verdict
):
    write_run(
        "denf-traffic", 0, fid=27.5, dataset="traffic", tables=[2], seeds=[0], fid_facts=facts
    )
    write_tables(runs, literature, tmp_path / "t")
    line = read(tmp_path / "t", 2)["denf-traffic"]
    assert line["verdict"] == verdict
    assert float(line["mean"]) == 27.5
    assert line["mode"] == "objects-subset"
    assert line["reference"] == "3690"
    caption = (tmp_path / "t" / "table2.md").read_text().splitlines()[0]
    assert ("Note: few images." in caption) == ("rank_note" in facts)
    assert (
        facts.get("extractor", "inception-v3-compat")
        in markdown_cells(tmp_path / "t", 2, "DeNF").values()
    )


def test_kid_precision_and_recall_are_in_table_2(runs, write_run, literature, tmp_path):
    for seed, (kid, precision) in enumerate([(0.021, 0.5), (0.025, 0.7)]):
        facts = {"kid": kid, "precision": precision, "recall": 0.25}
        facts["floor"] = {"samples": 500, "fid": 9.25}
        write_run(
            "dcgan", seed, fid=50.0, dataset="traffic", tables=[2], seeds=[0, 1], fid_facts=facts
        )
    write_run("relate", 0, fid=60.0, dataset="traffic", tables=[2], seeds=[0])  # an older file
    write_tables(runs, literature, tmp_path / "t")
    line = read(tmp_path / "t", 2)["dcgan"]
    assert float(line["kid_mean"]) == pytest.approx(0.023)
    assert float(line["precision_mean"]) == pytest.approx(0.6)
    assert float(line["precision_std"]) == pytest.approx(statistics.stdev([0.5, 0.7]))
    assert (float(line["recall_mean"]), line["floor"]) == (0.25, "9.25")
    cells = markdown_cells(tmp_path / "t", 2, "DCGAN")
    assert (cells["KID"], cells["Precision"], cells["Recall"]) == ("0.023", "0.6", "0.25")
    assert "have an FID of 9.2." in (tmp_path / "t" / "table2.md").read_text()
    older = markdown_cells(tmp_path / "t", 2, "RELATE")
    assert (older["Reproduced"], older["KID"], older["Recall"]) == ("60.0", "—", "—")
    assert "kid_mean" not in read(tmp_path / "t", 1)["denf"]


def test_notes_about_a_training_are_in_its_row(runs, write_run, literature, tmp_path):
    note = "the discriminator won: its loss stayed below 0.02"
    options = {"dataset": "traffic", "tables": [2], "seeds": [0, 1]}
    write_run("dcgan", 0, fid=90.0, notes=[note], **options)
    write_run("dcgan", 1, fid=40.0, **options)
    write_run("dragan", 0, status="diverged", notes=[note], **options)
    write_run("relate", 0, fid=40.0, **options)
    write_tables(runs, literature, tmp_path / "t")
    lines = read(tmp_path / "t", 2)
    assert lines["dcgan"]["notes"] == lines["dragan"]["notes"] == f"seed 0: {note}"
    assert float(lines["dcgan"]["mean"]) == 65.0  # a note does not exclude the value
    assert markdown_cells(tmp_path / "t", 2, "DCGAN")["Notes"] == f"seed 0: {note}"
    assert markdown_cells(tmp_path / "t", 2, "RELATE")["Notes"] == "—"
    assert "Notes" not in (tmp_path / "t" / "table1.md").read_text()  # no notes there


SCORES = {
    "box_iou": {"mean": 0.7612, "std": 0.1, "n": 320},
    "count_error": {"mean": 0.25, "std": 0.5, "n": 320},
    "count": {"right": 0.85, "too_few": 0.05, "too_many": 0.1},
    "coverage": {"mean": 0.98, "std": 0.1, "n": 320},
    "coverage_worst_tenth": 0.91,
    "background_psnr": {"mean": 35.0, "std": 2.0, "n": 320},
    "background_psnr_pooled": 34.5,
    "background_psnr_objects": {"mean": 31.26, "std": 2.0, "n": 320},
    "background_psnr_objects_pooled": 30.75,
    "by_touching": {
        "touching": {"ari_fg": 0.9, "ari_fg_strict": 0.8, "ari": 0.5, "n": 100},
        "apart": {"ari_fg": 0.99, "ari_fg_strict": 0.9, "ari": 0.6, "n": 220},
    },
}


@pytest.mark.parametrize("number", [1, 3])
def test_scores_of_boxes_counts_and_backgrounds_are_in_the_tables(
    runs, write_run, literature, tmp_path, number
):
    write_run("denf", 0, ari_fg=0.95, seeds=[0, 1], tables=[1, 3], scores=SCORES)
    lower = {**SCORES, "box_iou": {"mean": 0.7412, "std": 0.1, "n": 320}}
    write_run("denf", 1, ari_fg=0.95, seeds=[0, 1], tables=[1, 3], scores=lower)
    lacking = {"by_touching": SCORES["by_touching"], "box_iou": {"mean": None, "std": None, "n": 0}}
    write_run("plain", 0, ari_fg=0.9, seeds=[0], tables=[1, 3], scores=lacking)
    write_run("older", 0, ari_fg=0.9, seeds=[0], tables=[1, 3])  # its file has none of the keys
    write_tables(runs, literature, tmp_path / "t")
    lines = read(tmp_path / "t", number)
    expected = {
        "box_iou": 75.12, "count_error": 0.25, "count_right": 85, "count_too_few": 5,
        "count_too_many": 10, "coverage": 98, "coverage_worst_tenth": 91,
        "background_psnr": 35, "background_psnr_pooled": 34.5, "background_psnr_objects": 31.26,
        "background_psnr_objects_pooled": 30.75, "ari_fg_touching": 90, "ari_fg_apart": 99,
    }  # fmt: skip
    for key, value in expected.items():
        assert float(lines["denf"][f"{key}_mean"]) == pytest.approx(value), key
        assert lines["older"][f"{key}_mean"] == "", key
    assert float(lines["denf"]["box_iou_std"]) == pytest.approx(statistics.stdev([76.12, 74.12]))
    heads = ("Touching", "Box IoU", "Right number", "PSNR under objects")
    cells = {
        name: [markdown_cells(tmp_path / "t", number, name)[head] for head in heads]
        for name in ("DeNF", "PLAIN", "OLDER")
    }
    assert cells["DeNF"] == ["90.0 ± 0.0", "75.1 ± 1.4", "85.0 ± 0.0", "31.3 ± 0.0"]
    assert cells["PLAIN"] == ["90.0", "—", "—", "—"]
    assert cells["OLDER"] == ["—"] * 4
    for suffix in ("md", "tex"):
        text = (tmp_path / "t" / f"table{number}.{suffix}").read_text()
        assert all(text.count(f"{head} ") >= 2 for head in heads)  # a column and a sentence
    assert "box_iou_mean" not in read(tmp_path / "t", 2)["denf-traffic"]


def test_failed_and_missing_seeds_are_listed_and_few_values_are_shown(
    runs, write_run, literature, tmp_path
):
    write_run("denf", 0, ari_fg=0.95)
    write_run("denf", 1, ari_fg=0.97)
    write_run("denf", 2, ari_fg=0.1, status="diverged")
    write_run("monet", 0, ari_fg=0.9, seeds=[0, 4], status="diverged")
    write_tables(runs, literature, tmp_path / "t")
    lines = read(tmp_path / "t", 1)
    assert lines["denf"]["failed_seeds"] == "2: diverged"
    assert lines["denf"]["seeds"] == "0; 1; 2"
    assert float(lines["denf"]["mean"]) == pytest.approx(96.0)
    cells = markdown_cells(tmp_path / "t", 1, "DeNF")
    assert cells["Seeds"] == "0, 1; failed: 2 (diverged)"
    assert cells["95 % interval"] == "values 95.0; 97.0"
    assert lines["monet"]["state"] == "failed"
    assert lines["monet"]["verdict"] == "—"
    assert lines["monet"]["failed_seeds"] == "0: diverged"
    assert lines["monet"]["missing_seeds"] == "4: not run"
    cells = markdown_cells(tmp_path / "t", 1, "MONet")
    assert cells["Seeds"] == "failed: 0 (diverged); missing: 4 (not run)"
    assert lines["iodine"]["missing_seeds"] == ""  # of which no seed was run


def test_a_trained_run_without_a_score_has_not_failed(runs, write_run, literature, tmp_path):
    write_run("monet", 0, evaluated=False, seeds=[0])
    write_run("denf", 0, ari_fg=0.95, seeds=[0, 1])
    write_run("denf", 1, evaluated=False, seeds=[0, 1])
    write_tables(runs, literature, tmp_path / "t")
    line = read(tmp_path / "t", 1)["monet"]
    assert (line["state"], line["failed_seeds"]) == ("not scored", "")
    assert markdown_cells(tmp_path / "t", 1, "MONet")["Reproduced"] == "not scored"
    cells = markdown_cells(tmp_path / "t", 1, "DeNF")
    assert cells["Seeds"] == "0; missing: 1 (not scored)"


def test_a_caption_does_not_claim_how_reference_runs_differ(runs, write_run, literature, tmp_path):
    write_run("denf", 0, ari_fg=0.95, seeds=[0])
    known = tmp_path / "known"
    known.mkdir()
    write_run("denf", 7, ari_fg=0.93, seeds=[7], dataset="elsewhere").rename(known / "denf")
    write_tables(runs, literature, tmp_path / "t", references=known)
    assert markdown_cells(tmp_path / "t", 1, "DeNF")["Reference run"] == "93.0"
    caption = (tmp_path / "t" / "table1.md").read_text().splitlines()[0]
    assert "data and budgets may differ and are stated in results/reference/README.md" in caption


def test_rows_not_in_the_paper_and_controls_follow_in_blocks(runs, write_run, literature, tmp_path):
    write_run("true-labels", 0, ari_fg=1.0, seeds=[0], group="control", label="a & b_1")
    write_run("denf-literal", 0, ari_fg=0.2, seeds=[0], group="ablation", tables=[1])
    write_run("dcgan", 0, ari_fg=None, seeds=[0])
    write_run("elsewhere", 0, ari_fg=0.3, seeds=[0], tables=[3])
    names = ("true-labels", "denf-literal", "dcgan", "elsewhere")
    listed = [{"name": name, "data": "clevr6", "seeds": [0]} for name in sorted(names)]
    listed.append({"name": "planned", "label": "Planned", "tables": [1], "group": "ablation"})
    write_tables(runs, literature, tmp_path / "t", experiments=listed)
    lines = list(read(tmp_path / "t", 1).values())
    assert [(line["experiment"], line["block"]) for line in lines[6:]] == [
        ("dcgan", "not in the paper"),
        ("denf-literal", "not in the paper"),
        ("planned", "not in the paper"),
        ("true-labels", "controls"),
    ]
    assert lines[6]["state"] == "no segmentation"
    assert lines[7]["verdict"] == "—"  # no reported value
    assert lines[8]["verdict"] == "not run"
    text = (tmp_path / "t" / "table1.md").read_text()
    assert text.index("*Not in the paper*") < text.index("*Controls*")
    assert r"a \& b\_1 & NF" in (tmp_path / "t" / "table1.tex").read_text()
    assert "elsewhere" in read(tmp_path / "t", 3)


def test_one_experiment_on_two_data_sets_has_two_lines(runs, write_run, literature, tmp_path):
    write_run("denf", 0, ari_fg=0.9, seeds=[0])
    write_run("denf", 0, ari_fg=0.8, seeds=[0], dataset="mine")
    write_tables(runs, literature, tmp_path / "t")
    text = (tmp_path / "t" / "table1.md").read_text()
    assert r"| DeNF \[clevr6\] |" in text
    assert r"| DeNF \[mine\] |" in text


def test_tables_are_reproducible(runs, write_run, literature, tmp_path):
    for seed in range(4):
        write_run("denf", seed, ari_fg=0.9 + seed / 97)
    first = [p.read_bytes() for p in write_tables(runs, literature, tmp_path / "a")]
    again = [p.read_bytes() for p in write_tables(runs, literature, tmp_path / "a")]
    assert first == again


def test_the_legend_explains_every_column(runs, literature, tmp_path):
    write_tables(runs, literature, tmp_path / "t")
    legend = list(csv.DictReader((tmp_path / "t" / "columns.csv").read_text().splitlines()))
    assert [line["column"] for line in legend] == list(COLUMNS)
    meanings = {line["column"]: line["meaning"] for line in legend}
    for key in ("count_right", "count_too_few", "count_too_many", "coverage"):
        assert meanings[f"{key}_mean"].startswith("percentage of")  # as the values are
    for number in (1, 2, 3):
        with (tmp_path / "t" / f"table{number}.csv").open() as file:
            assert set(next(csv.reader(file))) <= {line["column"] for line in legend}


def test_latex_escapes_every_special_character():
    escaped = escape_latex(r"\ & % $ # _ { } ~ ^ < > | ± × — −1 …")
    for commands in (r"\textbackslash{}", r"\textasciitilde{}", r"\textasciicircum{}"):
        assert commands in escaped
    bare = escaped
    for command in (
        *(r"\textbackslash{}", r"\textasciitilde{}", r"\textasciicircum{}", r"\textless{}"),
        *(r"\textgreater{}", r"\textbar{}", r"$\pm$", r"$\times$", "$-$", r"\dots{}"),
        *(rf"\{character}" for character in "&%$#_{}"),
    ):
        assert command in bare
        bare = bare.replace(command, "")
    assert not set(bare) & set("\\&%$#_{}~^<>|±×—−…")


def test_latex_and_markdown_have_one_cell_per_column():
    sheet = Sheet(7, "50 % | all", ["Method", "A|B"], [("", [["[x] & y", "1"]]), ("Own", [])], "lr")
    latex = to_latex(sheet).splitlines()
    assert r"\caption{50 \% \textbar{} all}" in latex
    assert r"{[}x] \& y & 1 \\" in latex
    assert sum(line.startswith(r"\midrule") for line in latex) == 1  # empty blocks leave no rule
    markdown = to_markdown(sheet).splitlines()
    assert markdown[2:] == [r"| Method | A\|B |", "| --- | ---: |", r"| \[x\] &amp; y | 1 |"]
