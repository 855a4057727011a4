"""Griffe extension: converts `.. math::` and `:math:` of docstrings to LaTeX in Markdown."""

from __future__ import annotations

import re
import textwrap
from typing import Any

from griffe import Extension, Object

BLOCK = re.compile(r"^( *)\.\. math::\n\n((?:\1 +\S.*\n?|\n)+)", re.MULTILINE)
INLINE = re.compile(r":math:`([^`]+)`")


class Mathematics(Extension):
    """Rewrites every docstring before it is parsed."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        if obj.docstring:
            text = BLOCK.sub(_display, obj.docstring.value)
            obj.docstring.value = INLINE.sub(r"$\1$", text)


def _display(match: re.Match[str]) -> str:
    formula = textwrap.dedent(match[2]).strip()
    return textwrap.indent(f"$$\n{formula}\n$$\n\n", match[1])
