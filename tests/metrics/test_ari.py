"""The adjusted Rand index against scikit-learn, over random, degenerate and large label maps."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score
from sklearn.metrics.cluster import contingency_matrix

from denf.metrics.ari import (
    adjusted_rand_index,
    ari_scores,
    contingency,
)
from denf.metrics.bench import bench_ari

DTYPES = [torch.uint8, torch.int16, torch.int32, torch.int64]


def random_labels(rng, *shape, labels, dtype=torch.int64):
    return torch.from_numpy(rng.integers(0, labels, shape)).to(dtype)


def sklearn_ari(truth, prediction, counted=None):
    counted = np.ones(truth.shape, bool) if counted is None else counted.numpy()
    rows = zip(truth.numpy(), prediction.numpy(), counted, strict=True)
    return np.array([adjusted_rand_score(t[c], p[c]) for t, p, c in rows])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("true_labels", "predicted_labels"), [(1, 5), (2, 2), (7, 12), (60, 90)])
def test_equals_sklearn(dtype, true_labels, predicted_labels):
    rng = np.random.default_rng(true_labels)
    truth = random_labels(rng, 9, 300, labels=true_labels, dtype=dtype)
    prediction = random_labels(rng, 9, 300, labels=predicted_labels, dtype=dtype)
    copies = torch.from_numpy(rng.random((9, 300)) < 0.7)  # scores away from 0 as well
    prediction = torch.where(copies, truth, prediction)
    counted = torch.from_numpy(rng.random((9, 300)) < 0.5)
    for mask in (None, counted):
        result = adjusted_rand_index(truth, prediction, mask)
        assert result.dtype == torch.float64
        np.testing.assert_allclose(result, sklearn_ari(truth, prediction, mask), atol=1e-12)


@settings(deadline=None, max_examples=80)
@given(st.data())
def test_equals_sklearn_on_small_partitions(data):
    pixels = data.draw(st.integers(0, 7))
    labels = st.lists(st.integers(0, 3), min_size=pixels, max_size=pixels)
    truth, prediction = (torch.tensor([data.draw(labels)], dtype=torch.int64) for _ in range(2))
    expected = adjusted_rand_score(truth[0].numpy(), prediction[0].numpy())
    assert adjusted_rand_index(truth, prediction).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("truth", "prediction", "expected"),
    [
        ([1, 1, 1, 1], [3, 3, 3, 3], 1.0),
        ([0, 0, 0, 0], [0, 1, 2, 3], 0.0),
        ([0, 1, 2, 3], [5, 5, 5, 5], 0.0),
        ([0, 1, 2, 3], [3, 2, 1, 0], 1.0),
        ([0, 0, 1, 1], [0, 1, 0, 1], -0.5),
        ([0, 0, 1, 2], [0, 0, 1, 1], 4 / 7),
        ([7], [0], 1.0),
    ],
)
def test_degenerate_cases(truth, prediction, expected):
    truth, prediction = np.array(truth), np.array(prediction)
    assert adjusted_rand_score(truth, prediction) == pytest.approx(expected)
    result = adjusted_rand_index(torch.from_numpy(truth)[None], torch.from_numpy(prediction)[None])
    assert result.item() == pytest.approx(expected, abs=1e-15)


def test_scene_without_counted_pixel_is_one_as_in_sklearn():
    truth, nothing = torch.tensor([[1, 2, 3]]), torch.zeros(1, 3, dtype=torch.bool)
    assert adjusted_rand_score([], []) == 1.0
    assert adjusted_rand_index(truth, truth, nothing).item() == 1.0


@pytest.mark.parametrize("shape", [(128, 128), (320, 240), (1024, 1024)])
def test_no_overflow_at_image_sizes(shape):
    rng = np.random.default_rng(3)
    truth = random_labels(rng, 2, *shape, labels=3, dtype=torch.uint8)
    prediction = torch.where(truth == 2, 1, truth)
    prediction[1] = 0
    expected = sklearn_ari(truth.flatten(1), prediction.flatten(1))
    np.testing.assert_allclose(adjusted_rand_index(truth, prediction), expected, atol=1e-9)


@pytest.mark.parametrize(("dtype", "step"), [(torch.uint8, 20), (torch.int32, 1), (torch.int64, 1)])
def test_contingency_equals_a_plain_count(dtype, step):
    rng = np.random.default_rng(5)
    truth = random_labels(rng, 4, 6, 5, labels=5, dtype=dtype) * step
    prediction = random_labels(rng, 4, 6, 5, labels=9, dtype=dtype) * step
    counted = torch.from_numpy(rng.random((4, 6, 5)) < 0.6)
    table = contingency(truth, prediction, counted)
    expected = np.zeros((4, 4 * step + 1, 8 * step + 1), np.int64)
    for b, y, x in zip(*np.nonzero(counted.numpy()), strict=True):
        expected[b, truth[b, y, x], prediction[b, y, x]] += 1
    assert table.dtype == torch.int64
    np.testing.assert_array_equal(table, expected[:, : table.shape[1], : table.shape[2]])
    assert table.sum() == counted.sum()


@pytest.mark.parametrize("largest", [255, 256, 10**6, 2**62])
def test_large_labels_are_numbered_in_order_and_zero_stays_first(largest):
    truth = torch.tensor([[3, largest, 3, 9]])
    prediction = torch.tensor([[0, 1, 1, 0]])
    table = contingency(truth, prediction)[0]
    rows = [3, 9, largest] if largest <= 255 else [1, 2, 3]
    assert table[0].tolist() == [0, 0]
    assert table[rows].tolist() == contingency_matrix(truth[0].numpy(), prediction[0]).tolist()
    assert adjusted_rand_index(truth, prediction).item() == pytest.approx(
        adjusted_rand_score(truth[0].numpy(), prediction[0].numpy())
    )


def test_many_labels_take_the_wide_index():
    rng = np.random.default_rng(11)
    truth = random_labels(rng, 3, 5000, labels=700)
    prediction = torch.where(torch.from_numpy(rng.random((3, 5000)) < 0.5), truth, truth // 3)
    expected = sklearn_ari(truth, prediction)
    np.testing.assert_allclose(adjusted_rand_index(truth, prediction), expected, atol=1e-12)


def test_batch_larger_than_a_chunk_equals_scene_by_scene():
    rng = np.random.default_rng(13)
    truth = random_labels(rng, 70, 128 * 128, labels=7, dtype=torch.uint8)
    prediction = torch.where(truth > 2, truth, 0)
    one_by_one = [
        adjusted_rand_index(t[None], p[None]) for t, p in zip(truth, prediction, strict=True)
    ]
    assert torch.equal(adjusted_rand_index(truth, prediction), torch.cat(one_by_one))


def test_invariant_under_renaming_and_pixel_order():
    rng = np.random.default_rng(17)
    truth = random_labels(rng, 5, 400, labels=6)
    prediction = torch.where(torch.from_numpy(rng.random((5, 400)) < 0.6), truth, 2)
    score = adjusted_rand_index(truth, prediction)
    names, order = torch.from_numpy(rng.permutation(1000)), torch.from_numpy(rng.permutation(400))
    renamed = adjusted_rand_index(names[truth], names[prediction])
    shuffled = adjusted_rand_index(truth[:, order], prediction[:, order])
    torch.testing.assert_close(renamed, score, rtol=0, atol=1e-14)
    assert torch.equal(shuffled, score)
    assert torch.equal(adjusted_rand_index(prediction, truth), score)


def test_three_forms_follow_their_definitions():
    rng = np.random.default_rng(19)
    truth = random_labels(rng, 8, 20, 20, labels=4, dtype=torch.uint8)
    object_labels = torch.where(torch.from_numpy(rng.random(truth.shape) < 0.8), truth, 1)
    object_labels = object_labels.clamp(min=1)
    missed = torch.from_numpy(rng.random(truth.shape) < 0.3)
    labels = torch.where((truth == 0) | missed, 0, object_labels)
    scores = ari_scores(truth, labels, object_labels)
    flat = [t.flatten(1) for t in (truth, labels, object_labels)]
    foreground = flat[0] > 0
    np.testing.assert_allclose(scores.ari, sklearn_ari(flat[0], flat[1]), atol=1e-12)
    np.testing.assert_allclose(
        scores.ari_fg_strict, sklearn_ari(flat[0], flat[1], foreground), atol=1e-12
    )
    np.testing.assert_allclose(scores.ari_fg, sklearn_ari(flat[0], flat[2], foreground), atol=1e-12)
    assert (scores.ari_fg > scores.ari_fg_strict).all()


def test_forms_of_control_predictions():
    truth = torch.zeros(2, 32, 32, dtype=torch.uint8)
    truth[:, 4:12, 4:12], truth[:, 18:30, 10:22] = 1, 2
    perfect = ari_scores(truth, truth, truth.clamp(min=1))
    assert perfect.ari.tolist() == perfect.ari_fg_strict.tolist() == perfect.ari_fg.tolist()
    assert perfect.ari.tolist() == [1.0, 1.0]
    one = torch.ones_like(truth)
    segment = ari_scores(truth, one, one)
    assert segment.ari.tolist() == segment.ari_fg.tolist() == [0.0, 0.0]


def test_scenes_of_no_and_of_one_object():
    """The convention that the tables' captions state."""
    truth = torch.zeros(3, 8, 8, dtype=torch.uint8)
    truth[1:, 2:6] = 5
    labels = torch.ones_like(truth)
    labels[2, :, :4] = 2  # cuts the object
    scores = ari_scores(truth, labels, labels)
    for foreground in (scores.ari_fg, scores.ari_fg_strict):
        assert foreground.isnan().tolist() == [True, False, False]
        assert foreground[1:].tolist() == [1.0, 0.0]
    assert not scores.ari.isnan().any()


def test_inputs_are_left_alone_and_empty_batches_work():
    truth = torch.tensor([[0, 1], [2, 2]], dtype=torch.int16)
    before = truth.clone()
    contingency(truth, truth, truth > 0)
    assert torch.equal(truth, before)
    assert adjusted_rand_index(torch.empty(0, 9).long(), torch.empty(0, 9).long()).shape == (0,)


@pytest.mark.parametrize(
    ("truth", "prediction", "counted", "message"),
    [
        (torch.zeros(2, 3).long(), torch.zeros(2, 4).long(), None, "one shape"),
        (torch.zeros(3).long(), torch.zeros(3).long(), None, "one shape"),
        (torch.zeros(2, 3), torch.zeros(2, 3).long(), None, "truth: expected integer"),
        (torch.zeros(2, 3).long(), torch.full((2, 3), -1), None, "prediction: expected labels"),
        (torch.zeros(2, 3).long(), torch.zeros(2, 3).long(), torch.ones(2, 3), "counted"),
    ],
)
def test_wrong_input_is_named(truth, prediction, counted, message):
    with pytest.raises(ValueError, match=message):
        contingency(truth, prediction, counted)


def test_benchmark_is_json_and_agrees_with_sklearn():
    result = bench_ari(scenes=40, size=64, loop_scenes=10)
    assert json.loads(json.dumps(result)) == result
    assert result["largest_difference"] < 1e-12
    assert result["speed_up"] > 10  # 50 is asked of an idle core at 1,000 scenes of 128x128
