"""The Fréchet distance against SciPy, its rise with corruptions, the origin of its weights."""

import dataclasses
import functools
import hashlib
import http.server
import json
import socket
import threading
import warnings

import numpy as np
import pytest
import scipy.linalg
import torch
from scipy.ndimage import gaussian_filter
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY

from denf.errors import DenfError
from denf.metrics.extractor import Extractor
from denf.metrics.features import (
    INCEPTION_WEIGHTS,
    RandomConvFeatures,
    WeightsFile,
    inception_weights,
    random_conv_weights,
    register_random_conv,
)
from denf.metrics.fid import FeatureSpace, ImageArray
from denf.metrics.generation import compare

SIZE = 24


def distance(samples, reference, **options):
    return compare(samples, reference, space=FeatureSpace(Extractor.RANDOM_CONV, **options))


def disc_images(count, seed, keep=1.0):
    """Shaded discs on a graded floor with sensor noise; each disc is drawn with chance `keep`."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE]
    images = np.empty((count, SIZE, SIZE, 3), np.uint8)
    for image in images:
        scene = np.full((SIZE, SIZE, 3), 110.0) + y[..., None] + rng.normal(0, 6)
        for _ in range(rng.integers(3, 7)):
            centre, radius = rng.uniform(2, SIZE - 2, 2), rng.uniform(2, 4)
            inside = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2
            if rng.random() < keep:
                scene[inside] = rng.uniform(0, 255, 3)
        image[:] = np.clip(scene + rng.normal(0, 2, scene.shape), 0, 255)
    return images


@pytest.fixture(scope="module")
def sets():
    return disc_images(300, seed=1), disc_images(320, seed=2)


def features(images):
    model = RandomConvFeatures(Extractor.RANDOM_CONV.value, [RandomConvFeatures.LAYER])
    return model(torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))))[0].numpy()


def test_equals_the_formula_computed_with_scipy(sets):
    first, second = (features(images) for images in sets)
    covariances = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1])
    difference = first.mean(axis=0) - second.mean(axis=0)
    expected = difference @ difference + np.trace(sum(covariances) - 2 * root.real)
    result = distance(*sets)
    assert result.fid == pytest.approx(expected, rel=1e-4)
    assert result.fid > 1
    assert (result.samples, result.reference, result.features) == (300, 320, 246)
    assert result.size == (SIZE, SIZE)
    assert result.rank_note is None


def test_identical_sets_have_no_distance_and_order_is_no_matter(sets):
    assert distance(sets[0], sets[0]).fid == pytest.approx(0, abs=1e-4)
    order = np.random.default_rng(3).permutation(300)
    shuffled = distance(sets[0][order], sets[1], batch_size=37).fid
    assert shuffled == pytest.approx(distance(*sets).fid, rel=1e-6)
    assert distance(sets[1], sets[0]).fid == pytest.approx(shuffled, rel=1e-6)


def test_a_shift_of_all_features_is_its_squared_length():
    grey = np.full((50, SIZE, SIZE, 3), 100, np.uint8)
    # Equal images: no variance, and only the means of the colours differ: 3, and 48 at weight 1/4.
    assert distance(grey + np.uint8(4), grey).fid == pytest.approx(3 + 48 / 16, rel=1e-6)


def corrupted(images, kind, level):
    rng = np.random.default_rng(5)
    if kind == "noise":
        changed = images + level * rng.normal(size=images.shape)
    elif kind == "blur":
        changed = gaussian_filter(images.astype(float), (0, level, level, 0))
    else:
        changed = images + np.array([level, 0.0, -level])
    return np.clip(changed, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("kind", "levels"),
    [("noise", [8, 16, 36]), ("blur", [0.5, 1, 2]), ("colour", [4, 12, 36])],
)
def test_rises_with_the_strength_of_a_corruption(sets, kind, levels):
    reference = disc_images(300, seed=7)
    clean = distance(sets[0], reference).fid
    values = [distance(corrupted(sets[0], kind, level), reference).fid for level in levels]
    assert clean < values[0] < values[1] < values[2]
    assert values[2] > 2 * clean
    # Against its own clean originals there is no sampling error, and faint changes show.
    own = [distance(corrupted(sets[0], kind, level / 4), sets[0]).fid for level in levels]
    assert 0.01 < own[0] < own[1] < own[2]


def test_rises_with_the_fraction_of_objects_removed(sets):
    values = [distance(disc_images(300, 1, keep), sets[1]).fid for keep in (1.0, 0.7, 0.4, 0.0)]
    assert values == sorted(values)
    assert values[-1] > 10 * values[0]


def test_nothing_is_cached_and_the_data_count_anew(sets, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    images = sets[0].copy()
    before = distance(images, sets[1]).fid
    images[:] = 255 - images
    after = distance(images, sets[1]).fid
    assert after == distance(255 - sets[0], sets[1]).fid
    assert after > 2 * before
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_reads_memory_maps_in_small_steps_without_warnings(sets, tmp_path, capfd):
    np.save(tmp_path / "images.npy", sets[0])
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = distance(mapped, sets[1], batch_size=16)
    assert result.fid == pytest.approx(distance(*sets).fid, rel=1e-9)
    assert capfd.readouterr() == ("", "")
    item = ImageArray(mapped)[3]
    assert item.dtype == torch.uint8
    np.testing.assert_array_equal(item, sets[0][3].transpose(2, 0, 1))


def test_result_says_what_the_number_depends_on(sets):
    result = distance(sets[0][:40], sets[1])
    assert result.rank_note == "singular covariance: 40 samples for 246 features"
    loaded = json.loads(json.dumps(dataclasses.asdict(result)))
    assert loaded["extractor"] == "random-conv-v1"
    assert loaded["torch_fidelity"] == "0.4.0"
    assert loaded["weights_sha256"] == RandomConvFeatures.weights_sha256()
    assert (loaded["samples"], loaded["reference"]) == (40, 320)


def test_random_filters_are_the_same_everywhere():
    first, second = random_conv_weights(RandomConvFeatures.SEED, RandomConvFeatures.FILTERS)
    assert (first.shape, second.shape) == ((16, 3, 5, 5), (16, 16, 3, 3))
    for weights in (first, second):
        flat = weights.reshape(16, -1).astype(np.float64)
        np.testing.assert_allclose(flat.sum(axis=1), 0, atol=1e-4)
        np.testing.assert_allclose((flat**2).sum(axis=1), 1, atol=1e-4)
    expected = "2b5a6b099dffbfb90b6dbb46ed3371fa283ed6b6c7cf8453ed8844db74fee128"
    assert RandomConvFeatures.weights_sha256() == expected


def test_features_have_their_recorded_values():
    y, x, c = np.meshgrid(np.arange(32), np.arange(40), np.arange(3), indexing="ij")
    image = ((y * x + 50 * c * (y > x)) % 256).astype(np.uint8)[None]
    values = features(image)
    assert (values.shape, values.dtype) == ((1, 246), np.float64)
    assert np.array_equal(values, features(image))
    np.testing.assert_allclose(values[0, :3], image[0].mean(axis=(0, 1)) / 4, rtol=1e-5)
    np.testing.assert_allclose(values[0, 3:6], image[0].std(axis=(0, 1)) / 4, rtol=1e-5)
    np.testing.assert_allclose(values[0, RECORDED_AT], RECORDED, rtol=1e-4)


RECORDED_AT = [54, 70, 86, 102, 118, 150, 200, 245]
RECORDED = [6.41746, 8.36034, 3.74976, 5.28269, 5.72125, 4.58705, 4.72942, 3.57396]


def test_registering_twice_is_harmless():
    register_random_conv()
    before = dict(FEATURE_EXTRACTORS_REGISTRY)
    register_random_conv()
    assert before == FEATURE_EXTRACTORS_REGISTRY
    assert before[Extractor.RANDOM_CONV.value] is RandomConvFeatures


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda a: a.astype(np.float32), ValueError, "samples: expected uint8"),
        (lambda a: a[..., 0], ValueError, "samples: expected uint8"),
        (lambda a: a.transpose(0, 3, 1, 2), ValueError, "samples: expected uint8"),
        (lambda a: a[:1], DenfError, "at least 2 images, got 1"),
        (lambda a: a[:, :20], DenfError, r"\(24, 24\), got \(20, 24\)"),
    ],
)
def test_wrong_images_are_named(sets, change, error, message):
    with pytest.raises(error, match=message):
        distance(change(sets[0]), sets[1])


def test_wrong_settings_are_named(sets, tmp_path):
    small = sets[0][:5, :8, :8]
    with pytest.raises(DenfError, match="at least 16 pixels"):
        distance(small, small)
    with pytest.raises(ValueError, match="batch_size"):
        FeatureSpace(Extractor.RANDOM_CONV, batch_size=0)
    with pytest.raises(ValueError, match="weights: expected None"):
        FeatureSpace(Extractor.RANDOM_CONV, weights=tmp_path / "file.pth")


def test_missing_or_foreign_weight_file_is_refused(tmp_path):
    absent, foreign = tmp_path / "absent.pth", tmp_path / "foreign.pth"
    foreign.write_bytes(b"other weights")
    with pytest.raises(DenfError, match=r"no file .*absent\.pth.* random-conv-v1"):
        FeatureSpace(Extractor.INCEPTION, weights=absent)
    with pytest.raises(DenfError, match=r"foreign\.pth: expected SHA-256 6726825d.* Remove"):
        FeatureSpace(Extractor.INCEPTION, weights=foreign)


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A weight file on a loopback server, with an empty torch cache."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "weights.pth").write_bytes(b"weights" * 1000)
    handler = functools.partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        digest = hashlib.sha256(b"weights" * 1000).hexdigest()
        yield WeightsFile(f"http://127.0.0.1:{server.server_port}/weights.pth", digest)
        server.shutdown()
        thread.join()


def test_weights_are_fetched_once_into_the_torch_cache(served, tmp_path):
    path = inception_weights(None, source=served)
    assert path == tmp_path / "torch/hub/checkpoints/weights.pth"
    assert path.read_bytes() == b"weights" * 1000
    unreachable = WeightsFile("http://127.0.0.1:1/weights.pth", served.sha256)
    assert inception_weights(None, source=unreachable) == path
    assert inception_weights(path, source=unreachable) == path


def test_fetched_weights_with_another_checksum_are_not_used(served):
    with pytest.raises(DenfError):
        inception_weights(None, source=dataclasses.replace(served, sha256="0" * 64))


def test_missing_weights_without_a_network_say_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with socket.socket() as closed:  # bound but not listening: connections are refused
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/weights.pth"
        source = WeightsFile(url, INCEPTION_WEIGHTS.sha256)
        with pytest.raises(DenfError, match=r"Inception weights: .* random-conv-v1"):
            inception_weights(None, source=source, retries=0)


def test_published_weights_are_named_by_their_checksum():
    assert INCEPTION_WEIGHTS.name == "weights-inception-2015-12-05-6726825d.pth"
    assert INCEPTION_WEIGHTS.sha256[:8] == "6726825d"
