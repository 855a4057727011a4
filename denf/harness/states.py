"""Training states on disk: written atomically, checked by hashes, two of each training kept."""

from __future__ import annotations

import hashlib
import io
import shutil
import warnings
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import torch

from denf.files import write_atomically
from denf.reading import reason

GENERATIONS = 2
_PARTS = ("settings", "code", "data", "seed", "first weights", "validation scenes")


@dataclass(frozen=True)
class StateKey:
    """Everything that a training state depends on; as a text, the name of its folder.

    Args:
        settings: the experiment's fingerprint.
        code: hash of the training's sources.
        data: hash of the training split.
        seed: of the training.
        first_weights: hash of the weights of another run, if the training starts from them.
        validation: number and hash of the validation scenes, whose scores the history holds.
    """

    settings: str
    code: str
    data: str
    seed: int
    first_weights: str | None = None
    validation: str | None = None

    def __str__(self) -> str:
        return "-".join("none" if part is None else str(part) for part in astuple(self))

    def differences(self, other: str) -> list[str]:
        """What differs from the key with the text `other`."""
        ours, theirs = str(self).split("-"), other.split("-")
        if len(ours) != len(theirs):  # of an earlier version
            return ["code"]
        pairs = zip(_PARTS, ours, theirs, strict=True)
        return [name for name, one, another in pairs if one != another]


class StateStore:
    """Training states of one run, beside the run's folder and outside its outputs.

    Snakemake deletes the outputs of a killed job, but not these states. A state of other settings
    or other code has another key and is not found. A state's file name holds its SHA-256.

    Args:
        run: the run folder.
        key: everything that the state depends on.
    """

    def __init__(self, run: Path, key: StateKey) -> None:
        self.key = key
        self.folder = run.parent / ".state" / run.name / str(key)

    def save(self, state: Mapping[str, Any], step: int) -> None:
        """Write a state, and drop all but the newest two.

        Raises:
            OSError: when the state cannot be written (a full disk); earlier states are kept.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        torch.save(dict(state), buffer)
        data = buffer.getvalue()
        path = self.folder / f"step-{step:09d}.{hashlib.sha256(data).hexdigest()}.pt"
        write_atomically(path, data)
        generations = self._generations()
        newest = generations.index(path)  # later steps were not used when this training began
        for other in (*generations[:newest], *generations[newest + GENERATIONS :]):
            other.unlink()

    def restore(self, take: Callable[[Mapping[str, Any]], None]) -> bool:
        """Pass the newest state that is undamaged and fits to `take`; False when there is none.

        Args:
            take: restores a state, or raises and changes nothing.
        """
        for path in self._generations():
            try:
                data = path.read_bytes()
                if path.name.split(".")[1] != hashlib.sha256(data).hexdigest():
                    raise ValueError("it differs from its checksum")
                take(torch.load(io.BytesIO(data), map_location="cpu", weights_only=True))
            except Exception as error:  # torch raises many errors on damaged or foreign states
                warnings.warn(
                    f"{path} cannot be used ({reason(error)}); trying the one before", stacklevel=2
                )
            else:
                return True
        return False

    def newest_step(self) -> int | None:
        """Step of the newest state; None when there is none."""
        newest = next(iter(self._generations()), None)
        return None if newest is None else int(newest.name.split(".")[0].removeprefix("step-"))

    def others_differ_in(self) -> list[str]:
        """What differs between this training and the most similar other one with states here."""
        others = {path.parent.name for path in self.folder.parent.glob("*/step-*.pt")}
        found = map(self.key.differences, others - {self.folder.name})
        return min(sorted(found), key=len, default=[])

    def clear(self) -> None:
        """Delete all states of this run, whatever their key."""
        shutil.rmtree(self.folder.parent, ignore_errors=True)

    def _generations(self) -> list[Path]:
        return sorted(self.folder.glob("step-*.pt"), reverse=True)
