"""The layers: import-linter's contracts in pyproject.toml, and what they cannot say."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from denf.harness.sources import source_files

ROOT = Path(__file__).parents[1]
LIGHT = ("denf.errors", "denf.border", "denf.cli", "denf.metrics.extractor")


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and module of every import, those inside functions included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, str(node.module)


def test_contracts_hold():
    # A process of its own: import-linter's set-up of logging turns off the loggers of this one.
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", command, "--no-cache"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_decomposing_pictures_needs_no_plotting():
    """Torch is slow enough to import: `denf decompose` draws with Pillow and NumPy."""
    files = source_files("denf.pictures.batch", "denf.method", "denf.harness.checkpoint")
    slow = [
        f"{path.relative_to(ROOT)}:{line}: {module}"
        for path in files
        for line, module in imports(path)
        if module.split(".")[0] in ("matplotlib", "pandas", "seaborn", "sklearn")
    ]
    assert ROOT / "denf/overlay.py" in files
    assert slow == []


def test_torch_is_only_imported_late_by_the_commands():
    """`denf --help` starts in half a second: nothing heavy at the top level of a command's file."""
    known = {"typer", *sys.stdlib_module_names}
    for path in sorted((ROOT / "denf/cli").rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                name = str(node.module if isinstance(node, ast.ImportFrom) else node.names[0].name)
                light = name.startswith(LIGHT)
                assert light or name.split(".")[0] in known, f"{path}:{node.lineno}"
