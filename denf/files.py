"""Files that readers see whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write `content` to `path` under a temporary name in the same folder, then rename."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    if isinstance(content, str):
        temporary.write_text(content)
    else:
        temporary.write_bytes(content)
    os.replace(temporary, path)
