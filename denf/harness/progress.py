"""Where a training stands: its step, its history, and the weights to return to."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from denf.errors import DivergenceError
from denf.harness.method import Method


@dataclass(frozen=True)
class _Good:
    """Weights with finite losses behind them, kept in memory for a divergence."""

    step: int
    seconds: float
    weights: Mapping[str, Tensor]


@dataclass
class Progress:
    """What changes during a training, apart from the method.

    Args:
        step: steps done.
        seconds: of training, over all calls that continued it.
        history: one row per log, means since the row before.
        pending: scalars of the steps since the last log, on the method's device.
    """

    step: int = 0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    pending: list[Mapping[str, Tensor]] = field(default_factory=list)
    _good: _Good | None = None

    def log(self) -> dict[str, float]:
        """Move the pending scalars to the host at once and add their means to the history."""
        names = list(self.pending[0])
        rows = [torch.stack([scalars[name].float() for name in names]) for scalars in self.pending]
        means = torch.stack(rows).cpu().mean(0).tolist()
        self.pending.clear()
        row = {"step": float(self.step), **dict(zip(names, means, strict=True))}
        self.history.append(row)
        return row

    def keep(self, method: Method) -> None:
        """Remember the weights, which `rewind` returns to."""
        weights = {name: value.clone() for name, value in method.state_dict().items()}
        self._good = _Good(self.step, self.seconds, weights)

    def rewind(self, method: Method) -> None:
        """Return to the weights of the last `keep`."""
        if self._good is not None:
            method.load_state_dict(self._good.weights)
            self.step, self.seconds = self._good.step, self._good.seconds

    def state(self, method: Method) -> dict[str, Any]:
        """Everything that a training continues from."""
        return {
            "method": method.state_dict(),
            "optimizers": {name: o.state_dict() for name, o in method.optimizers.items()},
            "step": self.step,
            "seconds": self.seconds,
            "history": self.history,
            "pending": self.pending,
        }

    def restore(self, state: Mapping[str, Any], method: Method) -> None:
        """Take over a state; one that does not fit raises and changes nothing."""
        before = {name: value.clone() for name, value in method.state_dict().items()}
        try:
            method.load_state_dict(state["method"])
            for name, optimizer in method.optimizers.items():
                optimizer.load_state_dict(state["optimizers"][name])
                _check_shapes(name, optimizer)
            step, seconds = int(state["step"]), float(state["seconds"])
            history = [dict(row) for row in state["history"]]
            pending: list[Mapping[str, Tensor]] = []
            pending += [{n: v.to(method.device) for n, v in s.items()} for s in state["pending"]]
        except Exception:
            method.load_state_dict(before)
            method.optimizers = method.make_optimizers()
            raise
        self.step, self.seconds, self.history, self.pending = step, seconds, history, pending

    def as_csv(self) -> str:
        """The history as `history.csv`."""
        text = io.StringIO()
        names = dict.fromkeys(name for row in self.history for name in row) or ["step", "loss"]
        writer = csv.DictWriter(text, fieldnames=list(names))
        writer.writeheader()
        writer.writerows({**row, "step": int(row["step"])} for row in self.history)
        return text.getvalue()


def check_finite(progress: Progress, method: Method, batch: Callable[[int], np.ndarray]) -> None:
    """Stop when a loss since the last log, or a weight after the last step, is not finite.

    Args:
        progress: with pending scalars.
        method: after the last step.
        batch: indices of the images of a step.

    Raises:
        DivergenceError: names the step and its images.
    """
    first = progress.step - len(progress.pending)
    losses = torch.stack([scalars["loss"].float() for scalars in progress.pending]).cpu()
    bad = (~torch.isfinite(losses)).nonzero()
    if len(bad):
        step = first + int(bad[0])
        what = f"a finite loss, got {float(losses[step - first])}"
    else:
        weights = [v for v in method.state_dict().values() if v.is_floating_point()]
        if not weights or bool(torch.stack([torch.isfinite(v).all() for v in weights]).all()):
            return
        step, what = progress.step - 1, "finite weights after the update, got NaN or infinite ones"
    raise DivergenceError(
        f"step {step}: expected {what}; images {batch(step).tolist()}. Lower the learning rate or "
        "the gradient clip."
    )


def _check_shapes(name: str, optimizer: Optimizer) -> None:
    """Refuse averages of another shape than their parameter, which would fail at the next step."""
    for parameter, averages in optimizer.state.items():
        for key, value in averages.items():
            if isinstance(value, Tensor) and value.ndim and value.shape != parameter.shape:
                raise ValueError(
                    f"optimiser {name}, {key}: expected {tuple(parameter.shape)}, "
                    f"got {tuple(value.shape)}"
                )
