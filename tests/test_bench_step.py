"""The bench of DeNF's step: a line a variant, failures included; and the curve of its cost."""

from __future__ import annotations

import json

import pytest
import torch

from denf.bench import growth
from denf.bench.draw import draw_growth
from denf.bench.step import bench_step
from denf.bench.variants import VARIANTS, Workload
from denf.errors import DenfError
from denf.model.settings import SubnetKind


def test_variants_side_by_side_and_a_failure_stops_none(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)  # too slow here: Triton is to fail
    work = Workload(size=8, features=2, batch=2, steps=3, repetitions=1, device="cpu", couplings=1)
    lines = list(bench_step("triton-float32,products-float32", work))
    for line in lines:
        assert json.loads(json.dumps(line)) == line
        assert line["case"] == "step"
        assert line["size"] == 8
    reference, failed, products = lines
    assert [line["variant"] for line in lines] == [
        "reference",
        "triton-float32",
        "products-float32",
    ]
    assert "GPU" in failed["error"]
    for line in (reference, products):
        assert line["images_per_second"] * line["ms_per_step"] == pytest.approx(2000)
        assert 0 < line["encode_ms"] < line["ms_per_step"]
        assert line["peak_bytes"] > 8 * 8 * 3 * 4 * 2  # the images as floats
        assert 0 < line["fraction_of_matrix_rate"] < 1
    assert reference["flop_per_step"] > 0
    assert reference["loss_difference"] > 0  # from other noise
    assert products["loss_difference"] < 1e-3 * reference["loss_difference"]


def test_unknown_variants_are_named():
    work = Workload(size=8, features=2, batch=1, steps=1, repetitions=1, device="cpu")
    with pytest.raises(DenfError, match="fastest"):
        list(bench_step("fastest", work))


def test_every_kind_has_a_variant():
    assert {v.kind for v in VARIANTS.values()} == set(SubnetKind) - {SubnetKind.AUTO}


def test_the_number_of_steps_suits_the_device():
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert Workload.on(cpu, 8, 2, 1, None, 1).steps < Workload.on(gpu, 8, 2, 1, None, 1).steps
    assert Workload.on(gpu, 8, 2, 1, 7, 1).steps == 7


def test_growth_and_its_figure(tmp_path, monkeypatch):
    changes = {"pixels": [{"size": 8}, {"size": 12}], "objects": [{"objects": 3}]}
    monkeypatch.setattr(growth, "VARIED", changes)
    standard = growth.Point(size=8, batch=1, features=2, couplings=1)
    lines = list(growth.bench_growth(torch.device("cpu"), standard))
    assert [(line["varied"], line["value"]) for line in lines] == [
        ("pixels", 64),
        ("pixels", 144),
        ("objects", 3),
    ]
    assert all(line["seconds"] > 0 for line in lines)
    draw_growth(lines, tmp_path / "growth.png")
    assert (tmp_path / "growth.png").stat().st_size > 1000
