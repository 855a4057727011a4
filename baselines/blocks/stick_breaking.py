"""Stick breaking: each mask takes a share of what is left (the scope), so that masks sum to one.

Burgess et al. (2019), MONet, section 2, in logarithms:
log m_k = log s_{k−1} + log α_k and log s_k = log s_{k−1} + log(1 − α_k) with log s_0 = 0; the last
mask is the remaining scope.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def break_stick(log_scope: Tensor, logit: Tensor) -> tuple[Tensor, Tensor]:
    """One step: log-mask of a share α = sigmoid(logit), and log-scope left after it is taken.

    Args:
        log_scope: log s_{k−1}, any shape, at most 0.
        logit: of the share α_k, the same shape.
    """
    return log_scope + nn.functional.logsigmoid(logit), log_scope + nn.functional.logsigmoid(-logit)


def stick_breaking(logits: Tensor) -> Tensor:
    """All masks at once, where the shares do not depend on the scope (GENESIS).

    Args:
        logits: (B, K − 1, ...) of the shares of all masks but the last.

    Returns:
        (B, K, ...) log-masks; their exponentials sum to one over K.
    """
    whole = torch.zeros_like(logits[:, :1])
    log_scope = torch.cat((whole, nn.functional.logsigmoid(-logits).cumsum(1)), 1)
    return log_scope + torch.cat((nn.functional.logsigmoid(logits), whole), 1)
