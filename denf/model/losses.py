"""The losses of Eqs. 4–12, each on its own; `denf.model.objective` weighs and adds them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from denf.model.boxes import cell_boxes, corners
from denf.model.components import BoxTargets
from denf.model.denf import to_pixels
from denf.model.latents import Latents
from denf.model.priors import log_background, log_foreground, log_geometry
from denf.model.settings import AbsentDensity, Priors

_DARKEST, _LARGEST_GAIN = 0.02, 5.0  # bounds of the gain between two illuminations
_CORNER_UNIT = 0.1  # fraction of the image side: corners this far off cost as much as no overlap
_LEAST_AREA = 1e-9


def background_forward(z_bg: Tensor, ladj: Tensor) -> Tensor:
    """−log N(z_bg) − log|det J| of f1⁻¹, nats (B,). Eq. 4."""
    return -log_background(z_bg) - ladj


def background_backward(
    x: Tensor,
    x_bg: Tensor,
    hidden: Tensor | None = None,
    *,
    matched_light: bool = False,
    emphasis: float = 1.0,
) -> Tensor:
    r"""Squared distance of each background pixel to the nearest of that pixel over the batch.

    .. math:: \frac1M \sum_j e_j \min_{x \in B_j} \|x^j - \hat x_{bg}^j\|_2^2

    An object covers a pixel in few images of the batch, so the minimum ignores it. As printed,
    :math:`B_j` includes the image itself, so that reproducing its own objects costs nothing, and
    :math:`e_j = 1`.

    Args:
        x: images (B, C, H, W) in [0, 1], one camera.
        x_bg: generated backgrounds, same shape.
        hidden: bool (B, H, W), pixels at which an image is not a candidate for its own background;
            None for the printed form.
        matched_light: first scale every other image to the channel medians of the image.
        emphasis: e of the hidden pixels; 1 elsewhere.

    Returns:
        (B,), squared error summed over channels, mean over pixels; a pixel without a candidate
        counts 0. Source: Eq. 5.
    """
    nearest = torch.full_like(x_bg[:, 0], torch.inf)
    for k, shown in enumerate(_candidates(x, matched_light)):
        error = (x_bg - shown).square().sum(1)
        if hidden is not None:
            blocked = torch.zeros_like(hidden)
            blocked[k] = hidden[k]
            error = error.masked_fill(blocked, torch.inf)
        nearest = torch.minimum(nearest, error)
    nearest = nearest.masked_fill(nearest.isinf(), 0)
    if hidden is not None:
        nearest = torch.where(hidden, emphasis * nearest, nearest)
    return nearest.mean((1, 2))


def repeated(x: Tensor, count: int, *, matched_light: bool = False) -> Tensor:
    r"""Squared distance of each pixel to the count-th nearest of that pixel in the other images.

    Where it is small, `count` other images show the same: the pixel belongs to the background.

    Args:
        x: images (B, C, H, W) in [0, 1], one camera.
        count: of images, at least 1.
        matched_light: see `background_backward`.

    Returns:
        (B, H, W), summed over channels; infinite with fewer than `count` other images.
    """
    errors = torch.stack([(x - shown).square().sum(1) for shown in _candidates(x, matched_light)])
    itself = torch.arange(len(x), device=x.device)
    errors[itself, itself] = torch.inf
    return errors.sort(0).values[min(count, len(x)) - 1]


def _candidates(x: Tensor, matched_light: bool) -> Iterator[Tensor]:
    """Each image of the batch, in the light of every image where asked: (1 or B, C, H, W)."""
    if not matched_light:
        yield from x[:, None]
        return
    medians = x.flatten(2).median(2).values
    for k, image in enumerate(x):
        yield image * _gain(medians, k)[..., None, None]


def _gain(medians: Tensor, k: int) -> Tensor:
    """Factors (B, C) that scale image k to the channel medians of each image; 1 for itself."""
    gain = (medians / medians[k].clamp(min=_DARKEST)).clamp(1 / _LARGEST_GAIN, _LARGEST_GAIN)
    gain[k] = 1  # also where its median is darker than the bound
    return gain


def foreground_forward(
    latents: Latents, p: Tensor, ladj: Tensor, priors: Priors, absent: AbsentDensity
) -> Tensor:
    """−log p(z_fg) − log|det J| of f2⁻¹, nats (B,). Eqs. 8 and 9.

    f1's log-determinant is counted once, in Eq. 4: the two terms add up to −log p(x).
    """
    return -log_foreground(latents, p, priors, absent) - ladj


def mixture(presence: Tensor, x_fg: Tensor, x_bg: Tensor) -> Tensor:
    """x̂ = z_pres·x̂_fg + (1 − z_pres)·x̂_bg, (B, C, H, W). Eq. 10.

    Args:
        presence: of cells, (B, h, w) in [0, 1], or of pixels.
        x_fg, x_bg: (B, C, H, W).
    """
    m = _as_pixels(presence, x_fg)[:, None]
    return m * x_fg + (1 - m) * x_bg


def squared_error(x: Tensor, x_hat: Tensor) -> Tensor:
    """‖x − x̂‖² summed over channels, mean over pixels: (B,). Eq. 10."""
    return (x - x_hat).square().sum(1).mean((1, 2))


def expected_error(
    x: Tensor, x_fg: Tensor, x_bg: Tensor, presence: Tensor, most: Tensor | None = None
) -> Tensor:
    r"""Expectation of Eq. 10 over binary presence, (B,), channels summed, mean over pixels.

    .. math:: E\|x - \hat x\|^2 = p\,\|x - \hat x_{fg}\|^2 + (1 - p)\,\|x - \hat x_{bg}\|^2

    Args:
        x, x_fg, x_bg: (B, C, H, W).
        presence: probability p of z_pres = 1, of cells, (B, h, w), or of pixels.
        most: largest squared error of x̂_bg that counts, (B, H, W); None: any.
    """
    error_fg, error_bg = (x - x_fg).square().sum(1), (x - x_bg).square().sum(1)
    if most is not None:
        error_bg = torch.minimum(error_bg, most)
    p = _as_pixels(presence, x)
    return (p * error_fg + (1 - p) * error_bg).mean((1, 2))


def compatibility(union: Tensor, presence: Tensor) -> Tensor:
    r"""Disagreement of the boxes' union with the presence map, (B,) in [0, 1].

    .. math:: \frac{\sum (\hat z - z)^2}{\sum \hat z + \sum z}

    Args:
        union: ẑ_pres (B, h, w).
        presence: z_pres (B, h, w).

    Source: Eq. 12. An empty scene without boxes agrees: 0.
    """
    total = union.sum((1, 2)) + presence.sum((1, 2))
    return (union - presence).square().sum((1, 2)) / total.clamp(min=1e-6)


def geometry(latents: Latents, p: Tensor, priors: Priors) -> Tensor:
    """−log p(z_scale) − log p(z_loc) averaged over present cells, nats (B,).

    Args:
        latents: of the batch.
        p: presence (B, h, w) in [0, 1].
        priors: Table 5.
    """
    return -(p * log_geometry(latents, priors)).sum((1, 2)) / p.sum((1, 2)).clamp(min=1)


def box(latents: Latents, targets: BoxTargets) -> Tensor:
    r"""Disagreement of the cells' boxes with their targets, a weighted mean over cells; a scalar.

    .. math:: \frac{\sum_n w_n \left(1 - \mathrm{GIoU}(b_n, t_n) +
        \frac{1}{4 \cdot 0.1} \lVert b_n - t_n \rVert_1 \right)}{\sum_n w_n}

    The union of Eq. 12 does not distinguish many small boxes from one of the right size; a target
    box per cell does.

    Args:
        latents: of the batch.
        targets: see `denf.model.components`. Without targets the loss is 0.

    Source: section 3.1.4; GIoU: Rezatofighi et al. (2019).
    """
    b, t, w = corners(*cell_boxes(latents)), targets.boxes, targets.weight
    shared = _area(torch.max(b[..., :2], t[..., :2]), torch.min(b[..., 2:], t[..., 2:]))
    union = _area(b[..., :2], b[..., 2:]) + _area(t[..., :2], t[..., 2:]) - shared
    hull = _area(torch.min(b[..., :2], t[..., :2]), torch.max(b[..., 2:], t[..., 2:]))
    union, hull = union.clamp(min=_LEAST_AREA), hull.clamp(min=_LEAST_AREA)
    giou = shared / union - (hull - union) / hull
    cost = 1 - giou + (b - t).abs().mean(-1) / _CORNER_UNIT
    return (w * cost).sum() / w.sum().clamp(min=_LEAST_AREA)


def _as_pixels(presence: Tensor, images: Tensor) -> Tensor:
    return to_pixels(presence, (images.shape[2], images.shape[3]))


def _area(low: Tensor, high: Tensor) -> Tensor:
    return (high - low).clamp(min=0).prod(-1)
