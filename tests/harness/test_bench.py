"""The bench of methods: a line for each experiment that trains, with figures that can be true."""

from __future__ import annotations

import json

import pytest
import torch
import yaml

from denf.harness.bench import bench_methods, peak_bytes


def test_a_line_for_every_method_that_trains(tmp_path):
    files = {
        "control": {"method": "one-segment", "training": {"steps": 0}},
        "flow": {
            "method": "denf",
            "settings": {"architecture": {"features": 2, "couplings": 1}},
            "training": {"steps": 10, "batch_size": 2},
        },
        "flow-ablated": {"extends": "flow"},
        "left-out": {"method": "dcgan", "dataset": "traffic"},  # which the protocol does not have
        "slots": {
            "method": "slot-attention",
            "settings": {"channels": 4, "slot_size": 4, "slots": 2},
            "training": {"steps": 10, "batch_size": 3},
        },
    }
    for name, content in files.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump({"dataset": "clevr6", **content}))
    scenes = {"source": "render", "kind": "clevr6", "size": 16, "train": 2, "test": 2}
    protocol = {
        "protocol": "tiny",
        "seeds": [0],
        "skip": ["left-out"],
        "datasets": {"clevr6": {"id": "tiny", **scenes}},
        "fid": {"samples": 2, "extractor": "random-conv-v1"},
    }
    lines = list(bench_methods(tmp_path, protocol, torch.device("cpu")))
    assert [line["experiment"] for line in lines] == ["flow", "slots"]
    for line in lines:
        assert json.loads(json.dumps(line)) == line
        assert line["size"] == 16
        assert line["images_per_second"] * line["seconds"] == pytest.approx(line["batch"])
        assert line["parameters"] > 0
        assert line["step_peak_bytes"] > 16 * 16 * 3 * 4 * line["batch"]  # the images as floats


def test_peak_is_the_largest_sum_held_at_once():
    def run() -> None:
        for _ in range(5):
            torch.empty(250_000, dtype=torch.float32)  # a megabyte, freed at once
        held = [torch.empty(250_000) for _ in range(2)]
        del held

    assert 2_000_000 <= peak_bytes(run, torch.device("cpu")) < 2_100_000
