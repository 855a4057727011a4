"""Values that depend on the training step: priors, temperatures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge
from pydantic import ConfigDict


@dataclass(frozen=True)
class Ramp:
    """Linear between two steps, constant before and after; a settings file gives all four values.

    Args:
        start: value up to step `first`.
        end: value from step `last` on.
        first: 0-based step.
        last: 0-based step; if at most `first`, the value jumps after `first`.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    start: float
    end: float
    first: Annotated[int, Ge(0)]
    last: Annotated[int, Ge(0)]

    def at(self, index: int) -> float:
        """The value at a 0-based step."""
        if index <= self.first:
            return self.start
        if index >= self.last:
            return self.end
        return self.start + (self.end - self.start) * (index - self.first) / (
            self.last - self.first
        )
