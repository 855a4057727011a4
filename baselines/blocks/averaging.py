"""The running average of a module's weights over training, for sampling.

Yazıcı et al., The unusual effectiveness of averaging in GAN training, ICLR 2019: the players of a
game circle around its equilibrium; the average of their path is nearer to it than any point of the
path.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

YOUNG = 10.0  # updates; an average of fewer decays faster, so that the initial weights fade


class WeightAverage(nn.Module):
    """w̄ ← d·w̄ + (1 - d)·w, d = min(decay, (1 + n) / (10 + n)) after n earlier updates.

    The average is kept in buffers: it is saved with the method but not trained.

    Args:
        module: its parameters and running statistics are averaged; integers are copied.
        decay: in (0, 1).
    """

    count: Tensor

    def __init__(self, module: nn.Module, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.register_buffer("count", torch.zeros(()))
        for name, value in module.state_dict().items():
            self.register_buffer(_key(name), value.clone())

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Add the module's current weights to the average."""
        fresh = 1 - ((1 + self.count) / (YOUNG + self.count)).clamp(max=self.decay)
        for name, value in module.state_dict().items():
            mean = self.get_buffer(_key(name))
            if mean.is_floating_point():
                mean.lerp_(value, fresh)
            else:
                mean.copy_(value)
        self.count += 1

    @contextmanager
    def applied_to(self, module: nn.Module) -> Iterator[None]:
        """The module has the averaged weights inside the context and its own weights afterwards."""
        own = {name: value.clone() for name, value in module.state_dict().items()}
        module.load_state_dict({name: self.get_buffer(_key(name)) for name in own})
        try:
            yield
        finally:
            module.load_state_dict(own)


def _key(name: str) -> str:
    return name.replace(".", "/")  # buffers' names have no dots
