"""Initial values of IODINE's layers."""

from __future__ import annotations

import torch
from torch import nn


def initialise_as_sonnet(module: nn.Module) -> None:
    """Sonnet's defaults: truncated normal of variance 1 / fan-in, zero biases, forget bias 1."""
    if isinstance(module, nn.Linear | nn.Conv2d):
        std = module.weight[0].numel() ** -0.5
        nn.init.trunc_normal_(module.weight, std=std, a=-2 * std, b=2 * std)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.LSTMCell):
        std = (module.input_size + module.hidden_size) ** -0.5
        for weight in (module.weight_ih, module.weight_hh):
            nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std)
        nn.init.zeros_(module.bias_hh)
        nn.init.zeros_(module.bias_ih)
        with torch.no_grad():
            module.bias_ih[module.hidden_size : 2 * module.hidden_size] = 1  # input, forget, …
