"""Changes of an experiment on the command line: `key.subkey=value`, with the section named."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from denf.errors import DenfError
from denf.harness.experiment import Experiment, Training

SECTIONS = ("settings", "aids", "training")


def check_changes(changes: Sequence[str]) -> None:
    """Refuse a key that no experiment has, such as a setting without its section.

    Args:
        changes: `key.subkey=value`.

    Raises:
        DenfError: with the key that was probably meant.
    """
    known = list(Experiment.model_fields)
    for change in changes:
        key = change.partition("=")[0].strip()
        first, *inner = key.split(".")
        if first in SECTIONS or (first in known and not inner):
            continue
        if not inner and first in Training.model_fields:
            meant = f"training.{key}"
        else:
            near = [] if inner else get_close_matches(first, known, n=1)
            meant = near[0] if near else f"settings.{key}"
        sections = ", ".join(f"{section}.<key>" for section in SECTIONS)
        raise DenfError(
            f"--set {key}",
            expected=f"a key of an experiment: {', '.join(k for k in known if k not in SECTIONS)}, "
            f"{sections}",
            got=repr(first),
            fix=f"Did you mean {meant}?",
        )
