"""Foreground ARI during training, on scenes that the method is not trained on."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch

from denf.data.prepared import Prepared
from denf.errors import DenfError
from denf.harness.batches import loader
from denf.harness.method import Capability, Method
from denf.metrics.ari import ari_scores


def choose_scenes(data: Prepared, count: int, *, training: Prepared) -> Prepared:
    """The first `count` scenes of a split, or all where it has fewer.

    Args:
        data: with masks.
        count: at least 1.
        training: the training split.

    Raises:
        DenfError: for a split without masks, of another size, or with the training images.
    """
    where = f"validation scenes {data.folder}"
    if data.masks is None:
        raise DenfError(
            where,
            expected="masks.npy, which foreground ARI compares with",
            got="none",
            fix="Choose scenes with masks, or train without --validation.",
        )
    if data.info["sha256"]["images.npy"] == training.info["sha256"]["images.npy"]:
        raise DenfError(
            where,
            expected="other scenes than those of the training",
            got=f"the same images as in {training.folder}",
            fix="Give another split to --validation, or train without it.",
        )
    if data.size != training.size:
        raise DenfError(
            where,
            expected=f"{training.size}×{training.size} pixels, as the training images have",
            got=f"{data.size}×{data.size}",
            fix="Prepare both splits with one --size.",
        )
    return replace(data, images=data.images[:count], masks=data.masks[:count], empty=None)


def is_due(step: int, before: int, *, steps: int, times: int) -> bool:
    """Whether one of `times` evenly spread evaluations is due in (before, step] of a training.

    Args:
        step: updates that were made.
        before: updates that had been made at the last row of the history.
        steps: updates of the whole training, at least 1; an evaluation is due at the last one.
        times: number of evaluations.
    """
    return step * times // steps > before * times // steps


@torch.no_grad()
def validation_ari(method: Method, scenes: Prepared, batch_size: int) -> float | None:
    """Mean foreground ARI of the scenes, in [-1, 1]; None where no scene has an object.

    The method is in training mode again afterwards, and its parameters and buffers are as before.

    Args:
        method: in training mode, with SEGMENT.
        scenes: with masks.
        batch_size: scenes per batch; the training's batch size needs no more memory than training.
    """
    assert scenes.masks is not None
    load, scores = loader(scenes, method.device), []
    method.eval()
    for start in range(0, len(scenes), batch_size):
        chosen = np.arange(start, min(start + batch_size, len(scenes)))
        found = method.segment(load(chosen))
        truth = torch.from_numpy(scenes.masks[chosen]).to(method.device)
        scores.append(ari_scores(truth, found.labels, found.object_labels).ari_fg)
    method.train()
    mean = float(torch.cat(scores).nanmean())
    return mean if math.isfinite(mean) else None


def can_be_scored(method: Method) -> bool:
    """Whether a method segments by itself, without being shown the masks."""
    can = method.capabilities
    return Capability.SEGMENT in can and Capability.ORACLE not in can
