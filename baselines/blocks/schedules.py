"""Learning rates that rise linearly and then decay exponentially."""

from __future__ import annotations

from torch.optim import Optimizer


def warmup_factor(index: int, steps: int) -> float:
    """min(1, (index + 1) / steps), the fraction of the full learning rate at a 0-based step."""
    return min(1.0, (index + 1) / steps) if steps else 1.0


def decay_factor(index: int, half_life: float, start: int = 0) -> float:
    """½^((index − start) / half_life), 1 before `start`; all arguments in steps."""
    return 0.5 ** (max(0, index - start) / half_life)


def set_learning_rate(optimizer: Optimizer, rate: float) -> None:
    """Set the learning rate of every parameter group."""
    for group in optimizer.param_groups:
        group["lr"] = rate
