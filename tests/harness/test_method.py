"""Which way a method makes the images that a Fréchet distance compares."""

from __future__ import annotations

import pytest

from denf.harness.method import Capability
from denf.harness.registry import method_names, method_type

GENERATING = {Capability.SAMPLE, Capability.RECOMPOSE}


@pytest.mark.parametrize("name", method_names())
def test_only_denf_and_methods_without_a_prior_start_from_images(name):
    kind = method_type(name)
    if not kind.capabilities & GENERATING:
        return
    starts = kind.starts_from_images.fget(kind)
    assert starts == (name == "denf" or Capability.SAMPLE not in kind.capabilities)
