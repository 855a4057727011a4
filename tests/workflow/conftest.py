"""A copy of the suite in a separate folder."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
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


@pytest.fixture(scope="session", autouse=True)
def environment() -> Iterator[None]:
    """Environment variables with which `denf` is that of this Python."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        patch.setenv("OMP_NUM_THREADS", "1")
        yield
