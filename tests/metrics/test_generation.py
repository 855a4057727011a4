"""What samples are judged by besides their FID, against brute force and known failures."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch

from denf.errors import DenfError
from denf.evenly import evenly_spread
from denf.metrics.extractor import Extractor
from denf.metrics.fid import FeatureSpace, distance_of
from denf.metrics.generation import (
    compare,
    fid_by_samples,
    kernel_distance,
    precision_and_recall,
)

SIZE = 16


def pictures(count: int, seed: int) -> np.ndarray:
    """A coloured square on a grey ground, with noise."""
    rng = np.random.default_rng(seed)
    images = np.empty((count, SIZE, SIZE, 3))
    images[:] = rng.normal(120, 10, (count, 1, 1, 1))
    for image in images:
        y, x = rng.integers(0, SIZE - 6, 2)
        image[y : y + 6, x : x + 6] = rng.uniform(0, 255, 3)
    return np.clip(images + rng.normal(0, 2, images.shape), 0, 255).astype(np.uint8)


def normal(count: int, seed: int, mean: float = 0.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 5, generator=generator, dtype=torch.double) + mean


@pytest.fixture(scope="module")
def result():
    return compare(
        pictures(60, 1),
        pictures(50, 2),
        space=FeatureSpace(Extractor.RANDOM_CONV, batch_size=32),
        training=pictures(80, 3),
    )


def plain(first: np.ndarray, second: np.ndarray) -> float:
    space = FeatureSpace(Extractor.RANDOM_CONV)
    return distance_of(space.features(first), space.features(second))


def test_the_distance_is_the_plain_one_and_ends_its_own_curve(result):
    assert result.fid == pytest.approx(plain(pictures(60, 1), pictures(50, 2)), rel=1e-9)
    assert [point.samples for point in result.fid_by_samples] == [8, 15, 30, 60]
    assert result.fid_by_samples[-1].fid == result.fid
    assert result.fid_by_samples[0].fid > result.fid  # fewer samples, more bias


def test_the_floor_is_the_distance_of_as_many_training_images(result):
    training = pictures(80, 3)[evenly_spread(60, 80)]
    floor = plain(training, pictures(50, 2))
    assert result.floor.samples == 60
    assert result.floor.fid == pytest.approx(floor, rel=1e-9)
    assert json.loads(json.dumps(asdict(result)))["floor"]["fid"] == result.floor.fid


def test_training_images_of_another_size_are_refused():
    small, space = np.zeros((5, 20, 20, 3), np.uint8), FeatureSpace(Extractor.RANDOM_CONV)
    with pytest.raises(DenfError, match="image size of the samples"):
        compare(pictures(5, 0), pictures(5, 1), space=space, training=small)


def test_kernel_distance_equals_the_sums_over_all_pairs():
    x, y = normal(12, 0), normal(12, 1, mean=0.5)

    def k(a, b):
        return (float(a @ b) / 5 + 1) ** 3

    n = 12
    within = sum(k(s[i], s[j]) for s in (x, y) for i in range(n) for j in range(n) if i != j)
    across = sum(k(a, b) for a in x for b in y)
    mean, std, size = kernel_distance(x, y)
    assert mean == pytest.approx(within / (n * (n - 1)) - 2 * across / n**2, rel=1e-9)
    assert std == pytest.approx(0, abs=1e-12)  # every subset is the whole set
    assert size == 12


def test_the_kernel_distance_does_not_depend_on_the_number_of_samples():
    reference = normal(400, 0)
    few = np.mean([kernel_distance(normal(20, seed), reference)[0] for seed in range(1, 30)])
    assert abs(few) < 0.05
    assert fid_by_samples(normal(20, 1), reference)[-1].fid > 0.5  # which the FID does
    assert kernel_distance(normal(20, 1, mean=1.0), reference)[0] > 1


def test_precision_and_recall_equal_brute_force():
    x, y = normal(15, 0), normal(11, 1, mean=0.8)

    def inside(points, centres):
        radii = [sorted(float((c - d).norm()) for d in centres)[3] for c in centres]
        hits = [
            any(float((p - c).norm()) <= r for c, r in zip(centres, radii, strict=True))
            for p in points
        ]
        return np.mean(hits)

    precision, recall, neighbours = precision_and_recall(x, y)
    assert (precision, recall) == pytest.approx((inside(x, y), inside(y, x)))
    assert 0 < precision < 1
    assert neighbours == 3


def test_collapse_costs_recall_and_noise_costs_precision():
    real = normal(200, 0)
    assert precision_and_recall(real, real)[:2] == (1.0, 1.0)
    collapsed = real[:1] + 0.01 * normal(200, 2)
    precision, recall, _ = precision_and_recall(collapsed, real)
    assert precision > 0.9
    assert recall < 0.1
    precision, recall, _ = precision_and_recall(normal(200, 3, mean=20.0), real)
    assert (precision, recall) == (0.0, 0.0)


@pytest.mark.parametrize("count", [2, 3])
def test_few_images_have_fewer_neighbours(count):
    assert precision_and_recall(normal(count, 0), normal(9, 1))[2] == count - 1
