"""Layered images: composition with occlusion between all layers, and the choice of sprites.

Monnier, Vincent, Ponce and Aubry, "Unsupervised layered image decomposition into object
prototypes", ICCV 2021, section 3.
"""

from __future__ import annotations

import torch
from torch import Tensor


def occlusion_matrix(logits: Tensor, layers: int) -> Tensor:
    """δ of Eq. 3, (B, L, L) indexed [j, l]: how much layer j occludes layer l; δ_jj = 0.

    Args:
        logits: (B, L (L − 1) / 2), of the entries below the diagonal; δ_lj = 1 − δ_jl.
        layers: L.
    """
    rows, columns = torch.tril_indices(layers, layers, -1, device=logits.device)
    lower = logits.new_zeros(len(logits), layers, layers)
    lower[:, rows, columns] = torch.sigmoid(logits)
    return lower + torch.triu(1 - lower.mT, 1)


def unhidden(masks: Tensor, occlusion: Tensor) -> Tensor:
    """Π_j (1 − δ_jl m_j) of Eq. 3, (B, L, 1, H, W): share of layer l that no other layer occludes.

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
    """Eq. 3, (B, 3, H, W), with a background that every layer occludes and that occludes none.

    Args:
        background: (B, 3, H, W).
        colours: (B, L, 3, H, W).
        masks: (B, L, 1, H, W).
        occlusion: δ, (B, L, L) indexed [j, l]: j occludes l.
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
    """Choose one of K candidates, or none, for every layer: the composition is to fit the target.

    All layers start empty. Layer by layer, `passes` times from first to last, the candidate of the
    least mean squared error is chosen while the other layers are kept. The composition is linear in
    the content of one layer, so that all candidates share one composition of the other layers.

    Args:
        target: (B, 3, H, W).
        background: (B, 3, H, W).
        colours: (B, L, K, 3, H, W).
        masks: (B, L, K, 1, H, W).
        occlusion: δ, (B, L, L) indexed [j, l].
        passes: over all layers.
        empty: a layer may stay empty.
        cost: added to the error of every candidate, but not to that of an empty layer.

    Returns:
        (B, L, K), one-hot, or all zero for an empty layer.
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
