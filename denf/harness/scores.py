"""Scores per scene from one pass over a batch, and their summary over a split."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from denf.harness.method import Capability, Method, Prediction, Proposals, Segmentation
from denf.metrics.ari import ari_scores
from denf.metrics.boxes import box_iou
from denf.metrics.objects import count_objects, coverage, touching
from denf.metrics.psnr import SquaredErrors, decibels, squared_errors

Row = dict[str, float]
T = TypeVar("T")
FACTS = ("scene", "objects", "touching", "predicted_objects")  # columns that are not scores
ARI = ("ari_fg", "ari_fg_strict", "ari")
WORST = 0.1  # share of the objects in `coverage_worst_tenth`
# Methods with one of these capabilities use label 0 for the background.
_KNOWS_BACKGROUND = {Capability.BACKGROUND, Capability.BOXES}


@dataclass(frozen=True)
class BatchScores:
    """Scores of the B scenes of a batch.

    Args:
        columns: by name, (B,) each, one value per scene.
        coverage: of every visible object, (M,) in [0, 1]; None where not measured.
        errors: of the background, by the name of the PSNR, for pooling over the split.
    """

    columns: Mapping[str, Tensor]
    coverage: Tensor | None = None
    errors: Mapping[str, SquaredErrors] = field(default_factory=dict)

    def rows(self, scenes: Sequence[int]) -> list[Row]:
        """One row for each scene of the batch; `scenes` are their numbers."""
        table = {name: values.double().cpu().tolist() for name, values in self.columns.items()}
        return [
            {"scene": scene, **{name: values[k] for name, values in table.items()}}
            for k, scene in enumerate(scenes)
        ]


@dataclass(frozen=True)
class _Outputs:
    """Outputs of a method for a batch; None where an output does not exist or is not scored."""

    segmentation: Segmentation | None
    reconstruction: Tensor | None
    log_prob: Tensor | None
    background: Tensor | None
    proposals: Proposals | None


def score_batch(
    method: Method, images: Tensor, truth: Tensor | None, empty: Tensor | None
) -> BatchScores:
    """Score a batch of scenes.

    Args:
        method: on the images' device, in evaluation mode.
        images: uint8 (B, 3, H, W).
        truth: masks (B, H, W); without them segmentation and boxes are not scored.
        empty: the scenes without their objects, uint8 (B, 3, H, W); without them backgrounds are
            not scored.
    """
    outputs = _outputs(method, images, truth, empty)
    columns: dict[str, Tensor] = {}
    covered: Tensor | None = None
    if outputs.segmentation is not None and truth is not None:
        ari = ari_scores(truth, outputs.segmentation.labels, outputs.segmentation.object_labels)
        columns |= {name: getattr(ari, name) for name in ARI}
        if method.capabilities & _KNOWS_BACKGROUND:
            by_object = coverage(truth, outputs.segmentation.labels)
            columns["coverage"] = by_object.nanmean(1)
            covered = by_object[~by_object.isnan()]
    if outputs.reconstruction is not None:
        columns["mse"] = (outputs.reconstruction - images.float() / 255).square().mean((1, 2, 3))
    if outputs.log_prob is not None:
        nats = outputs.log_prob / images[0].numel()
        # A density of intensities in [0, 1] times the width of a grey level is a probability.
        columns["bits_per_dim"] = 8 - nats / math.log(2)
    if outputs.proposals is not None and truth is not None:
        found = outputs.proposals
        columns["box_iou"] = box_iou(truth, found.boxes, found.anchors, found.present)
        columns["count_error"] = (found.count - count_objects(truth)).abs()
        columns["predicted_objects"] = found.count
    errors: dict[str, SquaredErrors] = {}
    if outputs.background is not None and empty is not None:
        target = empty.double() / 255
        errors["background_psnr"] = squared_errors(outputs.background, target)
        if truth is not None:
            errors["background_psnr_objects"] = squared_errors(
                outputs.background, target, truth > 0
            )
        columns |= {name: error.psnr for name, error in errors.items()}
    if truth is not None:
        columns |= {"objects": count_objects(truth), "touching": touching(truth)}
    return BatchScores(columns, covered, errors)


def _outputs(
    method: Method, images: Tensor, truth: Tensor | None, empty: Tensor | None
) -> _Outputs:
    """All outputs that the batch can be scored on, from one call of `predict` where possible."""
    wanted = set(method.capabilities)
    if truth is None:
        wanted -= {Capability.SEGMENT, Capability.BOXES}
    if empty is None:
        wanted.discard(Capability.BACKGROUND)
    shown = truth if Capability.ORACLE in method.capabilities else None
    once: Prediction | None = None
    if {Capability.SEGMENT, Capability.RECONSTRUCT} <= wanted:
        once = method.predict(images, shown)

    def get(capability: Capability, known: T | None, call: Callable[[], T]) -> T | None:
        if capability not in wanted:
            return None
        return call() if known is None else known

    return _Outputs(
        segmentation=get(
            Capability.SEGMENT,
            once.segmentation if once else None,
            lambda: method.segment(images, shown),
        ),
        reconstruction=get(
            Capability.RECONSTRUCT,
            once.reconstruction if once else None,
            lambda: method.reconstruct(images),
        ),
        log_prob=get(
            Capability.LOG_PROB,
            once.log_prob if once else None,
            lambda: method.log_prob(images),
        ),
        background=get(
            Capability.BACKGROUND,
            once.background if once else None,
            lambda: method.without_objects(images),
        ),
        proposals=get(
            Capability.BOXES,
            once.proposals if once else None,
            lambda: method.boxes(images),
        ),
    )


def summarise(rows: Sequence[Row], batches: Sequence[BatchScores]) -> dict[str, Any]:
    """Summary of a split; `denf.harness.evaluate.evaluate` describes it.

    Args:
        rows: of all scenes.
        batches: of the same scenes.
    """
    names = [name for name in rows[0] if name not in FACTS]
    summary: dict[str, Any] = {name: _statistics(rows, name) for name in names}
    for name in batches[0].errors:
        total, count = (
            sum(float(getattr(batch.errors[name], part).sum()) for batch in batches)
            for part in ("total", "count")
        )
        pooled = (
            float(decibels(torch.tensor(total / count, dtype=torch.float64))) if count else math.nan
        )
        summary[f"{name}_pooled"] = pooled if math.isfinite(pooled) else None
    covered = [batch.coverage for batch in batches if batch.coverage is not None]
    if covered:
        worst = torch.cat(covered).sort().values
        worst = worst[: math.ceil(WORST * len(worst))]
        summary["coverage_worst_tenth"] = float(worst.mean()) if len(worst) else None
    if "predicted_objects" in rows[0]:
        excess = np.array([row["predicted_objects"] - row["objects"] for row in rows])
        parts = {"right": excess == 0, "too_few": excess < 0, "too_many": excess > 0}
        summary["count"] = {name: float(scenes.mean()) for name, scenes in parts.items()}
    if "objects" in rows[0]:
        summary["empty_scenes"] = sum(row["objects"] == 0 for row in rows)
        summary["one_object_scenes"] = sum(row["objects"] == 1 for row in rows)
    if ARI[0] in rows[0]:
        numbers = sorted({int(row["objects"]) for row in rows})
        summary["by_objects"] = {
            str(number): _group([row for row in rows if row["objects"] == number])
            for number in numbers
        }
        summary["by_touching"] = {
            name: _group([row for row in rows if row["touching"] == touch])
            for name, touch in (("touching", 1), ("apart", 0))
        }
    return summary


def _group(rows: Sequence[Row]) -> dict[str, float | int | None]:
    """Means of the adjusted Rand indices over some of the scenes, and the number of scenes."""
    return {**{name: _statistics(rows, name)["mean"] for name in ARI}, "n": len(rows)}


def _statistics(rows: Sequence[Row], name: str) -> dict[str, float | int | None]:
    values = np.array([row[name] for row in rows])
    values = values[np.isfinite(values)]
    if not len(values):
        return {"mean": None, "std": None, "n": 0}
    return {"mean": float(values.mean()), "std": float(values.std()), "n": len(values)}
