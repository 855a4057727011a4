"""Protocols by themselves: their names, where they come from, what is refused before planning."""

from __future__ import annotations

import io
import json
import re
from contextlib import nullcontext
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from denf.errors import DenfError
from denf.harness.protocol import (
    TAKEN,
    check_protocol,
    effective_protocol,
    parse_protocol,
    read_protocol,
)

ROOT = Path(__file__).parents[2]
DATA = {"id": "squares", "source": "render", "kind": "clevr6", "size": 16, "train": 4, "test": 4}
PROTOCOL = {
    "protocol": "small",
    "seeds": [0],
    "datasets": {"clevr6": DATA},
    "fid": {"samples": 4, "extractor": "random-conv-v1"},
}


@given(st.text(max_size=6) | st.from_regex(r"[a-z0-9._-]{1,6}", fullmatch=True))
def test_a_name_is_that_of_a_folder_and_needs_no_quotes(name):
    plain = re.fullmatch("[A-Za-z0-9][A-Za-z0-9_.-]*", name) and name not in TAKEN
    refused = pytest.raises(DenfError, match=r"^p.yaml: expected protocol: ")
    with nullcontext() if plain else refused:
        check_protocol({**PROTOCOL, "protocol": name}, where="p.yaml")


@pytest.mark.parametrize("name", ["my protocol", "a{x}", "", "a/b", "../x", "runs", "a" * 101, 5])
def test_names_that_would_leave_results_or_break_commands_are_refused(name):
    with pytest.raises(DenfError, match=r"p.yaml: expected protocol: .*, got "):
        check_protocol({**PROTOCOL, "protocol": name}, where="p.yaml")


@pytest.mark.parametrize("name", ["config", "ci", "paper", "reference"])
def test_the_protocols_of_the_suite_are_read_checked(name):
    file = ROOT / f"config/{name}.yaml"
    assert read_protocol(file) == yaml.safe_load(file.read_text())


def test_a_protocol_is_checked_when_it_is_read(tmp_path):
    bad = {**PROTOCOL, "seeds": 3}
    (tmp_path / "p.yaml").write_text(yaml.safe_dump(bad))
    with pytest.raises(DenfError, match=r"/p.yaml: expected seeds: a list"):
        read_protocol(tmp_path / "p.yaml")
    with pytest.raises(DenfError, match=r"protocol on standard input: expected seeds: a list"):
        parse_protocol(yaml.safe_dump(bad))
    with pytest.raises(DenfError, match=r"none.yaml: .* No such file or directory. Check the path"):
        read_protocol(tmp_path / "none.yaml")


def test_values_of_the_command_line_are_not_blamed_on_the_file_alone(tmp_path):
    files = [tmp_path / "base.yaml", tmp_path / "more.yaml"]
    more = {"protocol": "other", "fid": {"samples": 9}}
    for file, values in zip(files, (PROTOCOL, more), strict=True):
        file.write_text(yaml.safe_dump(values))
    merged = {**PROTOCOL, **more, "fid": {**PROTOCOL["fid"], "samples": 9}}

    def where(values: dict) -> str:
        text = io.StringIO(json.dumps(values))
        found, source = effective_protocol(Path("-"), files, text)
        assert found == values
        return source

    assert where(merged) == f"{files[0]} and {files[1]}"
    assert where({**merged, "seeds": [1]}) == f"{files[0]} and {files[1]} and --config"
    assert effective_protocol(files[0], [], io.StringIO()) == (PROTOCOL, str(files[0]))
    assert effective_protocol(None, [], io.StringIO()) == ({}, "")
