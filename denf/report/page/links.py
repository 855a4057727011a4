"""Names of the page's anchors."""

from __future__ import annotations

import re

from denf.report.records import Row


def record_id(row: Row) -> str:
    """The anchor of an experiment's record; different for different experiments."""
    return _anchor(f"record-{row.dataset}-{row.name}")


def reference_id(name: str) -> str:
    """The anchor of a reference run's record."""
    return _anchor(f"reference-{name}")


def _anchor(text: str) -> str:
    return re.sub(r"[^\w.-]", lambda match: f"_{ord(match[0]):x}_", text)
