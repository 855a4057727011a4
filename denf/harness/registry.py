"""Finding methods by name, and the source files that a method depends on."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import inspect
from collections.abc import Iterator
from enum import StrEnum
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
    FID = "denf.metrics.fid"
    RENDER = "denf.data.scenes.render"
    TABLES = "denf.report.tables"
    FIGURES = "denf.report.figures"


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


def source_files(*modules: str) -> list[Path]:
    """The project's source files that modules depend on, found without importing them.

    Imports are followed through the project's own packages, so that an edit of the model is seen
    by a training and an edit of a plot is not.
    """
    seen: dict[str, Path] = {}
    queue = list(modules)
    while queue:
        name = queue.pop()
        path = _path_of(name)
        if path is None or name in seen:
            continue
        seen[name] = path
        queue.extend(_imports(path))
    return sorted(set(seen.values()))


def code_hash(purpose: Purpose, method: str | None = None) -> str:
    """SHA-256 over the sources of a purpose and a method, 16 hexadecimal digits."""
    modules = [purpose.value] if method is None else [purpose.value, module_name(method)]
    digest = hashlib.sha256()
    for path in source_files(*modules):
        digest.update(f"{path.relative_to(ROOT)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _path_of(name: str) -> Path | None:
    if name.split(".")[0] not in _PACKAGES:
        return None
    base = ROOT.joinpath(*name.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.exists():
            return path
    return None


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
