"""The base of all settings: frozen, strict about keys, each field explained under it.

Free of torch, so that configurations are checked in milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Self

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel, ConfigDict, TypeAdapter

MOST_SEED = 2**32 - 1  # the largest that all generators of torch, NumPy and scikit-learn take
Positive = Annotated[float, Gt(0)]
NonNegative = Annotated[float, Ge(0)]
Fraction = Annotated[float, Ge(0), Le(1)]
Count = Annotated[int, Ge(1)]
Steps = Annotated[int, Ge(0)]
Seed = Annotated[int, Ge(0), Le(MOST_SEED)]


class Settings(BaseModel):
    """Named values with defaults, or a section of them.

    The sentence under a field is its description, which the tables of config/README.md show.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    def changed(self, **values: Any) -> Self:
        """A copy with other values, validated as the first ones were.

        Raises:
            pydantic.ValidationError: for an unknown name or a value out of range.
        """
        before = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self).model_validate({**before, **values})


class MethodSettings(Settings):
    """Settings of a method: those that its paper or its authors' code names, with their values."""


class AidSettings(Settings):
    """Settings of what a small budget needs and a method's paper does not have.

    Every default is "off": with all defaults the aided method is the published one.
    """


class NoSettings(MethodSettings):
    """Settings of a method that has none."""


def as_plain(settings: Any) -> dict[str, Any]:
    """Settings as JSON types, complete with defaults."""
    return TypeAdapter(type(settings)).dump_python(settings, mode="json")


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested mappings as pairs of a dotted key and a value."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
