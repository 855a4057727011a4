"""DeNF: scene decomposition with normalizing flows, and the suite that reproduces it.

    import denf
    run = denf.load("results/reference/denf-clevr6")
    result = run.decompose("scene.png")

See `TrainedRun` for what a run can do and `PictureDecomposition` for what a result holds. They are
imported when first used: `import denf` does not import torch.
"""

from importlib import import_module
from typing import Any

__version__ = "0.2.0"
__all__ = ["DenfError", "PictureDecomposition", "TrainedRun", "load"]

# By name, not by an import statement: a training depends on this file and, as the hash of its
# sources follows import statements, must not depend on what is read here.
_INTERFACE = {
    "DenfError": "denf.errors",
    "PictureDecomposition": "denf.pictures.result",
    "TrainedRun": "denf.pictures.run",
    "load": "denf.pictures.run",
}


def __getattr__(name: str) -> Any:
    if name in _INTERFACE:
        return getattr(import_module(_INTERFACE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
