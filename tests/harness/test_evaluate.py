"""Scores, pictures and samples of methods whose right answers are known."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import logistic, norm

from denf.data.prepared import open_prepared
from denf.errors import DenfError
from denf.harness.evaluate import evaluate, rows_as_csv
from denf.harness.generate import SampleMode, generate
from denf.harness.measured import describe_data
from denf.harness.method import Capability, UntrainedMethod
from denf.harness.outputs import Proposals
from denf.harness.panels import SAMPLES, panels, save_panels
from denf.metrics.ari import ari_scores
from denf.metrics.extractor import Extractor
from denf.metrics.fid import FeatureSpace
from denf.metrics.generation import compare

FORMS = ("ari_fg", "ari_fg_strict", "ari")
BOXES = ("box_iou", "count_error")
BACKGROUNDS = ("background_psnr", "background_psnr_objects")


def test_true_labels_are_perfect(method, crowd):
    summary, rows = evaluate(method("true-labels"), crowd, batch_size=7)
    for form in FORMS:
        assert summary[form] == {"mean": 1.0, "std": 0.0, "n": len(crowd)}
    assert summary["one_object_scenes"] == 0
    assert [row["scene"] for row in rows] == list(range(len(crowd)))


def test_one_segment_is_worthless(method, crowd):
    summary, _ = evaluate(method("one-segment"), crowd)
    for form in FORMS:
        assert summary[form] == {"mean": 0.0, "std": 0.0, "n": len(crowd)}


def test_tiles_say_where_and_nothing_else(method, crowd):
    small = method("tiles", "settings.side=2")
    labels = small.segment(torch.zeros(2, 3, 5, 6, dtype=torch.uint8)).labels
    expected = np.kron([[1, 2], [3, 4]], np.ones((3, 3)))[:5]
    np.testing.assert_array_equal(labels, [expected, expected])
    summary, _ = evaluate(method("tiles"), crowd)
    assert summary["ari_fg"]["mean"] > 0.2  # objects lie apart
    assert summary["ari"]["mean"] < 0.1  # and tiles cut the background into pieces


def test_random_labels_are_about_worthless(method, crowd):
    summary, _ = evaluate(method("random-labels"), crowd)
    for form in FORMS:
        spread = summary[form]["std"] / math.sqrt(len(crowd))
        assert abs(summary[form]["mean"]) < 5 * spread + 1e-3
        assert 0 < summary[form]["std"] < 0.05


def test_k_means_is_between(method, crowd):
    summary, _ = evaluate(method("k-means", "settings.clusters=5"), crowd)
    assert 0.1 < summary["ari_fg"]["mean"] < 1


def test_one_object_scenes_are_counted(method, tmp_path, write_scenes):
    data = write_scenes(tmp_path / "single", count=5, objects=1)
    summary, _ = evaluate(method("one-segment"), data, batch_size=2)
    assert (summary["empty_scenes"], summary["one_object_scenes"]) == (0, 5)
    assert summary["ari_fg"]["mean"] == 1.0  # why the number is reported
    assert summary["ari"]["mean"] == 0.0


def test_scenes_without_objects_are_in_no_mean_of_the_foreground(method, scenes):
    masks = np.array(scenes.masks)
    masks[:3] = 0
    summary, rows = evaluate(method("random-labels"), replace(scenes, masks=masks))
    assert summary["empty_scenes"] == 3
    kept = [row["ari_fg"] for row in rows[3:]]
    assert np.isnan([row["ari_fg"] for row in rows[:3]]).all()
    assert summary["ari_fg"]["mean"] == pytest.approx(np.mean(kept))
    assert (summary["ari_fg"]["n"], summary["ari"]["n"]) == (len(rows) - 3, len(rows))
    assert summary["by_objects"]["0"]["ari_fg"] is None


def test_batches_do_not_change_scores(method, scenes, with_empty):
    denf = method("denf")
    scenes = with_empty(scenes)
    whole, rows = evaluate(denf, scenes, batch_size=len(scenes))
    parts, rows_of_parts = evaluate(denf, scenes, batch_size=5)
    scores = {*FORMS, "mse", "bits_per_dim", *BOXES, *BACKGROUNDS, "coverage"}
    others = {"empty_scenes", "one_object_scenes", "coverage_worst_tenth", "count"}
    others |= {"by_objects", "by_touching"}
    assert set(whole) == {*scores, *others, *(f"{name}_pooled" for name in BACKGROUNDS)}
    assert set(rows[0]) == {*scores, "scene", "objects", "predicted_objects", "touching"}
    for one, other in zip(rows, rows_of_parts, strict=True):
        assert one == pytest.approx(other, rel=1e-5, nan_ok=True)
    for name in scores:
        values = np.array([row[name] for row in rows])
        values = values[np.isfinite(values)]
        assert whole[name]["mean"] == pytest.approx(np.mean(values), rel=1e-5)
        assert whole[name]["std"] == pytest.approx(np.std(values), rel=1e-5, abs=1e-9)
        assert parts[name]["n"] == len(values)
    flat = [pd.json_normalize(summary).iloc[0].to_dict() for summary in (parts, whole)]
    assert flat[0] == pytest.approx(flat[1], rel=1e-5, abs=1e-9, nan_ok=True)


def test_scores_are_those_of_the_methods_outputs(method, scenes):
    denf = method("denf")
    _, rows = evaluate(denf, scenes)
    images = torch.tensor(scenes.images).permute(0, 3, 1, 2)
    with torch.no_grad():
        found = denf.segment(images)
        error = (denf.reconstruct(images) * 255 - images).numpy() / 255
    truth = torch.tensor(scenes.masks)
    expected = ari_scores(truth, found.labels, found.object_labels)
    for k, row in enumerate(rows):
        assert row["mse"] == pytest.approx(np.mean(error[k] ** 2), rel=1e-4)
        assert row["ari_fg_strict"] == pytest.approx(float(expected.ari_fg_strict[k]))


def plain_log_density(image: np.ndarray, presence: float) -> float:
    """log p of DeNF at the identity, in nats for intensities in [0, 1], pixel block by block.

    Table 4 and section 3.1.3 in a loop: a block of 2×2 pixels has 12 numbers; the first is the
    background, then two of presence, two of size, two of place, five of what.
    """
    x = (image.astype(float) + 0.5) / 256
    total = 0.0
    for i in range(0, len(x), 2):
        for j in range(0, len(x), 2):
            z = [x[i + di, j + dj, c] for c in range(3) for di in range(2) for dj in range(2)]
            logit = z[1] - z[2]
            total += norm.logpdf(z[0])
            total += logistic.logpdf(logit, loc=math.log(presence / (1 - presence)))
            total += norm.logpdf((z[1] + z[2]) / 2)
            if logit > 0:
                total += norm.logpdf(z[3:5], 0.2, 0.1).sum() + norm.logpdf(z[5:7], 0, 0.2).sum()
                total += norm.logpdf(z[7:], 1.0, 0.1).sum()
            else:
                total += norm.logpdf(z[3:7]).sum() + norm.logpdf(z[7:], 0.0, 0.1).sum()
    return total


@pytest.mark.parametrize("change", ["priors.what=unimodal", "absent=none"])
def test_what_is_no_density_has_no_bits_per_dimension(method, scenes, change):
    _, rows = evaluate(method("denf", f"settings.{change}"), scenes)
    assert "mse" in rows[0]
    assert "bits_per_dim" not in rows[0]


def test_bits_per_dimension_at_the_identity(method, scenes):
    identity = "settings.architecture.squeeze=pixels"  # a permutation
    _, rows = evaluate(method("denf", "settings.priors.presence=0.3", identity), scenes)
    for k in range(3):
        nats = plain_log_density(scenes.images[k], 0.3)
        # the probability of the 8-bit image: its density times the volume of a grey level
        bits = -(nats + scenes.images[k].size * math.log(1 / 256)) / math.log(2)
        assert rows[k]["bits_per_dim"] == pytest.approx(bits / scenes.images[k].size, rel=1e-5)


def test_without_masks_there_is_no_ari(method, scenes, with_empty):
    bare = replace(scenes, masks=None)
    summary, rows = evaluate(method("denf"), bare)
    assert set(summary) == {"mse", "bits_per_dim"}
    assert set(rows[0]) == {"scene", "mse", "bits_per_dim"}
    summary, _ = evaluate(method("denf"), replace(with_empty(scenes), masks=None))
    assert set(summary) == {"mse", "bits_per_dim", "background_psnr", "background_psnr_pooled"}
    assert "truth" not in panels(method("denf"), bare, 2)
    assert evaluate(method("real-images"), bare)[0] == {}


class Broken(UntrainedMethod):
    """Its density is finite for the first image of a batch alone."""

    capabilities = frozenset({Capability.LOG_PROB})

    def log_prob(self, images: torch.Tensor) -> torch.Tensor:
        values = torch.full((len(images),), torch.nan)
        values[:1] = 0.0
        return values


def test_scores_that_are_not_finite_are_left_out_and_counted(scenes):
    summary, _ = evaluate(Broken(None), scenes, batch_size=4)
    assert summary["bits_per_dim"] == {"mean": 8.0, "std": 0.0, "n": len(scenes) // 4}
    broken = Broken(None)
    broken.log_prob = lambda images: torch.full((len(images),), torch.inf)
    summary, _ = evaluate(broken, scenes)
    assert summary["bits_per_dim"] == {"mean": None, "std": None, "n": 0}
    assert "NaN" not in json.dumps(summary)


def test_rows_as_csv_in_full_precision(method, scenes, with_empty):
    _, rows = evaluate(method("denf"), with_empty(scenes))
    read = list(csv.DictReader(rows_as_csv(rows).splitlines()))
    for got, row in zip(read, rows, strict=True):
        found = {k: float(v) for k, v in got.items()}
        assert found == pytest.approx(row, rel=0, abs=0, nan_ok=True)


def test_panels(method, scenes, tmp_path):
    arrays = panels(method("denf"), scenes, 3)
    last = len(scenes) - 1
    chosen = [0, round(last / 2), last]  # spread over the split
    np.testing.assert_array_equal(arrays["image"], scenes.images[chosen])
    np.testing.assert_array_equal(arrays["truth"], scenes.masks[chosen])
    assert arrays["labels"].shape == arrays["object_labels"].shape == (3, 16, 16)
    shapes = {name: arrays[name].shape for name in ("presence", "scale", "loc", "background")}
    assert shapes == {
        "presence": (3, 8, 8),
        "scale": (3, 8, 8, 2),
        "loc": (3, 8, 8, 2),
        "background": (3, 16, 16, 3),
    }
    assert arrays["singles"].shape[:1] + arrays["singles"].shape[2:] == (3, 16, 16, 3)
    assert arrays["single_count"].shape == (3,)
    save_panels(arrays, tmp_path / "panels.npz")
    with np.load(tmp_path / "panels.npz") as read:
        assert set(read.files) == set(arrays)
        np.testing.assert_array_equal(read["labels"], arrays["labels"])
    assert [p.name for p in tmp_path.iterdir()] == ["panels.npz"]
    truth = panels(method("true-labels"), scenes, 100)
    np.testing.assert_array_equal(truth["labels"], scenes.masks)
    real = panels(method("real-images"), scenes, 2)
    assert set(real) == {"image", "truth", "samples"}
    assert real["samples"].shape == (2, SAMPLES, 16, 16, 3)


class Nothing(UntrainedMethod):
    """A method that only trains."""


def test_a_method_without_pictures_has_no_panels(scenes):
    assert panels(Nothing(None), scenes, 2) == {}


def test_panels_hold_what_a_method_sees_and_generates(method, scenes):
    arrays = panels(method("denf"), scenes, 3)
    for name in ("reconstruction", "background"):
        assert (arrays[name].shape, arrays[name].dtype) == ((3, 16, 16, 3), np.uint8)
    assert arrays["samples"].shape == (3, SAMPLES, 16, 16, 3)
    assert arrays["boxes"].shape[::2] == (3, 4)
    again = panels(method("denf"), scenes, 3)
    np.testing.assert_array_equal(again["samples"], arrays["samples"])


class Boxed(UntrainedMethod):
    """Proposes two boxes in the first image, and one, its second, in the others."""

    capabilities = frozenset({Capability.BOXES})

    def boxes(self, images: torch.Tensor) -> Proposals:
        n = len(images)
        boxes = torch.tensor([[0.0, 0.0, 0.5, 0.5], [0.25, 0.25, 1.0, 1.0]]).expand(n, 2, 4)
        present = torch.tensor([[True, True], *[[False, True]] * (n - 1)])
        return Proposals(boxes, boxes[..., :2], present, present.sum(1))


def test_boxes_of_panels_are_in_pixels_with_those_present_first(scenes):
    boxes = panels(Boxed(None), scenes, 2)["boxes"]
    np.testing.assert_array_equal(boxes[0], [[0, 0, 8, 8], [4, 4, 16, 16]])
    np.testing.assert_array_equal(boxes[1], [[4, 4, 16, 16], [np.nan] * 4])


def test_real_images_as_samples(method, scenes):
    images, mode = generate(method("real-images"), 5, source=scenes, seed=0, batch_size=2)
    assert mode is SampleMode.OBJECTS_SUBSET
    np.testing.assert_array_equal(images, scenes.images[[0, 3, 6, 8, 11]])  # from first to last
    more, _ = generate(method("real-images"), 29, source=scenes, seed=0)
    whole, part = list(range(12)), [0, 3, 6, 8, 11]
    np.testing.assert_array_equal(more, scenes.images[whole + whole + part])


def test_fid_of_images_to_themselves_is_zero(method, tmp_path, write_scenes):
    data = write_scenes(tmp_path / "large", count=24, size=32)
    images, _ = generate(method("real-images"), len(data), source=data, seed=0)
    space = FeatureSpace(Extractor.RANDOM_CONV)
    same = compare(images, data.images, space=space)
    assert same.fid == pytest.approx(0, abs=1e-3)
    apart = compare(255 - images, data.images, space=space)
    assert apart.fid > 100 * abs(same.fid)


def test_samples_of_the_prior_and_recompositions(method, scenes):
    denf = method("denf")
    denf.image_size.fill_(16)
    one, mode = generate(denf, 5, source=None, seed=1, batch_size=2)
    assert mode is SampleMode.PRIOR
    assert (one.shape, one.dtype) == ((5, 16, 16, 3), np.uint8)
    again, _ = generate(denf, 5, source=None, seed=1, batch_size=2)
    np.testing.assert_array_equal(one, again)
    other, _ = generate(denf, 5, source=None, seed=2, batch_size=2)
    assert not np.array_equal(one, other)
    recomposed, mode = generate(denf, 3, source=scenes, seed=1)
    assert mode is SampleMode.OBJECTS_SUBSET
    assert recomposed.shape == (3, 16, 16, 3)


def test_what_cannot_generate_is_refused(method, scenes):
    with pytest.raises(DenfError, match=r"OneSegment: expected a method that samples.*got segment"):
        generate(method("one-segment"), 2, source=scenes, seed=0)
    with pytest.raises(DenfError, match=r"got recompose\. Give --source"):
        generate(method("real-images"), 2, source=None, seed=0)
    with pytest.raises(DenfError, match=r"can recompose.*got sample\. Leave --source out"):
        generate(method("dcgan"), 2, source=scenes, seed=0)


def test_description_names_the_data(scenes):
    described = describe_data(open_prepared(scenes.folder))
    assert described["sha256"] == scenes.sha256
    assert (described["name"], described["count"], described["size"]) == ("squares", 12, 16)
