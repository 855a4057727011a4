"""Tables for people: Markdown and LaTeX (booktabs) from cells of plain text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

_LATEX: dict[str, str | int | None] = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "−": r"$-$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "—": "---",
    "–": "--",
    "…": r"\dots{}",
    "\n": " ",
}
_MARKDOWN: dict[str, str | int | None] = {
    **{c: "\\" + c for c in "\\`*_[]|~"},  # brackets: a label never becomes a link
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    "\n": " ",
}
_FORMULA = ("=", "+", "-", "@")  # a cell that starts with one is a formula in spreadsheets
# Characters that change the direction of writing, so that a text would be read as another one.
_DIRECTIONS = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True)
class Sheet:
    """A table as text.

    Args:
        number: of the table.
        caption: sentences in plain text.
        head: column titles.
        blocks: (title, lines of cells); an empty title has no line of its own.
        align: one letter per column, l or r.
    """

    number: int
    caption: str
    head: Sequence[str]
    blocks: Sequence[tuple[str, Sequence[Sequence[str]]]]
    align: str


def printable(text: str) -> str:
    """Text in which control characters and lone surrogates are replaced by �."""
    return "".join(
        "�" if c in _DIRECTIONS or (unicodedata.category(c) in ("Cc", "Cs") and c != "\n") else c
        for c in text
    )


def escape_latex(text: str) -> str:
    """Plain text as LaTeX that prints the same."""
    return printable(text).translate(str.maketrans(_LATEX))


def escape_markdown(text: str) -> str:
    """Plain text as a Markdown table cell that prints the same."""
    return printable(text).translate(str.maketrans(_MARKDOWN))


def code_span(text: str) -> str:
    """Plain text as code within a line of Markdown; the text may contain backticks."""
    text = " ".join(printable(text).split("\n"))
    runs = [len(run) for run in re.findall("`+", text)]
    fence = "`" * (max(runs, default=0) + 1)
    return f"{fence} {text} {fence}" if runs else f"`{text}`"


def spreadsheet_text(text: str) -> str:
    """Text as a CSV cell that a spreadsheet shows and does not evaluate."""
    text = printable(text)
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text


def to_markdown(sheet: Sheet) -> str:
    """The table in GitHub's Markdown, its caption above it."""
    rule = ["---:" if letter == "r" else "---" for letter in sheet.align]
    lines = [
        f"**Table {sheet.number}.** {escape_markdown(sheet.caption)}",
        "",
        _markdown_line(sheet.head),
        "| " + " | ".join(rule) + " |",
    ]
    for title, rows in sheet.blocks:
        if title and rows:
            lines.append(f"| *{escape_markdown(title)}* |" + " |" * (len(sheet.head) - 1))
        lines += [_markdown_line(row) for row in rows]
    return "\n".join(lines) + "\n"


def _markdown_line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(escape_markdown(cell) for cell in cells) + " |"


def to_latex(sheet: Sheet) -> str:
    """The table as a `table*` float for a document that uses booktabs."""
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table*}",
        r"\centering\scriptsize\setlength{\tabcolsep}{3pt}",
        rf"\caption{{{escape_latex(sheet.caption)}}}",
        rf"\label{{tab:reproduced-{sheet.number}}}",
        rf"\begin{{tabular}}{{{sheet.align}}}",
        r"\toprule",
        _latex_line(sheet.head),
    ]
    for title, rows in sheet.blocks:
        if not rows:
            continue
        lines.append(r"\midrule")
        if title:
            span = rf"\multicolumn{{{len(sheet.head)}}}{{l}}"
            lines.append(rf"{span}{{\emph{{{escape_latex(title)}}}}} \\")
        lines += [_latex_line(row) for row in rows]
    lines += [r"\bottomrule", r"\end{tabular}", r"\end{table*}"]
    return "\n".join(lines) + "\n"


def _latex_line(cells: Sequence[str]) -> str:
    # a line that begins with [ would be read as the optional argument of the \\ before it
    escaped = [escape_latex(cell) for cell in cells]
    if escaped[0].startswith("["):
        escaped[0] = "{" + escaped[0][0] + "}" + escaped[0][1:]
    return " & ".join(escaped) + r" \\"
