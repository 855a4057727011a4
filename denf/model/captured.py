"""The objective recorded as CUDA graphs: a step of thousands of small kernels is launched at once.

The kernels and their order are unchanged. Launched one by one, they leave a GPU idle part of the
time at small batches (docs/reproduction.md has the figures).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.autograd.graph import set_warn_on_accumulate_grad_stream_mismatch

from denf.model.components import BoxTargets
from denf.model.denf import DeNF
from denf.model.objective import Noise, Phase, objective


class CapturedObjective:
    """`objective`, recorded once per phase and image shape; GPU only.

    A recording owns the memory of all its tensors, including those kept for the backward pass.
    """

    def __init__(self) -> None:
        self._recordings: dict[tuple[bool, bool, bool, torch.Size], OfTensors] = {}

    def __call__(
        self,
        model: DeNF,
        x: Tensor,
        at: Phase,
        noise: Noise,
        targets: BoxTargets | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See `objective`."""
        numbers = (x.new_full((), float(v)) for v in (at.temperature, at.edge, at.presence))
        given = () if targets is None else (targets.boxes, targets.weight)
        arguments = (x, *numbers, noise.epsilon, noise.u, *given)
        recording = self._recordings.get(key := (at.warmup, at.boxes, bool(given), x.shape))
        if recording is None:
            recording = self._recordings[key] = OfTensors(model, at.warmup, at.boxes)
            # torch records on a separate stream, and would warn about it.
            set_warn_on_accumulate_grad_stream_mismatch(False)
            torch.cuda.make_graphed_callables(recording, arguments, allow_unused_input=True)
        loss, *terms = recording(*arguments)
        # A recording writes to the same memory in every step; terms are read several steps later.
        return loss, {n: t.detach().clone() for n, t in zip(recording.names, terms, strict=True)}


class OfTensors(nn.Module):
    """`objective` in a form that can be recorded: from tensors to tensors, all else fixed.

    Args:
        model: DeNF.
        warmup, boxes: see `Phase`.
    """

    def __init__(self, model: DeNF, warmup: bool, boxes: bool) -> None:
        super().__init__()
        self.model, self.warmup, self.boxes = model, warmup, boxes
        self.names: tuple[str, ...] = ()  # of the terms; set by the first call

    def forward(
        self,
        x: Tensor,
        temperature: Tensor,
        edge: Tensor,
        presence: Tensor,
        epsilon: Tensor,
        u: Tensor,
        *targets: Tensor,
    ) -> tuple[Tensor, ...]:
        """The loss and its terms; `targets` are the fields of `BoxTargets`, or none."""
        at = Phase(temperature, edge, self.warmup, self.boxes, presence)
        given = BoxTargets(*targets) if targets else None
        loss, terms = objective(self.model, x, at, Noise(epsilon, u), given)
        self.names = tuple(terms)
        return loss, *terms.values()
