"""Scores of any method: one row per scene, and their summary."""

from __future__ import annotations

import csv
import io
from typing import Any

import torch

from denf.data.prepared import Prepared
from denf.harness.method import Method
from denf.harness.scenes import batches, channels_first
from denf.harness.scores import BatchScores, Row, score_batch, summarise


@torch.no_grad()
def evaluate(
    method: Method, data: Prepared, *, batch_size: int = 32
) -> tuple[dict[str, Any], list[Row]]:
    """Score every scene.

    Args:
        method: on its device, in evaluation mode.
        data: the split. Without masks, segmentation and boxes are not scored; without `empty`,
            backgrounds are not.
        batch_size: scenes per batch.

    Returns:
        the summary and one row per scene. Both hold the scores that the method and the data allow:

        - `ari_fg`, `ari_fg_strict`, `ari`: see `denf.metrics.ari`;
        - `mse`, `bits_per_dim`: of the reconstruction, of the density;
        - `box_iou`: see `denf.metrics.boxes`; `count_error`: predicted minus visible objects,
          absolute; `coverage`: mean over the objects, see `denf.metrics.objects`;
        - `background_psnr`, `background_psnr_objects`: of the generated background against the
          scene without its objects, in dB, over all pixels and over those of true objects.

        In the summary each has mean, std and n over scenes. Scores that are not finite are left out
        and not counted in n; without a finite score, mean and std are None. The summary also has

        - `empty_scenes`, `one_object_scenes`: numbers of scenes without objects, which have no
          foreground ARI, and with one, whose foreground ARI is 1 or 0;
        - `count`: fractions of scenes whose predicted number of objects is `right`, `too_few`,
          `too_many`;
        - `coverage_worst_tenth`: mean over the tenth of all objects that is covered least;
        - `background_psnr_pooled`, `background_psnr_objects_pooled`: of the mean squared error over
          the pixels of all scenes;
        - `by_objects`, `by_touching`: means of the indices, and n, of scenes by their number of
          visible objects and by whether two of these come within 2 pixels.

        Rows also have `objects` (visible ones), `predicted_objects` and `touching` (0 or 1).
    """
    rows: list[Row] = []
    scored: list[BatchScores] = []
    for start, images, truth in batches(data, method.device, batch_size):
        empty = None
        if data.empty is not None:
            empty = channels_first(data.empty[start : start + len(images)], method.device)
        scores = score_batch(method, images, truth, empty)
        rows += scores.rows(range(start, start + len(images)))
        scored.append(scores)
    return summarise(rows, scored), rows


def rows_as_csv(rows: list[Row]) -> str:
    """One line per scene, floats in full precision."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
