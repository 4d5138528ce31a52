"""Numbers as people write them, and the ticks of logarithmic axes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
MOST_DECADES = 7
MOST_WITH_MINOR = 5
FEWEST_TICKS = 3


def number(value: float, digits: int = 3) -> str:
    """1,500 or 0.0123 or 1.23·10⁻⁵."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    mantissa, _, power = f"{value:.{digits - 1}e}".partition("e")
    exponent = int(power)
    if -3 <= exponent <= 4:
        return _short(f"{value:,.{max(digits - 1 - exponent, 0)}f}")
    short = _short(mantissa)
    return power_of_ten(exponent) if short == "1" else f"{short}·{power_of_ten(exponent)}"


def power_of_ten(exponent: int) -> str:
    return f"10{str(exponent).translate(SUPERSCRIPTS)}"


def _short(text: str) -> str:
    return (text.rstrip("0").rstrip(".") if "." in text else text).replace("-", "−")


def shown(value: Any) -> str:
    """A recorded value: a number, a word, or a dash where there is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, list):
        return f"{len(value)} values"
    if isinstance(value, int):
        return f"{value:,}"
    return number(value) if isinstance(value, float) else str(value)


def log_ticks(low: float, high: float) -> tuple[list[float], list[float]]:
    """Major and minor ticks from `low` to `high`: decades; 1, 2, 5 where those are few; or round
    numbers where even those are."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    decades = _within([10.0**n for n in exponents], low, high)
    every = [m * 10.0**n for n in exponents for m in range(1, 10)]
    if len(decades) >= FEWEST_TICKS:
        stride = math.ceil(len(decades) / MOST_DECADES)
        major = [d for d in decades if round(math.log10(d)) % stride == 0]
        return major, _within(every, low, high) if len(decades) <= MOST_WITH_MINOR else decades
    few = _within([m * 10.0**n for n in exponents for m in (1, 2, 5)], low, high)
    if len(few) >= FEWEST_TICKS:
        return few, _within(every, low, high)
    return round_ticks(low, high), []


def round_ticks(low: float, high: float) -> list[float]:
    """Some four multiples of 1, 2, 2.5 or 5 times a power of ten, from `low` to `high`."""
    from matplotlib.ticker import MaxNLocator

    return _within(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high), low, high)


def _within(values: Iterable[float], low: float, high: float) -> list[float]:
    near = 1e-9  # that rounding leaves no tick out
    return [float(v) for v in values if low - near * abs(low) <= v <= high + near * abs(high)]


def tick_labels(values: Sequence[float]) -> list[str]:
    """All in the same style: plain numbers, or powers of ten where some are far from one."""
    decades = all(v > 0 and math.isclose(v, 10.0 ** round(math.log10(v))) for v in values)
    if decades and not all(1e-3 <= value < 1e5 for value in values):
        return [power_of_ten(round(math.log10(value))) for value in values]
    return [number(value, digits=9) for value in values]
