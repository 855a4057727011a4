"""A copy of the suite in a separate folder."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def checkout() -> Callable[[Path], Path]:
    """Copy the parts of the suite that Snakemake reads into a folder."""

    def copy_into(folder: Path) -> Path:
        for name in ("Snakefile", "workflow", "config", "baselines"):
            source = REPOSITORY / name
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, folder / name)
        return folder

    return copy_into


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """Environment variables with which `denf` is that of this Python."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}
