"""Output paths are checked before any work, and what a folder holds beside pictures is counted."""

from __future__ import annotations

import contextlib
import errno
import io
import os
from pathlib import Path, PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from denf.errors import DenfError
from denf.files import (
    check_space,
    check_writable,
    refusal,
    tell_left_out,
    write_atomically,
    writing_to,
)


def test_a_writable_path_is_accepted_and_nothing_is_made(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "old.json").touch()
    for path in ("there", "new", "new/inner/run"):
        check_writable(tmp_path / path, folder=True)
    for path in ("old.json", "m.json", "there/m.json", "new/inner/m.json"):
        check_writable(tmp_path / path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["old.json", "there"]


def test_a_path_of_the_other_kind_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DenfError, match=r"output file .*: expected a path .* got a folder\."):
        check_writable(tmp_path)
    with pytest.raises(DenfError, match=r"output folder .*/file: expected .* got a file\."):
        check_writable(tmp_path / "file", folder=True)
    for folder in (True, False):
        with pytest.raises(DenfError, match=r"got a file .*/file\."):
            check_writable(tmp_path / "file/a/b", folder=folder)


def test_a_place_without_permission_is_refused(tmp_path, monkeypatch):
    # asked of the system by os.access; the superuser, as whom tests may run, has every permission
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(DenfError, match=f"got no permission to write in {tmp_path}"):
        check_writable(tmp_path / "a/m.json")
    with pytest.raises(DenfError, match=f"got no permission to write in {tmp_path}"):
        check_writable(tmp_path, folder=True)


def test_output_beyond_the_disk_is_refused_with_both_sizes(tmp_path):
    check_space(tmp_path / "new/d", 1000)
    with pytest.raises(DenfError, match=r"expected 1,000,000,000\.0 GB of free .* got [\d.,]+ GB"):
        check_space(tmp_path / "new/d", 10**18)


@given(st.sampled_from([errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EEXIST, errno.ENOENT]))
def test_every_error_of_a_file_names_file_reason_and_remedy(number):
    error = OSError(number, os.strerror(number), "out/m.json")
    text = refusal(error, error.filename)
    assert text.startswith(f"out/m.json cannot be read or written: {os.strerror(number)}. ")
    assert text.endswith("or choose another.")


def test_a_file_is_named_once(tmp_path):
    inner = tmp_path / "none/m.json"
    with pytest.raises(OSError, match="cannot be written") as told, writing_to(tmp_path):
        write_atomically(inner, "text")
    assert str(told.value).count("cannot be written") == 1
    assert str(told.value).startswith(f"{inner} ")


NAMES = st.sampled_from(
    ["a.heic", "b.HEIC", "c.txt", "README", ".DS_Store", "Thumbs.db", ".b.heic"]
)


@given(st.lists(NAMES))
def test_left_out_files_are_counted_by_kind(names):
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        tell_left_out(Path("photos"), map(PurePath, names))
    counted = [n for n in names if n in ("a.heic", "b.HEIC", "c.txt", "README")]
    assert bool(said.getvalue()) == bool(counted)
    if counted:
        assert said.getvalue().startswith(
            f"denf: photos: {len(counted)} of other kinds are left out: "
        )
        heic = sum(n.lower().endswith(".heic") for n in counted)
        assert (f"{heic} .heic" in said.getvalue()) == (heic > 0)
