"""The running average of weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from baselines.blocks.averaging import WeightAverage


@pytest.fixture
def module() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


def test_average_equals_its_recursion(module):
    average, decay = WeightAverage(module, 0.6), 0.6
    expected = module[0].weight.detach().double()
    for n in range(20):  # `decay` is the smaller value from the 13th update on
        module(torch.randn(4, 2))  # changes the running statistics and their integer count
        module[0].weight.data.normal_()
        average.update(module)
        d = min(decay, (1 + n) / (10 + n))
        expected = d * expected + (1 - d) * module[0].weight.detach().double()
    with average.applied_to(module):
        torch.testing.assert_close(module[0].weight.double(), expected, check_dtype=False)
        assert int(module[1].num_batches_tracked) == 20


def test_a_module_gets_its_own_weights_back(module):
    average = WeightAverage(module, 0.9)
    module[0].weight.data += 1
    own = {name: value.clone() for name, value in module.state_dict().items()}
    with pytest.raises(RuntimeError), average.applied_to(module):
        torch.testing.assert_close(module[0].weight.detach(), own["0.weight"] - 1)
        raise RuntimeError
    torch.testing.assert_close(dict(module.state_dict()), own)


def test_average_is_saved_and_has_no_parameters(module):
    average = WeightAverage(module, 0.9)
    assert not list(average.parameters())
    average.update(module)
    other = WeightAverage(module, 0.9)
    other.load_state_dict(average.state_dict())
    assert float(other.count) == 1
