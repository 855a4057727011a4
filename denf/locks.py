"""Locks between processes: files that the kernel locks, with a note of who holds them.

The kernel frees a lock when its process ends, however it ends. Links are never followed, and a
lock whose file was deleted is still found with the process that holds it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shlex
import socket
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from denf.errors import DenfError

_POLL_SECONDS = 0.2
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)  # file systems of some clusters
_DELETED = " (deleted)"  # how /proc marks the name of an open file that was removed


def try_lock(path: Path, *, kept: bool = True) -> int | None:
    """Lock a file, created when missing, and note in it which process holds it.

    Args:
        path: the file, in a folder that exists.
        kept: whether the file is kept after use; a missing file may then have been deleted while a
            process held its lock, and the function searches for such a process.

    Returns:
        a file descriptor, whose closing frees the lock; None when another process holds the lock.

    Raises:
        OSError: when the file is a link or cannot be opened.
    """
    while True:
        fresh, descriptor = _open(path)
        try:
            if not _flock(descriptor):
                os.close(descriptor)
                return None
            if not _is_at(descriptor, path):  # removed or replaced in between
                os.close(descriptor)
                continue
            if fresh and kept and _deleted_is_held(path):
                path.unlink()
                os.close(descriptor)
                return None
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(_myself()).encode(), 0)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor


@contextmanager
def locked(path: Path, what: str, *, wait: float = 0.0, remove: bool = False) -> Iterator[None]:
    """Hold a lock while the block runs.

    Args:
        path: the lock's file; its folder is created when missing.
        what: what the lock protects, for messages.
        wait: seconds to wait for another process.
        remove: remove the file at the end.

    Raises:
        DenfError: when another process holds the lock; names the process.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    until, told = time.monotonic() + wait, False
    while (descriptor := try_lock(path, kept=not remove)) is None:
        if time.monotonic() >= until:
            raise DenfError(
                what,
                expected="no other process that writes it",
                got=holder(path),
                fix="Wait for it, stop it, or choose another folder.",
            )
        if not told:
            print(f"denf: {what}: waiting for {holder(path)}", file=sys.stderr)
            told = True
        time.sleep(_POLL_SECONDS)
    try:
        yield
    finally:
        if remove:
            path.unlink(missing_ok=True)
        os.close(descriptor)


def holder(path: Path) -> str:
    """The process that holds a lock, for messages."""
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
        return f"process {note['pid']} on {note['host']} since {note['since']}: {note['command']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def _myself() -> dict[str, object]:
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    }


def _open(path: Path) -> tuple[bool, int]:
    """Whether the file had to be created, and its descriptor."""
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    while True:
        try:
            return True, os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:
            try:
                return False, os.open(path, flags)
            except FileNotFoundError:
                continue


def _flock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        warnings.warn("this file system has no locks: nothing is locked", stacklevel=2)
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        there = path.lstat()
    except FileNotFoundError:
        return False
    mine = os.fstat(descriptor)
    return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)


def _deleted_is_held(path: Path) -> bool:
    """Whether a process of this user still has an earlier, deleted file of this name open."""
    name = f"{path.parent.resolve() / path.name}{_DELETED}"
    for descriptors in Path("/proc").glob("[0-9]*/fd"):
        try:
            if descriptors.stat().st_uid != os.getuid():
                continue
            for descriptor in os.listdir(descriptors):
                with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                    if os.readlink(descriptors / descriptor) == name:
                        return True
        except OSError:  # it ended meanwhile
            continue
    return False
