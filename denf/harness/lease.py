"""GPU lease: a limited number of trainings per GPU, over all processes of a user on a machine."""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from denf.errors import DenfError
from denf.locks import holder, try_lock

_POLL_SECONDS = 1.0
_VISIBLE = "CUDA_VISIBLE_DEVICES"


def count_gpus() -> int:
    """Number of GPUs by their device files: without CUDA, since a lease must precede its use."""
    return len([d for d in Path("/dev").glob("nvidia*") if d.name[6:].isdigit()])


@contextmanager
def gpu_lease(
    gpus: int | None = None, folder: Path | None = None, *, share: int = 1
) -> Iterator[str | None]:
    """Hold a place on one GPU and point CUDA_VISIBLE_DEVICES at it; waits while all are taken.

    Snakemake counts GPUs but assigns none, so parallel jobs would all take the first. Each place
    has a lock file; the kernel frees the lock when the process ends, however it ends. Must be
    entered before CUDA is initialised.

    Small trainings leave most of a GPU idle: with `share`, a GPU has that many places, and empty
    GPUs are taken first. All processes should pass the same number, because a process with
    `share` 1 waits only for the first place of a GPU.

    Where the variable is set already, the GPU is one of those that it lists. A list of one GPU is
    a choice made elsewhere (by a cluster's scheduler or the user): the GPU is used at once, with a
    warning when another training holds it. Does nothing without a GPU.

    Args:
        gpus: number of GPUs; counted from the device files when None.
        folder: of the lock files; `lease_folder` when None.
        share: places per GPU, at least 1.

    Yields:
        the GPU as CUDA_VISIBLE_DEVICES names it, or None.

    Raises:
        DenfError: when the folder of the lock files is not this user's own.
    """
    before = os.environ.get(_VISIBLE)
    listed = [str(gpu) for gpu in range(count_gpus() if gpus is None else gpus)]
    if before is not None and listed:
        listed = _listed(before)
    if not listed:
        yield None
        return
    folder = _private(folder or lease_folder())
    choice = before is not None and len(listed) == 1
    lock, gpu = _acquire(folder, listed, share, choice=choice)
    os.environ[_VISIBLE] = gpu
    try:
        yield gpu
    finally:
        if before is None:
            os.environ.pop(_VISIBLE, None)
        else:
            os.environ[_VISIBLE] = before
        if lock is not None:
            os.close(lock)


def lease_folder() -> Path:
    """The folder of this user's leases.

    It does not follow TMPDIR, which may differ between processes that share a GPU. A job of Slurm
    has a folder of its own, since Slurm counts the GPUs of each job from 0.
    """
    job = os.environ.get("SLURM_JOB_ID", "")
    suffix = f"-slurm-{job}" if job.isalnum() else ""
    return Path(f"/tmp/denf-gpu-leases-{os.getuid()}{suffix}")


def _listed(variable: str) -> list[str]:
    """GPUs that CUDA uses from a list: those before the first invalid entry."""
    gpus: list[str] = []
    for entry in variable.split(","):
        name = entry.strip()
        if not (name.isdecimal() or name.startswith(("GPU-", "MIG-"))):
            break
        gpus.append(name)
    return list(dict.fromkeys(gpus))


def _private(folder: Path) -> Path:
    """The folder, created when missing, and refused when another user could write to it."""
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700, parents=True)
    found = folder.lstat()
    open_to_others = stat.S_IMODE(found.st_mode) & 0o022
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or open_to_others:
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "no folder, or a link"
        raise DenfError(
            f"folder of GPU leases {folder}",
            expected=f"a folder of user {os.getuid()} that no one else can write",
            got=f"{kind} of user {found.st_uid}, mode {stat.S_IMODE(found.st_mode):04o}",
            fix=f"Remove it, or set {_VISIBLE} to one GPU.",
        )
    return folder


def _acquire(
    folder: Path, gpus: Sequence[str], share: int, *, choice: bool
) -> tuple[int | None, str]:
    # The first places of all GPUs come before their second places.
    places = {_lock_file(folder, gpu, k): gpu for k in range(share) for gpu in gpus}
    told = False
    while True:
        for file, gpu in places.items():
            lock = try_lock(file)
            if lock is not None:
                return lock, gpu
        holders = "; ".join(map(holder, places))
        if choice:
            print(f"denf: GPU {gpus[0]} is shared with {holders}", file=sys.stderr)
            return None, gpus[0]
        if not told:
            print(f"denf: waiting for a GPU: {holders}", file=sys.stderr)
            told = True
        time.sleep(_POLL_SECONDS)


def _lock_file(folder: Path, gpu: str, place: int) -> Path:
    suffix = f"-{place}" if place else ""
    return folder / f"gpu{gpu.replace('/', '-')}{suffix}.lock"
