"""Data sets that are published as one file, fetched or already on this machine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, ClassVar, Self
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, model_validator

from denf.data.sources.source import PathText, Source, check_path
from denf.errors import DenfError
from denf.settings import Count

_CHECKSUM = re.compile("[0-9A-Fa-f]{64}")
_WEB = ("http://", "https://")


def _check_address(url: str) -> str:
    if not url.startswith(_WEB) or not published_name(url):
        raise ValueError("an address that begins with http:// or https:// and names a file")
    return url


def _check_checksum(text: str) -> str:
    if not _CHECKSUM.fullmatch(text):
        raise ValueError("a SHA-256 checksum, 64 hexadecimal digits")
    return text


class Published(Source):
    """A data set whose source is one published file."""

    url: Annotated[str, AfterValidator(_check_address)] | None = None
    """Address of the published file; required without `path`."""
    path: PathText | None = None
    """The file on this machine, for footage also its unpacked folder, in place of `url`."""
    sha256: Annotated[str, AfterValidator(_check_checksum)] | None = None
    """The file's checksum; `null`: the first fetch pins it, see below."""
    bytes: Count | None = None
    """The file's length."""
    mirror: PathText | None = None
    """Folder or address that holds the file under its published name, or the file itself, for
    machines without a network; linked, not copied."""

    location: ClassVar[frozenset[str]] = frozenset({"url", "path", "sha256", "bytes", "mirror"})

    @model_validator(mode="after")
    def _can_be_found(self) -> Self:
        if self.url is None and self.path is None:
            raise ValueError("the key url, the address of its file, or the key path")
        return self

    def examine(self, where: str) -> dict[str, int]:
        if self.path is not None:
            check_path(self.path, where=f"{where}.path")
        elif self.mirror is not None and not self.mirror.startswith(_WEB):
            expected = "a folder, a file or an address"
            check_path(self.mirror, where=f"{where}.mirror", expected=expected)
        return {}

    def located(self, file: Path | None, downloads: Path) -> Self:
        if file is None and self.path is None:
            file = self._fetch(downloads / self.id)
        return super().located(file, downloads)

    def _fetch(self, folder: Path) -> Path:
        from denf.data.download import download

        assert self.url is not None
        out = folder / published_name(self.url)
        return download(self.url, out, sha256=self.sha256, size=self.bytes, mirror=self.mirror)

    def _file(self) -> Path:
        if self.path is None:
            raise DenfError(
                f"data set {self.id}",
                expected="its published file on this machine",
                got="an address",
                fix="Fetch it: `denf data prepare` does.",
            )
        return Path(self.path)


def published_name(url: str) -> str:
    """The name of the file at an address."""
    return Path(unquote(urlsplit(url).path)).name
