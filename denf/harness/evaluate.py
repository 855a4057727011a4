"""Evaluation of any method: scores per scene, their summary, pictures for the figures, samples."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from denf.data.prepared import Array, Prepared
from denf.errors import DenfError
from denf.files import atomic_path
from denf.harness.checkpoint import tensors_sha256
from denf.harness.method import Capability, Method
from denf.harness.scores import BatchScores, Row, score_batch, summarise
from denf.run_folder import read_record

SAMPLES = 4  # generated images per scene of `panels`


class SampleMode(StrEnum):
    """Where generated images come from (Table 2 states it)."""

    OBJECTS_SUBSET = "objects-subset"  # real images, a random subset of their objects kept
    PRIOR = "prior"


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
            empty = _channels_first(data.empty[start : start + len(images)], method.device)
        scores = score_batch(method, images, truth, empty)
        rows += scores.rows(range(start, start + len(images)))
        scored.append(scores)
    return summarise(rows, scored), rows


@torch.no_grad()
def panels(method: Method, data: Prepared, count: int) -> dict[str, np.ndarray]:
    """Pictures of `count` scenes, evenly spread, for the figures and the results page.

    Returns:
        `image` uint8 (n, H, W, 3), `truth` (n, H, W) where there are masks, and the outputs that
        the method is capable of:

        - `labels` and `object_labels` (n, H, W);
        - `reconstruction` and `background`, uint8 (n, H, W, 3);
        - `boxes` (n, K, 4), x0, y0, x1, y1 in pixels, NaN where unused;
        - `samples` uint8 (n, `SAMPLES`, H, W, 3): recomposed from each scene where the method
          generates by recomposing, otherwise from the prior;
        - the arrays of its `inspect`.

        Empty for a method that has none of these outputs.
    """
    # Neighbouring frames of footage show the same moment.
    chosen = np.linspace(0, len(data) - 1, min(count, len(data))).round().astype(int)
    masks = None if data.masks is None else data.masks[chosen]
    shown = replace(data, images=data.images[chosen], masks=masks, empty=None)
    _, images, truth = next(batches(shown, method.device, len(chosen)))
    found = dict(_pictures(method, images, truth))
    if not found:
        return {}
    arrays = {"image": images.permute(0, 2, 3, 1)} | ({} if truth is None else {"truth": truth})
    return {name: value.cpu().numpy() for name, value in (arrays | found).items()}


def _pictures(method: Method, images: Tensor, truth: Tensor | None) -> Iterator[tuple[str, Tensor]]:
    """Outputs of a method for images, by the names of `panels`."""
    can = method.capabilities
    if Capability.SEGMENT in can:
        found = method.segment(images, truth if Capability.ORACLE in can else None)
        yield "labels", found.labels
        yield "object_labels", found.object_labels
    if Capability.RECONSTRUCT in can:
        yield "reconstruction", _as_bytes(method.reconstruct(images))
    if Capability.BACKGROUND in can:
        yield "background", _as_bytes(method.without_objects(images))
    if Capability.BOXES in can:
        proposals = method.boxes(images)
        boxes = proposals.boxes * images.shape[-1]
        boxes = boxes.masked_fill(~proposals.present[..., None], torch.nan)
        first = proposals.present.int().argsort(dim=1, descending=True, stable=True)
        most = int(proposals.present.sum(1).max())
        yield "boxes", boxes.take_along_dim(first[..., None], 1)[:, :most]
    if Capability.INSPECT in can:  # its `boxes`, of whole objects, replace those above
        yield from method.inspect(images).items()
    if can & {Capability.SAMPLE, Capability.RECOMPOSE}:
        generator = torch.Generator(method.device).manual_seed(0)
        if method.starts_from_images:
            rounds = [method.recompose(images, generator) for _ in range(SAMPLES)]
            made = torch.stack(rounds, 1)
        else:
            made = method.sample(len(images) * SAMPLES, generator).unflatten(0, (-1, SAMPLES))
        yield "samples", made.movedim(2, -1)


def _as_bytes(images: Tensor) -> Tensor:
    """Float (n, 3, H, W) in [0, 1] as uint8 (n, H, W, 3)."""
    return (images.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)


@torch.no_grad()
def generate(
    method: Method, count: int, *, source: Prepared | None, seed: int, batch_size: int = 32
) -> tuple[np.ndarray, SampleMode]:
    """New images by a method: recomposed from real ones where these are given, else from its prior.

    Args:
        method: with RECOMPOSE or SAMPLE.
        count: images wanted; images of `source` are used in order and repeatedly.
        source: real images to recompose; not those that the samples will be compared with.
        seed: of every random draw.
        batch_size: images per batch.

    Returns:
        uint8 (count, H, W, 3) and the mode.

    Raises:
        DenfError: for a method that cannot generate, or not from `source`.
    """
    able = ", ".join(sorted(method.capabilities)) or "no capability"
    recomposes = Capability.RECOMPOSE in method.capabilities
    samples = Capability.SAMPLE in method.capabilities
    if source is not None and samples and not recomposes:
        raise DenfError(
            type(method).__name__,
            expected="a method that can recompose the images of --source",
            got=able,
            fix="Leave --source out to sample the prior, or choose another method.",
        )
    generator = torch.Generator(method.device).manual_seed(seed)
    if recomposes and source is not None:
        mode = SampleMode.OBJECTS_SUBSET
        made = _recompositions(method, source, generator, min(batch_size, count))
    elif samples:
        mode = SampleMode.PRIOR
        made = _samples(method, generator, min(batch_size, count))
    else:
        raise DenfError(
            type(method).__name__,
            expected="a method that samples, or one that recomposes and real images to start from",
            got=able,
            fix="Give --source, or choose another method.",
        )
    parts: list[np.ndarray] = []
    missing = count
    with tqdm(total=count, desc="samples", unit="image", disable=None) as bar:
        while missing:
            parts.append(next(made)[:missing].permute(0, 2, 3, 1).cpu().numpy())
            missing -= len(parts[-1])
            bar.update(len(parts[-1]))
    return np.concatenate(parts), mode


def _recompositions(
    method: Method, source: Prepared, generator: torch.Generator, batch_size: int
) -> Iterator[Tensor]:
    while True:
        for _, images, _ in batches(source, method.device, batch_size):
            yield method.recompose(images, generator)


def _samples(method: Method, generator: torch.Generator, batch_size: int) -> Iterator[Tensor]:
    while True:
        yield method.sample(batch_size, generator)


def batches(
    data: Prepared, device: torch.device, batch_size: int
) -> Iterator[tuple[int, Tensor, Tensor | None]]:
    """Scenes in order: index of the first, uint8 images (B, 3, H, W), masks (B, H, W) or None."""
    for start in range(0, len(data), batch_size):
        images = _channels_first(data.images[start : start + batch_size], device)
        truth = None
        if data.masks is not None:
            truth = torch.from_numpy(np.array(data.masks[start : start + batch_size])).to(device)
        yield start, images, truth


def _channels_first(images: Array, device: torch.device) -> Tensor:
    """(n, H, W, 3), read into memory, as (n, 3, H, W) on the device."""
    return torch.from_numpy(np.array(images)).to(device).permute(0, 3, 1, 2)


def rows_as_csv(rows: list[Row]) -> str:
    """One line per scene, floats in full precision."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def describe_data(data: Prepared) -> Mapping[str, Any]:
    """Description of the data that a result was measured on."""
    known = {k: data.info.get(k) for k in ("name", "split", "count", "size", "source", "licence")}
    return {**known, "sha256": data.sha256}


def describe_run(run: Path, method: Method) -> Mapping[str, Any]:
    """Description of the run that a result was measured on."""
    return {
        "run": str(run),
        "run_weights_sha256": tensors_sha256(method.state_dict()),
        "trained_size": trained_size(run),
    }


def trained_size(run: Path) -> int | None:
    """Side of a run's training images in pixels; None where it is not recorded."""
    return (read_record(run, "run.json").get("data") or {}).get("size")


def check_size(run: Path, data: Prepared | None) -> None:
    """Refuse scenes of another size than those that a run was trained on.

    Raises:
        DenfError: with both sizes.
    """
    size = trained_size(run)
    if data is not None and size is not None and data.size != size:
        raise DenfError(
            f"scenes {data.folder}",
            expected=f"{size}×{size} pixels, as run {run} was trained on",
            got=f"{data.size}×{data.size}",
            fix="Prepare them with that --size, or give --other-size.",
        )


def save_panels(arrays: Mapping[str, np.ndarray], path: Path) -> None:
    """Write the arrays as compressed .npz, atomically."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
