"""Downloads against a real server on this machine: resuming, breaks, checksums, full disk."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import re
import resource
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from denf.data.download import Waiting, download
from denf.errors import DenfError
from denf.locks import locked

BODY = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(BODY).hexdigest()
QUICK = Waiting(connect=2, read=2, pause=0.01)


@dataclass
class Site:
    """How the server behaves, and what it was asked for."""

    body: bytes = BODY
    ranges: bool = True
    if_range: bool = True  # whether the server knows the condition
    tag: str | None = '"one"'
    cuts: list[int] = field(default_factory=list)  # bytes sent before each break
    statuses: list[int] = field(default_factory=list)  # answered before anything else
    kind: str = "application/octet-stream"
    length: bool = True
    chunked: bool = False
    asked: list[str | None] = field(default_factory=list)
    url: str = ""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site

    def do_GET(self):
        site, span = self.site, self.headers["Range"]
        site.asked.append(span)
        self.close_connection = True
        if site.statuses:
            self.send_error(site.statuses.pop(0))
            return
        start = self._start(span)
        if span and start >= len(site.body):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(site.body)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = site.body[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Type", site.kind)
        if start:
            whole = len(site.body)
            self.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
        if site.tag:
            self.send_header("ETag", site.tag)
        if site.chunked:
            self.send_header("Transfer-Encoding", "chunked")
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        elif site.length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(ConnectionError):  # the client may have had enough
            self.wfile.write(body[: site.cuts.pop(0)] if site.cuts else body)

    def _start(self, span: str | None) -> int:
        site = self.site
        same = not site.if_range or self.headers["If-Range"] in (None, site.tag)
        match = re.fullmatch(r"bytes=(\d+)-", span or "")
        return int(match[1]) if match and site.ranges and same else 0

    def log_message(self, *args):
        pass


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    handler = type("SiteHandler", (Handler,), {"site": site})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_port}/data/set%20one.bin?dl=1"
    yield site
    server.shutdown()
    thread.join()
    server.server_close()


def leftovers(folder) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_file_arrives_whole_and_alone(site, tmp_path):
    out = tmp_path / "deep/f.bin"
    assert download(site.url, out, sha256=SHA256, waiting=QUICK) == out
    assert out.read_bytes() == BODY
    assert leftovers(out.parent) == ["f.bin"]
    download(site.url, out, sha256=SHA256.upper(), waiting=QUICK)
    assert site.asked == [None]  # what is there is not fetched again
    with pytest.raises(DenfError, match="already there: expected SHA-256 00"):
        download(site.url, out, sha256="00" * 32, waiting=QUICK)
    assert out.read_bytes() == BODY


def test_a_broken_transfer_is_continued_within_one_call(site, tmp_path):
    site.cuts = [100_000, 50_000]
    download(site.url, tmp_path / "f.bin", sha256=SHA256, waiting=QUICK)
    assert site.asked == [None, "bytes=100000-", "bytes=150000-"]
    assert (tmp_path / "f.bin").read_bytes() == BODY


def test_a_part_is_kept_and_continued_by_the_next_call(site, tmp_path):
    out = tmp_path / "f.bin"
    site.cuts = [100_000, 20_000]
    with pytest.raises(DenfError, match=r"after 2 attempts.*continue from the 120000 bytes"):
        download(site.url, out, sha256=SHA256, retries=1, waiting=QUICK)
    assert leftovers(tmp_path) == ["f.bin.part", "f.bin.part.json"]
    assert (tmp_path / "f.bin.part").read_bytes() == BODY[:120_000]
    download(site.url, out, sha256=SHA256, waiting=QUICK)
    assert site.asked[-1] == "bytes=120000-"
    assert out.read_bytes() == BODY
    assert leftovers(tmp_path) == ["f.bin"]


def test_a_truncated_body_is_never_used_even_without_a_checksum(site, tmp_path):
    site.cuts = [299_999]
    with pytest.raises(DenfError, match="expected a complete transfer"):
        download(site.url, tmp_path / "f.bin", retries=0, waiting=QUICK)
    assert not (tmp_path / "f.bin").exists()


def test_a_server_without_ranges_sends_it_all_again(site, tmp_path):
    site.ranges = False
    site.cuts = [100_000]
    download(site.url, tmp_path / "f.bin", sha256=SHA256, waiting=QUICK)
    assert site.asked == [None, "bytes=100000-"]
    assert (tmp_path / "f.bin").read_bytes() == BODY


@pytest.mark.parametrize("tag", ['"two"', None])
def test_a_file_that_changed_in_between_is_not_mixed(site, tmp_path, tag):
    site.tag = tag if tag is None else '"one"'
    site.cuts = [100_000]
    with pytest.raises(DenfError):
        download(site.url, tmp_path / "f.bin", retries=0, waiting=QUICK)
    site.tag, site.body = tag, BODY[::-1][:250_000]
    download(site.url, tmp_path / "f.bin", waiting=QUICK)
    assert (tmp_path / "f.bin").read_bytes() == BODY[::-1][:250_000]


@pytest.mark.parametrize("extra", [b"", b"too long"])
def test_a_part_as_long_as_the_file_or_longer(site, tmp_path, extra):
    site.cuts = [100_000]
    with pytest.raises(DenfError):
        download(site.url, tmp_path / "f.bin", retries=0, waiting=QUICK)
    (tmp_path / "f.bin.part").write_bytes(BODY + extra)
    download(site.url, tmp_path / "f.bin", sha256=SHA256, waiting=QUICK)
    assert (tmp_path / "f.bin").read_bytes() == BODY
    assert site.asked[1] == f"bytes={len(BODY + extra)}-"
    assert len(site.asked) == (3 if extra else 2)


def test_a_part_of_another_address_is_not_continued(site, tmp_path):
    site.cuts = [100_000]
    with pytest.raises(DenfError):
        download(site.url + "&old=1", tmp_path / "f.bin", retries=0, waiting=QUICK)
    download(site.url, tmp_path / "f.bin", sha256=SHA256, waiting=QUICK)
    assert site.asked == [None, None]


def test_a_wrong_checksum_removes_the_part(site, tmp_path):
    site.body = BODY[:-1] + b"?"
    with pytest.raises(DenfError, match=f"expected SHA-256 {SHA256}, got [0-9a-f]{{64}}"):
        download(site.url, tmp_path / "f.bin", sha256=SHA256, waiting=QUICK)
    assert leftovers(tmp_path) == []
    assert len(site.asked) == 1


def test_a_busy_server_is_asked_again_and_a_refusal_is_final(site, tmp_path):
    site.statuses = [503, 429]
    download(site.url, tmp_path / "f.bin", sha256=SHA256, waiting=QUICK)
    site.statuses = [404]
    with pytest.raises(DenfError, match="expected the file, got status 404"):
        download(site.url, tmp_path / "g.bin", waiting=QUICK)
    assert len(site.asked) == 4
    site.kind = "text/html; charset=utf-8"
    with pytest.raises(DenfError, match="a web page"):
        download(site.url, tmp_path / "g.bin", waiting=QUICK)
    assert leftovers(tmp_path) == ["f.bin"]


def test_bodies_of_unstated_length(site, tmp_path):
    site.chunked = True
    site.cuts = [100_000]
    download(site.url, tmp_path / "f.bin", waiting=QUICK)  # a break in chunks shows
    assert (tmp_path / "f.bin").read_bytes() == BODY
    site.chunked = site.length = False
    with pytest.raises(DenfError, match="unstated length"):
        download(site.url, tmp_path / "g.bin", waiting=QUICK)


def test_an_empty_file(site, tmp_path):
    site.body = b""
    download(site.url, tmp_path / "f.bin", waiting=QUICK)
    assert (tmp_path / "f.bin").read_bytes() == b""


def test_nobody_answers(tmp_path):
    with pytest.raises(DenfError, match="after 2 attempts"):
        download("http://127.0.0.1:9/f.bin", tmp_path / "f.bin", retries=1, waiting=QUICK)
    with pytest.raises(DenfError, match="expected an http or https address, got none"):
        download("f.bin", tmp_path / "f.bin", waiting=QUICK)


def test_mirrors(site, tmp_path):
    unreachable = "http://127.0.0.1:9/data/set%20one.bin?dl=1"
    folder = tmp_path / "mirror"
    folder.mkdir()
    (folder / "set one.bin").write_bytes(BODY)
    download(unreachable, tmp_path / "a.bin", sha256=SHA256, mirror=folder)
    assert (tmp_path / "a.bin").read_bytes() == BODY
    base = site.url.rsplit("/", 1)[0] + "/"
    download(unreachable, tmp_path / "b.bin", sha256=SHA256, mirror=base, waiting=QUICK)
    assert (tmp_path / "b.bin").read_bytes() == BODY
    with pytest.raises(DenfError, match=r"mirror .*expected the file other\.bin, got none"):
        download("http://127.0.0.1:9/other.bin", tmp_path / "c.bin", mirror=folder)
    (folder / "set one.bin").write_bytes(BODY[:-1])
    with pytest.raises(DenfError, match="SHA-256"):
        download(unreachable, tmp_path / "c.bin", sha256=SHA256, mirror=folder)
    assert leftovers(tmp_path) == ["a.bin", "b.bin", "mirror"]


def test_a_file_that_is_here_is_linked_not_copied_and_never_written_to(site, tmp_path):
    local = tmp_path / "any name.zip"
    local.write_bytes(BODY)
    out = tmp_path / "made/f.bin"
    site.cuts = [100_000]
    with pytest.raises(DenfError):
        download(site.url, out, retries=0, waiting=QUICK)
    download(site.url, out, mirror=local)  # the file itself, under another name
    assert out.is_symlink()
    assert out.samefile(local)
    assert leftovers(out.parent) == ["f.bin", "f.bin.pinned.json"]
    out.unlink()
    download(site.url, out, waiting=QUICK)
    assert not out.is_symlink()
    assert local.read_bytes() == out.read_bytes() == BODY


def test_the_first_fetch_pins_the_file_and_a_later_change_is_refused(site, tmp_path):
    out = tmp_path / "f.bin"
    download(site.url, out, waiting=QUICK)
    pin = json.loads((tmp_path / "f.bin.pinned.json").read_text())
    assert pin == {"url": site.url, "sha256": SHA256, "bytes": len(BODY)}
    download(site.url, out, waiting=QUICK)  # there, and as pinned
    out.unlink()
    site.body = other = BODY[:-1] + b"?"
    message = rf"SHA-256 {SHA256}, 300000 bytes, .* got {hashlib.sha256(other).hexdigest()}, 300000"
    with pytest.raises(DenfError, match=message):
        download(site.url, out, waiting=QUICK)
    (tmp_path / "mirror.bin").write_bytes(other)
    with pytest.raises(DenfError, match=message):  # a mirror has to give the same file
        download(site.url, out, mirror=tmp_path / "mirror.bin")
    assert leftovers(tmp_path) == ["f.bin.pinned.json", "mirror.bin"]
    download(site.url, out, sha256=hashlib.sha256(other).hexdigest(), waiting=QUICK)
    with pytest.raises(DenfError, match=r"already there.*as first fetched"):
        download(site.url, out, waiting=QUICK)  # without a stated checksum, the pin's is expected
    (tmp_path / "f.bin.pinned.json").unlink()
    download(site.url, out, waiting=QUICK)  # pinned anew
    with pytest.raises(
        DenfError, match=f"expected a file from {re.escape(site.url)}&v=2, got one from "
    ):
        download(site.url + "&v=2", out, waiting=QUICK)
    out.unlink()
    site.body = BODY
    download(site.url + "&v=2", out, waiting=QUICK)  # another address is another file
    (tmp_path / "f.bin.pinned.json").write_text("{}")
    with pytest.raises(DenfError, match=r"pinned\.json: expected a pin with url"):
        download(site.url, out, waiting=QUICK)


def test_a_stated_size_is_checked(site, tmp_path):
    with pytest.raises(DenfError, match="got more than the 299999 bytes of the file"):
        download(site.url, tmp_path / "f.bin", size=299_999, waiting=QUICK)
    assert leftovers(tmp_path) == []
    download(site.url, tmp_path / "f.bin", size=300_000, waiting=QUICK)


def test_a_range_of_a_changed_file_is_not_joined_even_if_the_server_ignores_if_range(
    site, tmp_path
):
    site.cuts, site.if_range = [100_000], False
    with pytest.raises(DenfError):
        download(site.url, tmp_path / "f.bin", retries=0, waiting=QUICK)
    site.tag, site.body = '"two"', BODY[::-1]  # of the same length
    download(site.url, tmp_path / "f.bin", waiting=QUICK)
    assert (tmp_path / "f.bin").read_bytes() == BODY[::-1]
    assert site.asked == [None, "bytes=100000-", None]


def test_progress_is_for_terminals_alone(site, tmp_path, capfd):
    download(site.url, tmp_path / "f.bin", sha256=SHA256, waiting=QUICK)
    assert capfd.readouterr() == ("", "")
    words = ["data", "fetch", site.url, "--out", str(tmp_path / "g.bin")]
    screen, terminal = pty.openpty()
    termios.tcsetwinsize(screen, (24, 80))
    call = [sys.executable, "-c", "from denf.cli import main; main()", *words]
    subprocess.run(call, stderr=terminal, check=True)
    assert b"g.bin: 100%" in os.read(screen, 10_000)
    os.close(screen)
    os.close(terminal)


def test_a_full_disk_keeps_what_has_arrived(site, tmp_path):
    out, limits = tmp_path / "f.bin", resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (123_456, limits[1]))  # writing beyond it fails
    try:
        with pytest.raises(DenfError, match=r"f\.bin\.part: expected to be written"):
            download(site.url, out, sha256=SHA256, waiting=QUICK)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "f.bin.part").read_bytes() == BODY[:123_456]
    assert not out.exists()
    download(site.url, out, sha256=SHA256, waiting=QUICK)
    assert site.asked == [None, "bytes=123456-"]
    assert out.read_bytes() == BODY


@pytest.mark.parametrize("chunked", [False, True])
def test_no_more_is_taken_than_was_promised(site, tmp_path, chunked):
    site.chunked, site.body = chunked, BODY * 40
    with pytest.raises(DenfError, match="got more than the 300000 bytes of the file"):
        download(site.url, tmp_path / "f.bin", size=len(BODY), waiting=QUICK)
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("name", ["%2e%2e", "..", "a%2f..%2f..%2fsecret", "%00", "", "%5c"])
def test_an_address_names_a_file_and_leads_nowhere_else(tmp_path, name):
    (tmp_path / "mirror").mkdir()
    (tmp_path / "secret").write_text("not for you")
    with pytest.raises(DenfError, match="expected an address that ends in the name of a file"):
        download(f"http://127.0.0.1:9/{name}", tmp_path / "f.bin", mirror=tmp_path / "mirror")
    assert leftovers(tmp_path) == ["mirror", "secret"]


@pytest.mark.parametrize(
    "url",
    ["http://[::1/f", "file:///etc/passwd", "http://a..b/f", "http://exa mple/f", "ftp://x/f"],
)
def test_nonsense_addresses_are_named(tmp_path, url):
    with pytest.raises(DenfError, match="expected"):
        download(url, tmp_path / "f.bin", retries=0, waiting=QUICK)
    assert leftovers(tmp_path) == []


def test_two_downloads_into_one_file_do_not_meet(tmp_path):
    with (
        locked(tmp_path / ".f.bin.lock", "the other"),
        pytest.raises(DenfError, match=r"f\.bin: expected no other process .* got process \d+ on"),
    ):
        download("http://127.0.0.1:9/f.bin", tmp_path / "f.bin", waiting=QUICK)
