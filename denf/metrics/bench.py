"""Speed of the metrics, compared with that of common libraries."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from denf.metrics.ari import adjusted_rand_index


def bench_ari(scenes: int = 1000, size: int = 128, loop_scenes: int = 50) -> dict[str, Any]:
    """Time one form of the ARI (all pixels) here and as a loop of scikit-learn calls.

    Both sides read the same arrays: uint8, the type of prepared masks, which is also the fastest
    for scikit-learn. The loop is timed on fewer scenes and scaled. The best of seven repetitions
    counts on both sides. The number of threads is the caller's.

    Args:
        scenes: scenes in the batch, at least 1.
        size: image side in pixels, at least 16.
        loop_scenes: scenes for the scikit-learn loop, at most `scenes`.

    Returns:
        Seconds per 1,000 scenes of both, their ratio, the largest difference of the values, the
        thread count and the case; JSON-able.
    """
    from sklearn.metrics import adjusted_rand_score

    loop_scenes = min(loop_scenes, scenes)
    truth, prediction = _disc_scenes(scenes, size, np.random.default_rng(0))
    pair = torch.from_numpy(truth), torch.from_numpy(prediction)

    def loop() -> list[float]:
        both = zip(truth[:loop_scenes], prediction[:loop_scenes], strict=True)
        return [adjusted_rand_score(a, b) for a, b in both]

    (ours, values), (theirs, loop_values) = _best_times(lambda: adjusted_rand_index(*pair), loop)
    ours, theirs = 1000 * ours / scenes, 1000 * theirs / loop_scenes
    return {
        "case": "ari",
        "scenes": scenes,
        "size": size,
        "loop_scenes": loop_scenes,
        "threads": torch.get_num_threads(),
        "seconds_per_1000_scenes": ours,
        "sklearn_seconds_per_1000_scenes": theirs,
        "speed_up": theirs / ours,
        "largest_difference": float(np.abs(values[:loop_scenes].numpy() - loop_values).max()),
    }


def _best_times(
    first: Callable[[], Any], second: Callable[[], Any], repetitions: int = 7
) -> tuple[tuple[float, Any], tuple[float, Any]]:
    """Least seconds and result of each, run alternately so that other load affects both equally."""
    seconds: list[list[float]] = [[], []]
    results: list[Any] = [None, None]
    for _ in range(repetitions):
        for side, run in enumerate((first, second)):
            start = time.perf_counter()
            results[side] = run()
            seconds[side].append(time.perf_counter() - start)
    return (min(seconds[0]), results[0]), (min(seconds[1]), results[1])


def _disc_scenes(
    scenes: int, size: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Truth: 3 to 6 discs. Prediction: the same, shifted by 2 %, with 3 % of pixels at random."""
    y, x = np.mgrid[:size, :size]
    truth = np.zeros((scenes, size, size), np.uint8)
    for scene in truth:
        for label in range(1, rng.integers(3, 7) + 1):
            centre_y, centre_x = rng.uniform(0.1 * size, 0.9 * size, 2)
            radius = rng.uniform(0.06 * size, 0.16 * size)
            scene[(y - centre_y) ** 2 + (x - centre_x) ** 2 < radius**2] = label
    prediction = np.roll(truth, max(1, size // 50), axis=2)
    wrong = rng.random(truth.shape, np.float32) < 0.03
    prediction[wrong] = rng.integers(0, 7, int(wrong.sum()), np.uint8)
    return truth.reshape(scenes, -1), prediction.reshape(scenes, -1)
