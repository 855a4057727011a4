"""Layered images: composition where every layer may hide every other, and the choice of layers.

Monnier, Vincent, Ponce and Aubry, "Unsupervised layered image decomposition into object
prototypes", ICCV 2021, section 3.
"""

from __future__ import annotations

import torch
from torch import Tensor


def occlusion_matrix(logits: Tensor, layers: int) -> Tensor:
    """δ of Eq. 3: how far layer j hides layer l, (B, L, L) indexed [j, l], zero on the diagonal.

    Args:
        logits: (B, L (L − 1) / 2), of the entries below the diagonal; δ_lj = 1 − δ_jl.
        layers: L.
    """
    rows, columns = torch.tril_indices(layers, layers, -1, device=logits.device)
    lower = logits.new_zeros(len(logits), layers, layers)
    lower[:, rows, columns] = torch.sigmoid(logits)
    return lower + torch.triu(1 - lower.mT, 1)


def unhidden(masks: Tensor, occlusion: Tensor) -> Tensor:
    """Π_j (1 − δ_jl m_j), (B, L, 1, H, W): what the other layers let through of layer l.

    Args:
        masks: m, (B, L, 1, H, W) in [0, 1].
        occlusion: δ, (B, L, L) indexed [j, l].
    """
    free = torch.ones_like(masks)
    for j in range(masks.shape[1]):
        hidden = occlusion[:, j, :, None, None, None] * masks[:, j, None]
        free = torch.addcmul(free, free, hidden, value=-1)
    return free


def compose(background: Tensor, colours: Tensor, masks: Tensor, occlusion: Tensor) -> Tensor:
    """Eq. 3 above a background that every layer hides and that hides none, (B, 3, H, W).

    Args:
        background: (B, 3, H, W).
        colours: (B, L, 3, H, W).
        masks: (B, L, 1, H, W).
        occlusion: (B, L, L) indexed [j, l]: j hides l.
    """
    parts = masks * unhidden(masks, occlusion) * colours
    return background * (1 - masks).prod(1) + parts.sum(1)


@torch.no_grad()
def choose_greedily(
    target: Tensor,
    background: Tensor,
    colours: Tensor,
    masks: Tensor,
    occlusion: Tensor,
    *,
    passes: int,
    empty: bool,
    cost: float,
) -> Tensor:
    """One of K candidates for every layer, or none, so that the composition is near the target.

    Layer by layer, `passes` times from first to last: the candidate of the least mean squared
    error, the other layers as they stand; none at first. The composition is linear in what one
    layer shows, so that all candidates share one composition of the other layers.

    Args:
        target: (B, 3, H, W).
        background: (B, 3, H, W).
        colours: (B, L, K, 3, H, W).
        masks: (B, L, K, 1, H, W).
        occlusion: (B, L, L) indexed [j, l].
        passes: over all layers.
        empty: a layer may show nothing.
        cost: added to the error of a candidate, against that of showing nothing.

    Returns:
        (B, L, K), one-hot, or all zero for a layer that shows nothing.
    """
    batch, layers, count = colours.shape[:3]
    chosen = colours.new_zeros(batch, layers, count)
    shown = torch.zeros_like(colours[:, :, 0])
    shown_masks = torch.zeros_like(masks[:, :, 0])
    for _ in range(passes):
        for layer in range(layers):
            shown_masks[:, layer] = 0
            free = unhidden(shown_masks, occlusion)
            parts = shown_masks * free * shown
            ground = background * (1 - shown_masks).prod(1)
            others = ground + parts.sum(1)
            below = ground + (occlusion[:, layer, :, None, None, None] * parts).sum(1)
            change = masks[:, layer] * (free[:, layer, None] * colours[:, layer] - below[:, None])
            error = (target[:, None] - others[:, None] - change).square().mean((2, 3, 4))
            if empty:
                nothing = (target - others).square().mean((1, 2, 3))
                error = torch.cat((error + cost, nothing[:, None]), 1)
            best = torch.nn.functional.one_hot(error.argmin(1), error.shape[1])
            chosen[:, layer] = best[:, :count].to(chosen.dtype)
            weights = chosen[:, layer, :, None, None, None]
            shown[:, layer] = (weights * colours[:, layer]).sum(1)
            shown_masks[:, layer] = (weights * masks[:, layer]).sum(1)
    return chosen
