"""What surrounds every command: errors as one line and an exit status, and an end with the parent.

Exit status: 0, 1 for a failure of the machine (a full disk, too little memory), 2 for a mistake the
user can correct, 3 for a training that diverged, 130 after an interruption, 143 after SIGTERM.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from denf.errors import DenfError, DivergenceError, InterruptionError
from denf.files import refusal
from denf.reading import reason

PARENT = "DENF_PARENT"  # host:pid of the process with which commands end
_POLL_SECONDS = 1.0


@contextmanager
def border() -> Iterator[None]:
    """Run a command: its errors become one line on standard error and an exit status.

    Errors of the program itself keep their traceback.
    """
    for stream in (sys.stdout, sys.stderr):  # file names may hold bytes that are not text
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    before = signal.signal(signal.SIGTERM, _exit)  # exit with clean-up of files and workers
    end_with_parent()
    try:
        yield
    except DenfError as error:
        _leave(2, str(error))
    except DivergenceError as error:
        _leave(3, str(error))
    except InterruptionError as error:
        _leave(130, str(error))
    except MemoryError as error:
        _leave(1, f"out of memory: {error}. Take smaller batches, images or counts.")
    except RuntimeError as error:
        if not _is_out_of_memory(error):
            raise
        _leave(1, f"out of memory: {reason(error)} Take smaller batches, images or counts.")
    except OSError as error:  # a full disk, a file without permission
        _leave(1, str(error) if error.filename is None else refusal(error, error.filename))
    finally:
        signal.signal(signal.SIGTERM, before)


def one_line(text: str) -> str:
    """Text without control characters, which a terminal would interpret; line breaks are kept."""
    return "".join(
        c if c == "\n" or unicodedata.category(c) != "Cc" else f"\\x{ord(c):02x}" for c in text
    )


def end_with_parent() -> None:
    """Ask this process to end (SIGTERM) soon after the process that `PARENT` names has ended.

    `kill -9` ends a workflow without notifying its jobs; a training that kept running would write
    to the same folder as its successor. Does nothing where the variable is unset, or names a
    process of another machine.
    """
    host, _, pid = os.environ.get(PARENT, "").rpartition(":")
    if host != socket.gethostname() or not (pid.isascii() and pid.isdecimal()):
        return
    started = _started(int(pid))

    def watch() -> None:
        while started and _started(int(pid)) == started:
            time.sleep(_POLL_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True, name="end with parent").start()


def _started(pid: int) -> str:
    """When a process started, in the kernel's ticks; "" when there is none."""
    try:
        line = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        if sys.platform == "linux":
            return ""
        try:
            os.kill(pid, 0)
        except OSError:
            return ""
        return "unknown"
    fields = line.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]  # a zombie has ended


def _exit(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _is_out_of_memory(error: RuntimeError) -> bool:
    # torch raises a class of its own on a GPU, and a plain RuntimeError on a CPU
    return type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error)


def _leave(status: int, text: str) -> None:
    print(f"denf: {one_line(text)}", file=sys.stderr)
    sys.exit(status)
