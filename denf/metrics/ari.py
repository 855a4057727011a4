"""Adjusted Rand index of whole batches: one histogram of label pairs, then closed formulas.

Which pixels count, and under which predicted labels, changes the number by more than ten points;
`AriScores` therefore holds all three forms in use (see `ari_scores`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_INT16_MAX = 32767
_CHUNK_PIXELS = 1 << 19  # 1 MiB of int16 indices: the working set stays in the cache
_CHUNK_BINS = 1 << 21  # bound on memory where the labels are many and the index is 64 bits wide
_LANES = 8  # sub-histograms; see `contingency`


@dataclass(frozen=True)
class AriScores:
    """The three forms of the adjusted Rand index, one value per scene, in [-1, 1].

    Args:
        ari_fg: (B,) float64; true foreground pixels, prediction without a background label; NaN for
            a scene without objects.
        ari_fg_strict: (B,) float64; true foreground pixels, the predicted background as one more
            cluster; NaN for a scene without objects.
        ari: (B,) float64; all pixels.
    """

    ari_fg: Tensor
    ari_fg_strict: Tensor
    ari: Tensor


def contingency(truth: Tensor, prediction: Tensor, counted: Tensor | None = None) -> Tensor:
    """Pixels per pair of labels: n[b, i, j] = #{x : truth = i, prediction = j, counted}.

    Row 0 and column 0 always belong to label 0. Labels up to 255 are their own row and column
    numbers; when larger ones occur, the distinct labels of the call are numbered in ascending
    order.

    Args:
        truth: (B, N) or (B, H, W) integers, at least 0; uint8 is fastest.
        prediction: the same shape, integers, at least 0.
        counted: the same shape, bool; False leaves a pixel out. None counts all pixels.

    Returns:
        (B, T, P) int64, T and P the numbers of rows and columns over the whole batch.

    Raises:
        ValueError: on unequal shapes, a type that is not integer, or a negative label.
    """
    _check_shapes(truth, prediction, counted)
    true, rows = _compact("truth", truth.flatten(1))
    predicted, columns = _compact("prediction", prediction.flatten(1))
    keep = None if counted is None else counted.flatten(1)
    count, pixels = true.shape
    pairs = rows * columns
    bins = pairs + (keep is not None)  # the last bin collects the pixels that are left out
    # Neighbouring pixels mostly have equal labels, and a processor stalls when it increments the
    # same counter again: pixels count in turn into _LANES histograms, which are added at the end.
    narrow = true.device.type == "cpu" and _LANES * bins <= _INT16_MAX
    lanes = _LANES if _LANES * bins <= _INT16_MAX else 1
    dtype, limit = (torch.int16, _INT16_MAX) if narrow else (torch.int64, _CHUNK_BINS)
    chunk = max(1, min(count, _CHUNK_PIXELS // max(1, pixels), limit // (lanes * bins)))
    device = true.device
    lane = torch.arange(pixels, device=device).remainder_(lanes).mul_(bins)
    scene = torch.arange(chunk, device=device).mul_(lanes * bins)
    offset = (scene[:, None] + lane).to(dtype)
    table = torch.empty(count, rows, columns, dtype=torch.int64, device=device)
    for start in range(0, count, chunk):
        part = slice(start, start + chunk)
        index = true[part].to(dtype).mul_(columns).add_(predicted[part])
        if keep is not None:
            index.masked_fill_(~keep[part], pairs)
        n = len(index)
        index.add_(offset[:n])
        counts = torch.bincount(index.view(-1), minlength=n * lanes * bins)
        summed = counts.view(n, lanes, bins).sum(dim=1)
        table[part] = summed[:, :pairs].view(n, rows, columns)
    return table


def adjusted_rand_index(truth: Tensor, prediction: Tensor, counted: Tensor | None = None) -> Tensor:
    """Adjusted Rand index of each scene (Hubert and Arabie 1985), over the counted pixels.

    ARI = 2(tp·tn - fn·fp) / ((tp + fn)(fn + tn) + (tp + fp)(fp + tn)) over ordered pixel pairs.
    Degenerate cases as in scikit-learn: 1 whenever the two partitions are equal, which includes
    one cluster on both sides, one counted pixel and none; 0 when only one side has one cluster.

    Args:
        truth: (B, N) or (B, H, W) integers, at least 0.
        prediction: the same shape, integers, at least 0.
        counted: the same shape, bool; None counts all pixels.

    Returns:
        (B,) float64 in [-1, 1].

    Raises:
        ValueError: as `contingency`.
    """
    return _from_table(contingency(truth, prediction, counted))


def ari_scores(truth: Tensor, labels: Tensor, object_labels: Tensor) -> AriScores:
    """All three forms of the adjusted Rand index of each scene.

    `ari_fg` takes the true foreground and `object_labels`: the background's segmentation is
    ignored on both sides (the DeNF paper's A.5). `ari_fg_strict` takes the true foreground and
    `labels`, as the reference code of Multi-Object Datasets does: what a method calls background
    inside an object is one more cluster. `ari` takes all pixels and `labels`.

    Args:
        truth: (B, H, W) or (B, N) integers; 0 is the background.
        labels: the same shape, integers; 0 is the predicted background.
        object_labels: the same shape, integers; never a background.

    Returns:
        one float64 value per scene and form. A scene without objects has nothing to segment: its
        two foreground values are NaN, to be left out of means. The foreground values of a scene
        with one object are 1 where its pixels have one label and 0 otherwise, since its truth is a
        single cluster.

    Raises:
        ValueError: as `contingency`.
    """
    with_background = contingency(truth, labels)
    objects_only = contingency(truth, object_labels)
    return AriScores(
        ari_fg=_of_foreground(objects_only),
        ari_fg_strict=_of_foreground(with_background),
        ari=_from_table(with_background),
    )


def _of_foreground(table: Tensor) -> Tensor:
    """ARI without row 0, the true background; NaN where no other row has pixels."""
    foreground = table[:, 1:]
    return _from_table(foreground).masked_fill(foreground.sum(dim=(1, 2)) == 0, torch.nan)


def _from_table(table: Tensor) -> Tensor:
    """ARI from (B, T, P) int64 counts; sums are exact in int64, products are taken in float64."""
    total = table.sum(dim=(1, 2))
    same_both = table.square().sum(dim=(1, 2))
    same_truth = table.sum(dim=2).square().sum(dim=1)
    same_prediction = table.sum(dim=1).square().sum(dim=1)
    false_negative = same_truth - same_both
    false_positive = same_prediction - same_both
    equal = (false_negative == 0) & (false_positive == 0)
    tp = (same_both - total).double()
    tn = (total.square() - same_truth - same_prediction + same_both).double()
    fn, fp = false_negative.double(), false_positive.double()
    scale = (tp + fn) * (fn + tn) + (tp + fp) * (fp + tn)
    index = 2.0 * (tp * tn - fn * fp) / scale.masked_fill(equal, 1.0)
    return index.masked_fill(equal, 1.0)


def _compact(name: str, labels: Tensor) -> tuple[Tensor, int]:
    """Labels as small row numbers with label 0 at 0, and how many numbers there are."""
    if labels.is_floating_point() or labels.is_complex():
        raise ValueError(f"{name}: expected integer labels, got {labels.dtype}")
    if labels.numel() == 0:
        return labels.to(torch.uint8), 1
    if labels.dtype in (torch.uint8, torch.bool):
        return labels.to(torch.uint8), int(labels.max()) + 1
    low, high = (int(v) for v in torch.aminmax(labels))
    if low < 0:
        raise ValueError(f"{name}: expected labels of at least 0, got {low}")
    if high <= 255:
        return labels.to(torch.uint8), high + 1
    values, numbers = torch.unique(labels, return_inverse=True)
    without_zero = int(values[0] != 0)
    return numbers + without_zero, len(values) + without_zero


def _check_shapes(truth: Tensor, prediction: Tensor, counted: Tensor | None) -> None:
    if truth.ndim < 2 or truth.shape != prediction.shape:
        raise ValueError(
            "truth and prediction: expected one shape (B, N) or (B, H, W), "
            f"got {tuple(truth.shape)} and {tuple(prediction.shape)}"
        )
    if counted is not None and (counted.dtype != torch.bool or counted.shape != truth.shape):
        raise ValueError(
            f"counted: expected bool {tuple(truth.shape)}, "
            f"got {counted.dtype} {tuple(counted.shape)}"
        )
