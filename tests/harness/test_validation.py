"""Messages about plain values: one line that names key, value, what is allowed and the fix."""

from __future__ import annotations

import re
from typing import Any

import pytest

from denf.errors import DenfError
from denf.harness.layers import merge
from denf.harness.problems import LONGEST
from denf.harness.protocol import Protocol
from denf.harness.validation import validate

PICTURES = {"images": "a"}
DATA = {"id": "own", "source": "folder", "size": 16, "train": PICTURES, "test": PICTURES}
RENDERED = {"id": "r", "source": "render", "kind": "clevr6", "size": 16, "train": 2, "test": 2}
PROTOCOL: dict[str, Any] = {
    "protocol": "small",
    "seeds": [0],
    "datasets": {"own": DATA, "rendered": RENDERED},
    "fid": {"samples": 4, "extractor": "random-conv-v1"},
}
# Words of Python and pydantic that nobody knows from a YAML file.
FOREIGN = re.compile(r"tuple|dictionary|instance|pattern|literal|str\b|Input|None|True|\n|  ")


def nested(key: str, value: object) -> dict:
    """`a.b: value` as nested mappings."""
    for part in reversed(key.split(".")):
        value = {part: value}
    assert isinstance(value, dict)
    return value


def message(changes: dict) -> str:
    with pytest.raises(DenfError) as caught:
        validate(Protocol, merge(PROTOCOL, changes), where="p.yaml")
    return str(caught.value)


KEYS = [
    *("protocol", "seeds", "experiments", "only", "skip", "overrides", "overrides.denf", "cards"),
    *("runtime", "runtime.start", "fid", "fid.samples", "fid.extractor", "fid.weights"),
    *("datasets", "datasets.own", "datasets.own.size", "datasets.own.train"),
    *("datasets.own.id", "datasets.rendered.kind", "datasets.rendered.train", "preset"),
]


@pytest.mark.parametrize("key", KEYS)
def test_a_value_of_a_wrong_kind_is_told_in_the_words_of_the_file(key):
    refused = 0
    for value in (-3.5, "a b/c", [[1]], {"x": {"y": 1}}, True, []):
        changed = merge(PROTOCOL, nested(key, None))  # not merged into a mapping that is there
        changed = merge(changed, nested(key, value))
        try:
            validate(Protocol, changed, where="p.yaml")
        except DenfError as error:
            refused += 1
            text = str(error)
            assert text.startswith("p.yaml: expected ")
            assert key in text
            assert not FOREIGN.search(text), text
            assert text.endswith((".", "?"))
    assert refused >= 3


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seeds": 0}, "seeds: a list, such as [a, b], got 0. Correct the value."),
        ({"only": "denf"}, "only: a list, such as [a, b], got 'denf'."),
        ({"seeds": []}, "seeds: 1 or more of them, got []."),
        ({"seeds": ["zero"]}, "seeds.0: a whole number, got 'zero'. Correct"),
        ({"seeds": [True, 2]}, "seeds.0: a number, got true, which YAML reads as a boolean"),
        ({"seeds": [2**32]}, "seeds.0: 4294967295 or less, got 4294967296."),
        ({"runtime": {"start": True}}, "runtime.start: a number, got true, which YAML"),
        ({"cards": "maybe"}, "cards: 'auto' or true or false, got 'maybe'"),
        ({"preset": 3}, "preset: a text or a list, such as [a, b], got 3"),
        ({"preset": [3]}, "preset.0: a text, got 3"),
        (
            {"datasets": {"own": {"train": 3}}},
            "mapping with keys among images, masks, first, count",
        ),
        ({"datasets": {5: DATA}}, "datasets.5: a text as a key, got 5"),
        ({"datasets": {"own": {"id": "a b"}}}, "own.id: at most 100 letters, digits and . _ -"),
        ({"onyl": ["denf"]}, "got onyl: ['denf']. Did you mean only?"),
        ({"samples": 3}, "got samples: 3. Did you mean fid.samples?"),
        ({"datasets": {"own": {"test": {"msks": "b"}}}}, "Did you mean datasets.own.test.masks?"),
        ({"experiments": ""}, "experiments: 1 or more characters, got ''"),
    ],
)
def test_what_is_expected_is_said_plainly(changes, words):
    assert words in message(changes)


def test_several_mistakes_are_one_line_with_the_fix_of_the_first():
    told = message({"sedes": [1], "seeds": -3, "only": 3, "skip": 4})
    assert re.fullmatch(
        r"p.yaml: expected only the keys .*, got sedes: \[1\]; expected seeds: a list, .*, got -3; "
        r"expected only: a list, .*, got 3; and 1 more. Did you mean seeds\?",
        told,
    )


def test_long_values_are_cut():
    told = message({"datasets": {"own": {"validation": 20}}})
    assert "validation: 0, since there is no split `val` with masks, got {'id': 'own'" in told
    assert len(told) < 200 + LONGEST
    assert len(message({"seeds": "9" * 10_000})) < 200 + LONGEST


def test_values_that_are_right_pass_with_lists_of_one_and_booleans_where_they_are_meant():
    found = validate(Protocol, {**PROTOCOL, "cards": False, "seeds": [0, 2**32 - 1]}, where="p")
    assert (found.cards, found.seeds) == (False, (0, 2**32 - 1))
