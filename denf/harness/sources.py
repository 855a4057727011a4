"""The source files that a task depends on, and their hash, by which the workflow reruns it."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from enum import Enum
from functools import cache
from pathlib import Path

from denf.harness.registry import ROOT, method_modules

_PACKAGES = ("denf", "baselines")


class Purpose(Enum):
    """A task whose source files are hashed; the value has the modules that do the task."""

    TRAIN = ("denf.harness.train",)
    EVALUATE = ("denf.harness.evaluate", "denf.harness.panels")
    FID = ("denf.harness.generate", "denf.metrics.generation")
    RENDER = ("denf.data.scenes.render",)
    TABLES = ("denf.report.tables",)
    FIGURES = ("denf.report.figures",)
    CARD = ("denf.report.card",)
    PAGE = ("denf.report.page.build",)


def source_files(*modules: str, root: Path = ROOT) -> list[Path]:
    """The project's source files that modules depend on, found without importing them.

    Imports are followed through the project's own packages, so that a training depends on the model
    and not on a plot. A module's packages are included, since importing the module runs them, and
    so are the files of their folders `templates`, which code fills in.

    Args:
        modules: dotted names.
        root: folder that holds the packages.
    """
    seen: dict[str, Path] = {}
    queue = list(modules)
    while queue:
        name = queue.pop()
        path = _path_of(name, root)
        if path is None or name in seen:
            continue
        seen[name] = path
        queue.append(name.rpartition(".")[0])
        queue.extend(_imports(path, name))
    found = set(seen.values())
    packages = [path.parent for path in found if path.name == "__init__.py"]
    return sorted(found.union(*(package.glob("templates/*") for package in packages)))


@cache
def code_hash(
    purpose: Purpose, method: str | None = None, *, aided: bool = False, root: Path = ROOT
) -> str:
    """SHA-256 over the sources of a purpose and a method, 16 hexadecimal digits.

    Comments and docstrings do not count, so that editing them retrains nothing.

    Args:
        purpose: the task.
        method: its method; None where no method is involved.
        aided: whether the method has aids.
        root: folder that holds the packages.
    """
    modules = list(purpose.value)
    if method is not None:
        of = method_modules(method)
        modules += [of.method, of.settings]
        modules += [of.aids, of.aid_settings] if aided and of.aids and of.aid_settings else []
    digest = hashlib.sha256()
    for path in source_files(*modules, root=root):
        digest.update(f"{path.relative_to(root)}\0".encode())
        digest.update(_meaning(path))
    return digest.hexdigest()[:16]


@cache  # most methods have most of their files in common
def _meaning(path: Path) -> bytes:
    """A file's content; of Python without comments, layout and docstrings, which change nothing."""
    if path.suffix != ".py":
        return path.read_bytes()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            node.body = [statement for statement in node.body if not _is_docstring(statement)]
    return ast.dump(tree).encode()


def _is_docstring(statement: ast.stmt) -> bool:
    """Whether a statement is only a string, including those under the fields of settings."""
    value = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


@cache
def _path_of(name: str, root: Path) -> Path | None:
    if name.split(".")[0] not in _PACKAGES:
        return None
    base = root.joinpath(*name.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.exists():
            return path
    return None


@cache  # sources do not change while a process reads them
def _imports(path: Path, module: str) -> tuple[str, ...]:
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            relative = "." * node.level + (node.module or "")
            source = importlib.util.resolve_name(relative, package)
            names += [source, *(f"{source}.{alias.name}" for alias in node.names)]
    return tuple(names)
