"""The one error type that users see: what, expected, got, fix."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class DenfError(Exception):
    """A mistake that the user can correct; its text is the whole message.

    The command line prints it without a traceback and exits with status 2.

    Args:
        what: what is wrong, named (a file, a key, an argument).
        expected: what would have been right.
        got: what was found instead.
        fix: what to do about it.
    """

    def __init__(self, what: str, *, expected: object, got: object, fix: str) -> None:
        super().__init__(f"{what}: expected {expected}, got {got}. {fix}")
        self.what, self.expected, self.got, self.fix = what, expected, got, fix


@contextmanager
def within(where: str) -> Iterator[None]:
    """Name a place, such as a key of a file, before the errors of the block."""
    try:
        yield
    except DenfError as error:
        raise DenfError(
            f"{where}: {error.what}", expected=error.expected, got=error.got, fix=error.fix
        ) from error


class DivergenceError(RuntimeError):
    """A loss was NaN or infinite; the last good state and its weights are kept. Exit status 3."""


class InterruptionError(RuntimeError):
    """The process was asked to stop; its state was saved. Exit status 130."""
