"""Scores of boxes, numbers of objects and backgrounds, for outputs whose scores are known."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from denf.harness.evaluate import evaluate
from denf.harness.method import (
    Capability,
    Prediction,
    Proposals,
    Segmentation,
    UntrainedMethod,
)
from denf.metrics.boxes import box_iou
from denf.metrics.objects import touching

FORMS = ("ari_fg", "ari_fg_strict", "ari")


class Known(UntrainedMethod):
    """One batch's outputs as they were given, and how often they were asked for."""

    capabilities = frozenset(
        {Capability.SEGMENT, Capability.RECONSTRUCT, Capability.BACKGROUND, Capability.BOXES}
    )

    def __init__(self, prediction: Prediction) -> None:
        super().__init__(None)
        self.known, self.looks = prediction, 0

    def predict(self, images, truth=None):
        self.looks += 1
        return self.known


def known_outputs(data) -> Prediction:
    """Labels that miss the upper rows, two boxes per object, counts off by -1, 0 and 1."""
    truth = torch.tensor(data.masks).long()
    labels = truth.clone()
    labels[:, : data.size // 3] = 0
    centres, boxes = [], []
    for mask in truth:
        for label in (1, 2, 3, 4):
            rows, columns = (mask == label).nonzero(as_tuple=True)
            shown = len(rows) > 0
            x, y = (int(v[0]) if shown else 0 for v in (columns, rows))
            centres.append([(x + 0.5) / data.size, (y + 0.5) / data.size])
            corner = torch.tensor([x, y, x + 5, y + 5]) / data.size
            boxes += [corner, corner + 0.02]
    n = len(truth)
    anchors = torch.tensor(centres).repeat_interleave(2, 0).view(n, 8, 2)
    present = torch.arange(8) % 8 != 1  # one box of the first object is not there
    visible = torch.tensor([len(set(mask.flatten().tolist()) - {0}) for mask in truth])
    count = visible + torch.arange(n) % 3 - 1
    background = torch.tensor(data.empty).permute(0, 3, 1, 2) / 255
    background = (
        background + 0.1 * (torch.arange(n) % 2 + 1)[:, None, None, None] * (truth > 0)[:, None]
    )
    return Prediction(
        Segmentation(labels, truth),
        background,
        background=background,
        proposals=Proposals(
            torch.stack(boxes).view(n, 8, 4), anchors, present.expand(n, -1), count
        ),
    )


def test_known_outputs_have_the_scores_of_plain_loops(crowd, with_empty):
    data = with_empty(crowd)
    outputs = known_outputs(data)
    method = Known(outputs)
    summary, rows = evaluate(method, data, batch_size=len(data))
    assert method.looks == 1
    truth, labels = torch.tensor(data.masks), outputs.segmentation.labels
    found = outputs.proposals
    ious = box_iou(truth, found.boxes, found.anchors, found.present)
    covered, errors, areas = [], [], []
    for k, row in enumerate(rows):
        objects = sorted(set(truth[k].flatten().tolist()) - {0})
        own = [float((labels[k][truth[k] == label] > 0).float().mean()) for label in objects]
        covered += own
        assert row["objects"] == len(objects)
        assert row["coverage"] == pytest.approx(np.mean(own))
        assert row["box_iou"] == pytest.approx(float(ious[k]))
        assert row["predicted_objects"] - row["objects"] == k % 3 - 1
        assert row["count_error"] == abs(k % 3 - 1)
        shown = float((truth[k] > 0).float().mean())
        step = 0.1 * (k % 2 + 1)
        assert row["background_psnr_objects"] == pytest.approx(-20 * math.log10(step), abs=1e-3)
        assert row["background_psnr"] == pytest.approx(-10 * math.log10(step**2 * shown), abs=1e-3)
        errors.append(step**2 * shown)
        areas.append(shown)
    n = len(rows)
    assert summary["count"] == {
        "right": len(range(1, n, 3)) / n,
        "too_few": len(range(0, n, 3)) / n,
        "too_many": len(range(2, n, 3)) / n,
    }
    worst = sorted(covered)[: math.ceil(len(covered) / 10)]
    assert summary["coverage_worst_tenth"] == pytest.approx(np.mean(worst))
    pooled = {"background_psnr": np.mean(errors), "background_psnr_objects": np.sum(errors)}
    pooled["background_psnr_objects"] /= np.sum(areas)
    for name, error in pooled.items():
        assert summary[f"{name}_pooled"] == pytest.approx(-10 * math.log10(error), abs=1e-3)
        mean = np.mean([row[name] for row in rows])
        assert summary[name]["mean"] == pytest.approx(mean)
    json.dumps(summary, allow_nan=False)


def test_groups_of_scenes_have_means_of_their_own(method, crowd):
    summary, rows = evaluate(method("tiles"), crowd)
    groups = {
        **{("by_objects", str(k)): [r for r in rows if r["objects"] == k] for k in range(1, 5)},
        ("by_touching", "touching"): [r for r in rows if r["touching"]],
        ("by_touching", "apart"): [r for r in rows if not r["touching"]],
    }
    truth = torch.tensor(crowd.masks)
    assert [bool(r["touching"]) for r in rows] == touching(truth).tolist()
    for (kind, name), members in groups.items():
        assert (name in summary[kind]) == (kind == "by_touching" or bool(members))
        if members:
            found = summary[kind][name]
            assert found["n"] == len(members)
            for form in FORMS:
                assert found[form] == pytest.approx(np.mean([r[form] for r in members]))
    assert sum(group["n"] for group in summary["by_objects"].values()) == len(crowd)
    assert not {"coverage", "count", "box_iou"} & set(summary)  # tiles have no background


def test_a_group_without_scenes_has_no_mean(method, tmp_path, write_scenes):
    data = write_scenes(tmp_path / "single", count=3, objects=1)
    summary, _ = evaluate(method("one-segment"), data)
    assert summary["by_touching"]["touching"] == {**dict.fromkeys(FORMS), "n": 0}
    assert summary["by_touching"]["apart"]["n"] == 3
