"""The reported numbers: equal to the paper's tables, fully cited."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from denf.errors import DenfError
from denf.report.literature import load_literature

PAPER = Path(__file__).parents[2].parent / "shared" / "paper.md"
ROWS = {  # first cells of the rows of the paper's tables
    1: ("IODINE", "MONet", "Slot Att.", "ObSuRF", "Sprites", "DeNF (ours)"),
    2: ("GENESIS", "BlockGAN", "DCGAN", "RELATE", "DRAGAN", "DeNF (ours)"),
    3: ("smaller latent space", "w/o bimodal prior", "DeNF (full)"),
}
IDS = {
    1: ["iodine", "monet", "slot-attention", "obsurf", "dti-sprites", "denf"],
    2: ["genesis", "blockgan", "dcgan", "relate", "dragan", "denf-traffic"],
    3: ["denf-cells-32", "denf-unimodal", "denf"],
}


def test_rows_are_the_experiments_in_the_papers_order(literature):
    tables = load_literature(literature)
    assert {table.number: [row.id for row in table.rows] for table in tables} == IDS


def test_every_row_is_fully_cited_and_every_tolerance_has_a_reason(literature):
    for table in load_literature(literature):
        assert table.tolerance > 0
        assert len(table.tolerance_reason) > 20
        for row in table.rows:
            citation = row.citation
            assert all((citation.authors, citation.title, citation.venue, row.source))
            assert len(row.protocol) > 20
            assert citation.key == "denf" or str(citation.year) in citation.key
            assert citation.key == "denf" or str(citation.year) in citation.short


@pytest.mark.skipif(not PAPER.exists(), reason="the paper's text is not beside the repository")
def test_numbers_equal_the_papers_text(literature):
    text = PAPER.read_text()
    for table in load_literature(literature):
        start = text.index(f"Table {table.number}: ")
        lines = text[start : start + 700].splitlines()
        for row, name in zip(table.rows, ROWS[table.number], strict=True):
            cells = next(line for line in lines if line.startswith(name)).split("\t")
            numbers = [float(number) for number in re.findall(r"\d+\.\d+", cells[-1])]
            assert numbers == [row.mean] + ([] if row.std is None else [row.std]), row.id
            if table.number == 1:
                assert cells[1] == row.framework


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content["citations"].pop("denf"), "missing key 'denf'"),
        (lambda content: content["tables"][1].pop("tolerance"), "missing key 'tolerance'"),
        (lambda content: content["tables"][2].update(metric="psnr"), "'psnr' is not a valid"),
        (lambda content: content["tables"][2].update(better="up"), "higher or lower, got 'up'"),
        (lambda content: content.pop("tables"), "missing key 'tables'"),
        (lambda content: content["tables"][1]["protocols"].pop("emami"), "missing key 'emami'"),
    ],
)
def test_broken_literature_is_refused_by_name(literature, tmp_path, change, message):
    content = yaml.safe_load(literature.read_text())
    change(content)
    broken = tmp_path / "literature.yaml"
    broken.write_text(yaml.safe_dump(content))
    with pytest.raises(DenfError, match=re.escape(message)) as error:
        load_literature(broken)
    assert str(broken) in str(error.value)


def test_missing_literature_is_refused(tmp_path):
    with pytest.raises(DenfError, match="No such file"):
        load_literature(tmp_path / "none.yaml")
