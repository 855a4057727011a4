"""Finding methods by name, and the source files that a method depends on."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import inspect
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import denf
from denf.errors import DenfError

if TYPE_CHECKING:
    from denf.harness.method import Method

ROOT = Path(denf.__file__).parents[1]
_PACKAGES = ("denf", "baselines")


class Purpose(StrEnum):
    """What source files are asked for; the value is the module that does it."""

    TRAIN = "denf.harness.train"
    EVALUATE = "denf.harness.evaluate"
    FID = "denf.metrics.generation"
    RENDER = "denf.data.scenes.render"
    TABLES = "denf.report.tables"
    FIGURES = "denf.report.figures"
    CARD = "denf.report.card"
    PAGE = "denf.report.page.build"


def method_names() -> list[str]:
    """Names of all methods: `denf` and every module of `baselines/`."""
    files = (ROOT / "baselines").glob("*.py")
    return ["denf", *sorted(f.stem.replace("_", "-") for f in files if f.stem != "__init__")]


def module_name(method: str) -> str:
    """The module that defines a method.

    Raises:
        DenfError: for an unknown name.
    """
    if method not in method_names():
        raise DenfError(
            "method",
            expected=f"one of {', '.join(method_names())}",
            got=repr(method),
            fix=f"Correct the name, or write baselines/{method.replace('-', '_')}.py.",
        )
    return "denf.method" if method == "denf" else f"baselines.{method.replace('-', '_')}"


def method_type(name: str) -> type[Method]:
    """The class of a method: the one Method that its module defines."""
    from denf.harness.method import Method

    module = importlib.import_module(module_name(name))
    found = [
        member
        for _, member in inspect.getmembers(module, inspect.isclass)
        if issubclass(member, Method) and member.__module__ == module.__name__
    ]
    if len(found) != 1:
        raise DenfError(
            f"module {module.__name__}",
            expected="exactly one subclass of Method",
            got=[c.__name__ for c in found],
            fix="Keep one method a file.",
        )
    return found[0]


def source_files(*modules: str, root: Path = ROOT) -> list[Path]:
    """The project's source files that modules depend on, found without importing them.

    Imports are followed through the project's own packages, so that an edit of the model is seen
    by a training and an edit of a plot is not. A module's packages count: importing it runs them.

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
    return sorted(set(seen.values()))


@cache
def code_hash(purpose: Purpose, method: str | None = None, root: Path = ROOT) -> str:
    """SHA-256 over the sources of a purpose and a method, 16 hexadecimal digits.

    Args:
        purpose: what is done.
        method: with what; None where no method has a part in it.
        root: folder that holds the packages.
    """
    modules = [purpose.value] if method is None else [purpose.value, module_name(method)]
    digest = hashlib.sha256()
    for path in source_files(*modules, root=root):
        digest.update(f"{path.relative_to(root)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


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
