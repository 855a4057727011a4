"""Decomposing many pictures and clips in batches, continuing after those that fail."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from denf.errors import DenfError
from denf.files import check_writable
from denf.pictures.clip import read_frames, write_clip
from denf.pictures.conversion import read_picture
from denf.pictures.files import write_decomposition
from denf.pictures.result import Square
from denf.pictures.run import BATCH, TrainedRun, in_chunks
from denf.pictures.sources import Source, is_clip


def decompose_sources(
    run: TrainedRun, sources: Sequence[Source], out: Path
) -> tuple[list[dict[str, Any]], list[DenfError]]:
    """Decompose pictures and clips and write the results, each into a folder of its own.

    Args:
        run: a run that can decompose.
        sources: see `denf.pictures.sources.find_sources`.
        out: folder of all results; created when missing.

    Returns:
        the entries of `write_decomposition` and `write_clip`, in the order of the sources, and
        the errors of those that could not be decomposed.

    Raises:
        DenfError: when the run cannot decompose or a folder cannot be written, before anything is.
    """
    run.check_decomposes()
    for source in sources:
        check_writable(out / source.folder, folder=True)
    entries: dict[Source, dict[str, Any]] = {}
    errors: list[DenfError] = []
    clips = [source for source in sources if is_clip(source)]
    pictures = (source for source in sources if source not in set(clips))
    for batch in in_chunks(_squares(pictures, run.size, errors), BATCH):
        results = run.decompose_squares([square for _, square in batch])
        for (source, _), result in zip(batch, results, strict=True):
            try:
                entries[source] = write_decomposition(result, out / source.folder, source.path)
            except DenfError as error:
                errors.append(error)
    for source in clips:
        try:
            entries[source] = _decompose_clip(run, source, out / source.folder)
        except DenfError as error:
            errors.append(error)
    return [entries[source] for source in sources if source in entries], errors


def _squares(
    sources: Iterable[Source], size: int, errors: list[DenfError]
) -> Iterator[tuple[Source, Square]]:
    """The squares of the pictures that can be read; the errors of the others go to `errors`."""
    for source in sources:
        try:
            yield source, Square.of(read_picture(source.path), size)
        except DenfError as error:
            errors.append(error)


def _decompose_clip(run: TrainedRun, source: Source, folder: Path) -> dict[str, Any]:
    results, durations = [], []
    for batch in in_chunks(read_frames(source), BATCH):
        results += run.decompose_squares([Square.of(frame, run.size) for frame, _ in batch])
        durations += [duration for _, duration in batch]
    return write_clip(results, durations, folder, source)
