"""A trained run for notebooks and programs, as `denf.load` returns it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from denf.data.crop import Array
from denf.errors import DenfError
from denf.harness.checkpoint import best_device, load_run
from denf.harness.experiment import Experiment
from denf.harness.method import Capability, Method
from denf.pictures.conversion import Picture, read_picture
from denf.pictures.result import PictureDecomposition, Square
from denf.reading import reading
from denf.run_folder import read_history, read_scores
from denf.settings import MOST_SEED

T = TypeVar("T")
MOST_SAMPLES = 1_000_000  # they are held in memory
BATCH = 8  # pictures that are decomposed together; larger batches are not faster


@dataclass(frozen=True, eq=False)
class TrainedRun:
    """A run folder with its weights loaded.

    Args:
        folder: the run folder.
        method: in evaluation mode, on its device.
        experiment: the resolved experiment of the training.
    """

    folder: Path
    method: Method
    experiment: Experiment

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.folder)!r}, method={self.experiment.method!r})"

    @property
    def settings(self) -> Any:
        """The method's settings, such as `run.settings.priors.scale_mean`."""
        return self.method.settings

    @property
    def scores(self) -> dict[str, Any]:
        """Scores from `denf evaluate` and `denf fid`, by name; empty where neither was run."""
        return read_scores(self.folder)

    @property
    def history(self) -> list[dict[str, float]]:
        """The logged rows of the training: `step`, and mean losses since the previous row."""
        return read_history(self.folder)

    @property
    def size(self) -> int:
        """Side of the images that the run was trained on, in pixels."""
        return self.method.trained_size

    def decompose(self, picture: Picture) -> PictureDecomposition:
        """Decompose a picture into background and objects.

        The largest centred square is resized to `size`.

        Args:
            picture: a path, a Pillow image, a uint8 array (H, W, C), or a tensor (C, H, W); see
                `denf.pictures.conversion` for the conversion.

        Raises:
            DenfError: when the run's method cannot decompose, or the picture cannot be read.
        """
        return self.decompose_all([picture])[0]

    def decompose_all(self, pictures: Iterable[Picture]) -> list[PictureDecomposition]:
        """Decompose pictures in batches of `BATCH`; see `decompose`.

        Args:
            pictures: an iterable of pictures, or an array or tensor of four dimensions.

        Raises:
            DenfError: as `decompose`, and for a single picture.
        """
        self.check_decomposes()
        single = isinstance(pictures, str | bytes) or getattr(pictures, "ndim", 4) != 4
        if single or not isinstance(pictures, Iterable):
            raise DenfError(
                "pictures",
                expected="several pictures",
                got=f"one {type(pictures).__name__}",
                fix="Pass a list, or call `decompose` for one picture.",
            )
        found: list[PictureDecomposition] = []
        for batch in in_chunks(pictures, BATCH):
            squares = [Square.of(read_picture(picture), self.size) for picture in batch]
            found += self.decompose_squares(squares)
        return found

    @torch.inference_mode()
    def decompose_squares(self, squares: Sequence[Square]) -> list[PictureDecomposition]:
        """Decompose squares of the run's size in one batch."""
        if not squares:
            return []
        images = torch.from_numpy(np.stack([square.image for square in squares]))
        found = self.method.inspect(images.to(self.method.device).permute(0, 3, 1, 2))
        arrays = {name: value.cpu().numpy() for name, value in found.items()}
        return [
            PictureDecomposition.of(square, {name: array[k] for name, array in arrays.items()})
            for k, square in enumerate(squares)
        ]

    def check_decomposes(self) -> None:
        """Refuse a method that cannot decompose.

        Raises:
            DenfError: names the method's capabilities.
        """
        able = self.method.capabilities
        if Capability.INSPECT not in able:
            raise DenfError(
                type(self.method).__name__,
                expected=f"a method that can {Capability.INSPECT}",
                got=", ".join(sorted(able)) or "no capability",
                fix="Choose a run of DeNF.",
            )

    def sample(self, count: int, seed: int = 0) -> Array:
        """Scenes from the prior, uint8 (count, S, S, 3).

        Args:
            count: number of scenes, 1 or more.
            seed: of every random draw, 0 or more.

        Raises:
            DenfError: when the run's method cannot sample, or an argument is not a number as above.
        """
        from denf.harness.generate import generate

        numbers = {"count": (count, 1, MOST_SAMPLES), "seed": (seed, 0, MOST_SEED)}
        for name, (value, least, most) in numbers.items():
            whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
            if not whole or not least <= value <= most:
                raise DenfError(
                    f"sample, {name}",
                    expected=f"a whole number from {least} to {most}",
                    got=repr(value),
                    fix="Choose another.",
                )
        return generate(self.method, count, source=None, seed=seed)[0]


def load(run: str | os.PathLike[str], device: torch.device | str | None = None) -> TrainedRun:
    """Load a run folder, such as `results/reference/denf-clevr6`.

    Args:
        run: a folder with `experiment.yaml` and `model.safetensors`.
        device: such as "cpu" or "cuda"; default: a GPU where there is one, else the CPU.

    Raises:
        DenfError: when files are missing, damaged, or do not belong together, and for a device that
            this machine does not have.
    """
    with reading("run folder", expected="a path", fix="Pass the run folder's path."):
        folder = Path(run)
    chosen = best_device() if device is None else device
    with reading(
        f"device {device!r}", expected="one that can be used", fix='Choose "cpu", or leave it out.'
    ):
        torch.zeros(1, device=chosen).cpu()
    return TrainedRun(folder, *load_run(folder, chosen))


def in_chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """`items` in lists of at most `size`."""
    remaining = iter(items)
    while chunk := list(islice(remaining, size)):
        yield chunk
