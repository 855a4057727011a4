"""Numbers for people: decimals that suit the quantity, a true minus sign, no negative zero."""

from __future__ import annotations

import numpy as np

MISSING = "—"


def decimal(value: float, places: int = 1, *, signed: bool = False) -> str:
    """A number with fixed decimals, as the paper prints scores."""
    return f"{value:{'+' if signed else ''}z.{places}f}".replace("-", "−")


def spread(mean: float, std: float | None) -> str:
    """Mean and, where there is one, standard deviation, with one decimal."""
    return decimal(mean) if std is None else f"{decimal(mean)} ± {decimal(std)}"


def significant(value: float | None, digits: int = 3) -> str:
    """A number with `digits` significant digits and without an exponent."""
    if value is None:
        return MISSING
    if abs(value) >= 10**digits:
        return f"{value:z,.0f}".replace("-", "−")
    if value == 0:
        return "0"
    text = np.format_float_positional(
        value, precision=digits, unique=False, fractional=False, trim="-"
    )
    return text.replace("-", "−")


def count(value: float | None) -> str:
    """A large number in thousands or millions."""
    if value is None:
        return MISSING
    for factor, unit in ((1e6, " M"), (1e3, " k")):
        if abs(value) >= factor:
            return significant(value / factor) + unit
    return significant(value)


def size(value: float | None) -> str:
    """Bytes in MB or GB (powers of ten)."""
    if value is None:
        return MISSING
    factor, unit = (1e9, "GB") if value >= 1e9 else (1e6, "MB")
    return f"{significant(value / factor)} {unit}"


def duration(value: float | None) -> str:
    """Seconds as s, min or h."""
    if value is None:
        return MISSING
    if value < 120:
        return f"{significant(value)} s"
    if value < 7200:
        return f"{significant(value / 60)} min"
    return f"{significant(value / 3600)} h"
