"""How figures and numbers look: journal-column width, 8 pt, colour-blind-safe, on light and on dark.

Figures are drawn once, in the light colours. In the report's SVG each of these becomes a CSS variable,
which the style sheet defines for light and for dark screens.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
import matplotlib.style
import numpy as np
from cycler import cycler
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, MaxNLocator

from pinn.core.plots import SEQUENTIAL

WIDTH = 3.4
"""Inches: a column of most journals."""


def _viridis(low: float, high: float) -> dict[str, str]:
    """The colours of curves that have an order, on a dark screen."""
    colours = matplotlib.colormaps["viridis"](np.linspace(low, high, len(SEQUENTIAL)))
    return {f"s{i}": to_hex(colour) for i, colour in enumerate(colours, 1)}


LIGHT = {
    "paper": "#fefefe",
    "ink": "#1c2024",
    "faint": "#d9dcdf",
    "shade1": "#f3f4f5",
    "shade2": "#e6e9ec",
    "c1": "#0072b2",  # after Okabe and Ito; contrast above 3, told apart by the colour-blind
    "c2": "#d55e00",
    "c3": "#00916a",
    "c4": "#b65a94",
    "c5": "#553900",
    "c6": "#9f40ff",
    **{f"s{i}": colour for i, colour in enumerate(SEQUENTIAL, 1)},
}
DARK = {
    "paper": "#15181c",
    "ink": "#e4e6e8",
    "faint": "#3a4046",
    "shade1": "#1d2126",
    "shade2": "#2a3037",
    "c1": "#4aa8ea",
    "c2": "#f58a3c",
    "c3": "#2fc496",
    "c4": "#e394c3",
    "c5": "#eaea3a",
    "c6": "#bf40ff",
    **_viridis(1.0, 0.3),
}
CYCLE = cycler(linestyle=["-", "--"]) * cycler(color=[LIGHT[f"c{i}"] for i in range(1, 7)])

RC: dict[str, Any] = {
    "text.parse_math": False,  # text is text: names of runs and quantities come from anywhere
    "font.family": "DejaVu Sans",
    "font.size": 8,
    **dict.fromkeys(["axes.titlesize", "axes.labelsize", "xtick.labelsize", "ytick.labelsize"], 8),
    **dict.fromkeys(["text.color", "axes.edgecolor", "axes.labelcolor"], LIGHT["ink"]),
    **dict.fromkeys(["xtick.color", "ytick.color"], LIGHT["ink"]),
    **dict.fromkeys(["axes.linewidth", "xtick.major.width", "ytick.major.width"], 0.6),
    **dict.fromkeys(["xtick.minor.width", "ytick.minor.width"], 0.4),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.prop_cycle": CYCLE,
    "axes.axisbelow": True,
    "grid.color": LIGHT["faint"],
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 3,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "legend.handlelength": 1.8,
    "legend.columnspacing": 1.2,
    "legend.borderpad": 0,
    "legend.borderaxespad": 0.2,
    "legend.labelspacing": 0.3,
    "svg.fonttype": "path",
    "svg.hashsalt": "pinn",
}


@contextmanager
def theme() -> Iterator[None]:
    """Draw and save in here; what the caller has set in matplotlib stays apart."""
    with matplotlib.style.context(["default", RC]):
        yield


def stylesheet() -> str:
    """The colours as CSS variables, light and dark."""
    light, dark = (";".join(f"--{k}:{v}" for k, v in c.items()) for c in (LIGHT, DARK))
    return (
        f":root{{color-scheme:light dark;{light}}}\n"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}"
    )


def inline(svg: str, prefix: str, label: str) -> str:
    """An SVG file as an element of an HTML page, its identifiers apart from those of others."""
    svg = re.sub(r"<(metadata|style)\b.*?</\1>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', svg))
    svg = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", svg)
    svg = re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{prefix}-", svg)
    variables = {colour: f"var(--{name})" for name, colour in LIGHT.items()}
    variables["#000000"] = variables[LIGHT["ink"]]
    svg = re.sub(r"#[0-9a-f]{6}\b", lambda found: variables.get(found[0], found[0]), svg)
    (box,) = re.findall(r'viewBox="[^"]*"', svg)[:1]
    return f'<svg {box} role="img" aria-label="{label}">' + svg[svg.index(">") + 1 :].strip()


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


class Powers(LogFormatter):
    """Labels of a logarithmic axis where matplotlib sets them, but as text: its own are formulas."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return number(x) if super().__call__(x, pos) else ""


def write_powers_as_text(figure: Figure) -> None:
    """Of the logarithmic axes whose labels nobody has chosen."""
    for axis in (each for axes in figure.axes for each in (axes.xaxis, axes.yaxis)):
        if isinstance(axis.get_major_formatter(), LogFormatter):
            axis.set_major_formatter(Powers())
        if isinstance(axis.get_minor_formatter(), LogFormatter):
            axis.set_minor_formatter(Powers())


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
