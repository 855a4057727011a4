"""Finding methods by name, making them, and the source files that they depend on."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import denf
from denf.errors import DenfError
from denf.harness.validation import check_name, validate
from denf.settings import AidSettings, MethodSettings, NoSettings

if TYPE_CHECKING:
    from denf.harness.method import Method

ROOT = Path(denf.__file__).parents[1]
_PACKAGES = ("denf", "baselines")
_Class = TypeVar("_Class")


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


@dataclass(frozen=True)
class MethodModules:
    """Where the parts of a method are defined.

    A method is one file, `baselines/<name>.py`, or a package, `baselines/<name>/`, with the class
    in `method.py` and the settings in `settings.py`, which is free of torch. Aids are the pair
    `aids.py` and `aid_settings.py` of a package. Controls lie in `baselines/controls`.

    Args:
        method: dotted name of the module that defines the method.
        settings: of the module that defines its settings.
        aids: of the module that defines the aided method; None without aids.
        aid_settings: of the module that defines the settings of the aids; None without aids.
        presets: folder of `<preset>.yaml`, which need not exist.
    """

    method: str
    settings: str
    aids: str | None
    aid_settings: str | None
    presets: Path


def method_names() -> list[str]:
    """Names of all methods: `denf`, and every file or package of `baselines/` that defines one."""
    found = set()
    for folder in _folders():
        found |= {file.stem for file in folder.glob("*.py")} - {"__init__"}
        found |= {file.parent.name for file in folder.glob("*/method.py")}
    return ["denf", *sorted(name.replace("_", "-") for name in found)]


def method_modules(name: str) -> MethodModules:
    """Where a method is defined.

    Raises:
        DenfError: for an unknown name.
    """
    check_name(name, method_names(), where="method")
    if name == "denf":
        presets = ROOT / "denf" / "model" / "presets"
        return MethodModules("denf.method", "denf.model.settings.denf", None, None, presets)
    stem = name.replace("-", "_")
    package = next(f / stem for f in _folders() if _defines(f / stem))
    base = ".".join(package.relative_to(ROOT).parts)
    if not (package / "method.py").exists():
        return MethodModules(base, base, None, None, package / "presets")
    aided = (package / "aids.py").exists()
    return MethodModules(
        f"{base}.method",
        f"{base}.settings" if (package / "settings.py").exists() else f"{base}.method",
        f"{base}.aids" if aided else None,
        f"{base}.aid_settings" if aided else None,
        package / "presets",
    )


def method_type(name: str, *, aided: bool = False) -> type[Method]:
    """The class of a method, or the one that adds its aids: the one Method of its module."""
    from denf.harness.method import Method

    modules = method_modules(name)
    if not aided:
        return _only(modules.method, Method)  # type: ignore[type-abstract]
    if modules.aids is None:
        raise _without_aids(name)
    return _only(modules.aids, Method)  # type: ignore[type-abstract]


def settings_type(name: str) -> type:
    """The settings of a method: the one subclass of MethodSettings that its module defines, if any.

    For a method of one file this imports the method, and with it torch; a package has
    `settings.py`.
    """
    module = method_modules(name).settings
    return _only(module, MethodSettings) if _members(module, MethodSettings) else NoSettings


def aids_type(name: str) -> type[AidSettings]:
    """The settings of a method's aids.

    Raises:
        DenfError: when the method has none.
    """
    module = method_modules(name).aid_settings
    if module is None:
        raise _without_aids(name)
    return _only(module, AidSettings)


def make_method(name: str, settings: Mapping[str, Any], aids: Mapping[str, Any]) -> Method:
    """A method, with its aids when any are given; parameters are drawn from torch's generator."""
    checked: Any = validate(settings_type(name), settings, where=f"{name}: settings")
    if not aids:
        return method_type(name)(checked)
    kind: Callable[..., Method] = method_type(name, aided=True)
    return kind(checked, validate(aids_type(name), aids, where=f"{name}: aids"))


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


def _folders() -> tuple[Path, Path]:
    return ROOT / "baselines", ROOT / "baselines" / "controls"


def _defines(package: Path) -> bool:
    return (package / "method.py").exists() or package.with_suffix(".py").exists()


def _members(module_name: str, base: type[_Class]) -> list[type[_Class]]:
    module = importlib.import_module(module_name)
    return [
        member
        for _, member in inspect.getmembers(module, inspect.isclass)
        if issubclass(member, base) and member.__module__ == module.__name__
    ]


def _only(module: str, base: type[_Class]) -> type[_Class]:
    found = _members(module, base)
    if len(found) != 1:
        raise DenfError(
            f"module {module}",
            expected=f"exactly one subclass of {base.__name__}",
            got=[c.__name__ for c in found],
            fix="Keep one in this file.",
        )
    return found[0]


def _without_aids(name: str) -> DenfError:
    return DenfError(
        f"method {name}: aids",
        expected="none",
        got="some",
        fix=f"Write aids.py and aid_settings.py for {name}, or remove the key `aids`.",
    )


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
