"""The rooms' import arrows: what each part of the code may know of the others."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from denf.harness.registry import source_files

ROOT = Path(__file__).parents[1]

# Every room may import itself and these leaves, which import nothing of the project but leaves.
LEAVES = {
    *("denf", "denf.errors", "denf.files", "denf.locks", "denf.palette", "denf.reading"),
    *("denf.settings", "denf.yaml_reader"),
}
# Room → the other rooms that it may import.
ARROWS = {
    # DeNF's settings are plain values; one says how subnets are evaluated.
    "denf.flow": {"denf.model.settings"},
    "denf.model": {"denf.flow"},
    "denf.data": set[str](),
    # The download of the feature extractor's weights is the data room's checked download.
    "denf.metrics": {"denf.data.download"},
    # DeNF's settings are plain values, checked without importing torch or the model.
    "denf.harness": {"denf.data", "denf.metrics", "denf.model.settings"},
    # The card of a data set reads the prepared format with its own reader.
    "denf.report": {"denf.data.prepared"},
    "denf.singles": {"denf.model.instances"},
    "denf.method": {"denf.harness", "denf.model", "denf.singles"},
    "denf.overlay": set(),
    "denf.run_folder": set(),
    "denf.pictures": {"denf.harness", "denf.data", "denf.overlay", "denf.run_folder"},
    "denf.show": {"denf.harness", "denf.report", "denf.run_folder"},
    "baselines": {"denf.harness", "denf.data"},
}
NO_TORCH = [
    *("denf.report", "denf.show", "denf.overlay", "denf.run_folder", "denf.model.settings"),
    *("denf.errors", "denf.files", "denf.locks", "denf.palette", "denf.reading", "denf.border"),
    *("denf.settings", "denf.yaml_reader"),
]


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def sources(room: str) -> list[Path]:
    path = ROOT.joinpath(*room.split("."))
    found = sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
    assert found, f"no files in {room}"
    return found


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and module of every import, those inside functions included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            module = str(node.module)
            for alias in node.names:
                inner = f"{module}.{alias.name}"
                yield node.lineno, inner if exists(inner) else module


def exists(module: str) -> bool:
    path = ROOT.joinpath(*module.split("."))
    return path.is_dir() or path.with_suffix(".py").exists()


def within(module: str, room: str) -> bool:
    return module == room or module.startswith(f"{room}.")


@pytest.mark.parametrize("room", ARROWS)
def test_room_imports_only_what_it_may(room: str):
    strangers = [
        f"{path.relative_to(ROOT)}:{line}: {module}"
        for path in sources(room)
        for line, module in imports(path)
        if module.split(".")[0] in ("denf", "baselines")
        and module not in LEAVES
        and not any(within(module, other) for other in {room, *ARROWS[room]})
    ]
    assert strangers == []


@pytest.mark.parametrize("room", NO_TORCH)
def test_room_needs_no_torch(room: str):
    heavy = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sources(room)
        for line, module in imports(path)
        if module.split(".")[0] in ("torch", "torchvision", "torch_fidelity")
    ]
    assert heavy == []


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


def test_leaves_import_nothing_of_the_project():
    for leaf in LEAVES - {"denf"}:
        for _, module in imports(sources(leaf)[0]):
            assert module.split(".")[0] != "denf" or module in LEAVES, leaf


def test_every_file_belongs_to_a_room():
    """A new folder or file under denf/ gets an arrow above before it gets imports."""
    roots = {"denf.cli", "denf.bench", "denf.border"}  # commands: they may know everything
    known = [*ARROWS, *LEAVES - {"denf"}, *roots]
    modules = [module_of(p) for package in ("denf", "baselines") for p in sources(package)]
    assert [m for m in modules if m != "denf" and not any(within(m, k) for k in known)] == []


def test_no_room_imports_the_commands():
    for package in ("denf", "baselines"):
        for path in sources(package):
            if not within(module_of(path), "denf.cli"):
                for line, module in imports(path):
                    assert not within(module, "denf.cli"), f"{path}:{line}"


def test_torch_is_only_imported_late_by_the_commands():
    """`denf --help` starts in half a second: nothing heavy at the top level of a command's file."""
    for path in sources("denf.cli"):
        tree = ast.parse(path.read_text())
        for node in tree.body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                name = node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
                top = str(name).split(".")[0]
                light = any(
                    within(str(name), room) for room in ("denf.errors", "denf.border", "denf.cli")
                )
                known = {"typer", *sys.stdlib_module_names}
                assert light or top in known, f"{path}:{node.lineno}"
