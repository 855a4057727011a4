"""Finding methods by name, and making them."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import denf
from denf.errors import DenfError
from denf.harness.validation import check_name, validate
from denf.settings import AidSettings, MethodSettings, NoSettings

if TYPE_CHECKING:
    from denf.harness.method import Method

ROOT = Path(denf.__file__).parents[1]
_Class = TypeVar("_Class")


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
