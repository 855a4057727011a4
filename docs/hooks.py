"""MkDocs hook: pages of the repository outside docs/, and links that leave docs/.

Documents link to one another and to sources by relative paths, so that links work in a checkout.
On the site, the Markdown files of `OUTSIDE` are pages at the same path, other linked files are
served unchanged, and links to folders, which a site cannot show, become plain text. A paragraph
that consists of a link to a CSV file is followed by the file's contents as a table.
"""

from __future__ import annotations

import csv
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

CSV = re.compile(r"^\[[^\]]+\]\(([^)]+\.csv)\)$", re.MULTILINE)
LINK = re.compile(r"(!?)\[([^\]]+)\]\(([^)#\s]+)(#[^)\s]*)?\)")
# Pages by their path in the repository; docs/x.md is x.md on the site, others keep their path.
OUTSIDE = (
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "config/README.md",
    "results/reference/README.md",
    "workflow/profiles/README.md",
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages outside docs/, and every file that a document links to."""
    root = Path(config.config_file_path).parent
    for place in OUTSIDE:
        files.append(File.generated(config, place, abs_src_path=str(root / place)))
    known = {file.src_uri for file in files}
    pages = [file for file in files if file.src_uri.endswith(".md")]
    for page in pages:
        for target in _targets(page):
            if target not in known and (root / target).is_file():
                files.append(File.generated(config, target, abs_src_path=str(root / target)))
                known.add(target)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite links to the path that each target has on the site."""
    root = Path(config.config_file_path).parent

    def rewritten(match: re.Match[str]) -> str:
        image, text, link, anchor = match.groups()
        if "://" in link:
            return match[0]
        target = _resolved(page.file, link)
        if (root / target).is_dir():
            return text
        near = posixpath.relpath(target, posixpath.dirname(page.file.src_uri) or ".")
        return f"{image}[{text}]({near}{anchor or ''})"

    def with_table(match: re.Match[str]) -> str:
        docs = Path(config.docs_dir)
        return f"{match[0]}\n\n{_table((docs / page.file.src_uri).parent / match[1])}"

    return LINK.sub(rewritten, CSV.sub(with_table, markdown))


def _table(file: Path) -> str:
    """A CSV file as a Markdown table."""
    with file.open(encoding="utf-8", newline="") as lines:
        head, *rows = csv.reader(lines)
    cells = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def _targets(page: File) -> list[str]:
    links = [match[2] for match in LINK.findall(page.content_string)]
    return [_resolved(page, link) for link in links if "://" not in link]


def _resolved(page: File, link: str) -> str:
    """The path of a link's target on the site."""
    place = page.src_uri if page.src_uri in OUTSIDE else f"docs/{page.src_uri}"
    target = posixpath.normpath(posixpath.join(posixpath.dirname(place), link))
    return target.removeprefix("docs/")
