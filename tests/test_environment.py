"""The three lists of packages say the same: pyproject.toml, environment.yml, requirements.txt."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([0-9][0-9A-Za-z.]*)$")
# torchvision's C++ operators are built against one minor release of torch; from the
# compatibility table in torchvision's README.
TORCHVISION_OF_TORCH = {"2.9": "0.24", "2.10": "0.25", "2.11": "0.26"}


def canonical(name: str) -> str:
    """A project's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(lines: list[str]) -> dict[str, str]:
    """Exact pins by canonical name; anything but `name==version` fails."""
    found = {}
    for line in lines:
        match = PIN.match(line)
        assert match, f"not an exact pin: {line!r}"
        found[canonical(match[1])] = match[2]
    return found


def project_pins() -> dict[str, str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return pins(project["project"]["dependencies"] + project["dependency-groups"]["dev"])


def requirements() -> dict[str, set[str]]:
    """Versions by name; a name has several where a marker chooses among them."""
    found: dict[str, set[str]] = {}
    for line in (ROOT / "requirements.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            [(name, version)] = pins([line.split(";")[0].strip()]).items()
            found.setdefault(name, set()).add(version)
    return found


def test_conda_environment_has_the_pins_of_the_project():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    [pip] = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    assert pip[0] == "-e ."
    assert pins(pip[1:]) == project_pins()
    assert environment["channels"] == ["conda-forge", "nodefaults"]


@pytest.mark.parametrize("file", sorted((ROOT / "workflow" / "envs").glob("*.yaml")), ids=str)
def test_software_of_the_rules_has_the_pins_that_they_run_with(file: Path):
    """Without the development tools: an edit of this file makes every run anew."""
    environment = yaml.safe_load(file.read_text())
    [pip] = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert pins(pip) == pins(project["dependencies"])
    assert environment["channels"] == ["conda-forge", "nodefaults"]


def test_conda_python_is_one_that_the_project_allows():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    low, high = re.findall(r"3\.(\d+)", project["requires-python"])
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    [python] = [e for e in environment["dependencies"] if str(e).startswith("python")]
    assert int(low) <= int(python.removeprefix("python=3.")) < int(high)


def test_resolved_requirements_hold_every_pin():
    resolved = requirements()
    assert {name: resolved.get(name) for name in project_pins()} == {
        name: {version} for name, version in project_pins().items()
    }
    assert len(resolved) > 2 * len(project_pins())  # what the pins depend on is there too


@pytest.mark.parametrize("file", ["pyproject.toml", "environment.yml", "requirements.txt"])
def test_no_address_of_a_registry(file: str):
    """Mirrors and private registries are the user's own settings."""
    text = (ROOT / file).read_text()
    assert not re.search(r"://|index[-_]url|find[-_]links|trusted[-_]host|--hash| @ ", text)


@pytest.mark.parametrize("group", ["slurm", "kubernetes", "video"])
def test_optional_groups_agree_with_the_requirements(group: str):
    """`uv sync --group` must not change what a run computes with."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    resolved = requirements()
    for name, version in pins(project["dependency-groups"][group]).items():
        assert resolved.get(name, {version}) == {version}


def test_torchvision_fits_torch():
    pinned = project_pins()
    minor = {name: ".".join(pinned[name].split(".")[:2]) for name in ("torch", "torchvision")}
    assert minor["torchvision"] == TORCHVISION_OF_TORCH[minor["torch"]]


def test_installed_versions_are_the_pinned_ones():
    """A half-pinned environment is an accident; one with another torch is somebody's choice.

    The code also runs beside a vendor's build of torch or in a newer stack, and run.json records
    what it ran with; such an environment is recognised by its torch, and skipped. A local label
    (2.11.0+cu130) names a build of the same release.
    """
    pinned = project_pins()
    installed = {}
    for name in pinned:
        try:
            installed[name] = metadata.version(name).split("+")[0]
        except metadata.PackageNotFoundError:
            installed[name] = "not installed"
    if installed["torch"] != pinned["torch"] or sys.version_info[:2] > (3, 13):
        pytest.skip(f"another environment by choice: torch {installed['torch']}")
    assert installed == pinned
