"""Merged values: the last source of a key wins, and is the one that errors name."""

from __future__ import annotations

from functools import reduce

from hypothesis import given
from hypothesis import strategies as st

from denf.harness.layers import Layer, merge, merge_layers, source_of

KEYS = st.sampled_from("abc")
VALUES = st.recursive(st.integers(), lambda inner: st.dictionaries(KEYS, inner, max_size=3))
LAYERS = st.lists(st.dictionaries(KEYS, VALUES, max_size=3), min_size=1, max_size=4)


def leaves(values, keys=()):
    """Every place that holds a value and no mapping of others, with the value."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, (*keys, key))
        else:
            yield (*keys, key), value


def at(values, keys):
    for key in keys:
        values = values.get(key) if isinstance(values, dict) else None
    return values


@given(LAYERS)
def test_the_named_source_has_the_merged_value_and_no_later_one_sets_it(contents):
    layers = [Layer(str(number), values) for number, values in enumerate(contents)]
    merged = merge_layers(layers)
    assert merged == reduce(merge, contents, {})
    for keys, value in leaves(merged):
        number = int(source_of(layers, keys, otherwise="-1"))
        assert at(contents[number], keys) == value
        assert all(at(later, keys) is None for later in contents[number + 1 :])


def test_a_key_that_no_source_has_belongs_to_the_one_named_for_it():
    assert source_of([Layer("file", {"a": 1})], ("b",), otherwise="other") == "other"
    assert source_of([], ("b",), otherwise="other") == "other"
