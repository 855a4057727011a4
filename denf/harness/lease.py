"""GPU lease: one training a card, among all processes of a machine."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

_POLL_SECONDS = 1.0


def count_cards() -> int:
    """Cards of this machine by their device files: without CUDA, which a lease must precede."""
    return len([d for d in Path("/dev").glob("nvidia*") if d.name[6:].isdigit()])


@contextmanager
def gpu_lease(cards: int | None = None, folder: Path | None = None) -> Iterator[int | None]:
    """Hold one card and point CUDA_VISIBLE_DEVICES at it; waits while all are taken.

    Snakemake counts GPUs but names none, so that parallel jobs would all take the first. Each card
    has a lock file; the kernel frees it when the process ends, however it ends. Must be entered
    before CUDA is initialised. Does nothing where the variable is set already (a cluster's
    scheduler, the user) or there is no card.

    Args:
        cards: number of cards; counted from the device files when None.
        folder: where the lock files lie; shared by all users' processes that shall cooperate.

    Yields:
        the card's number, or None.
    """
    if cards is None:
        cards = count_cards()
    if cards == 0 or "CUDA_VISIBLE_DEVICES" in os.environ:
        yield None
        return
    folder = folder or Path(tempfile.gettempdir()) / f"denf-gpu-leases-{os.getuid()}"
    folder.mkdir(parents=True, exist_ok=True)
    lock, card = _acquire(folder, cards)
    os.environ["CUDA_VISIBLE_DEVICES"] = str(card)
    try:
        yield card
    finally:
        os.environ.pop("CUDA_VISIBLE_DEVICES", None)
        lock.release()


def _acquire(folder: Path, cards: int) -> tuple[FileLock, int]:
    while True:
        for card in range(cards):
            lock = FileLock(folder / f"gpu{card}.lock")
            try:
                lock.acquire(blocking=False)
            except Timeout:
                continue
            return lock, card
        time.sleep(_POLL_SECONDS)
