"""How figures look: journal-column width, 8 pt, colour-blind-safe, on light and on dark.

Figures are drawn once, in the light colours. In the report's SVG each of these becomes a CSS variable,
which the style sheet defines for light and for dark screens.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
import matplotlib.style
import numpy as np
from cycler import cycler
from matplotlib.colors import to_hex

WIDTH = 3.4
"""Inches: a column of most journals."""
LEVELS = 12
"""Sequential colours that are told apart."""


def _sequence(low: float, high: float) -> dict[str, str]:
    colours = matplotlib.colormaps["viridis"](np.linspace(low, high, LEVELS))
    return {f"s{i + 1}": to_hex(colour) for i, colour in enumerate(colours)}


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
    **_sequence(0.0, 0.75),
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
    **_sequence(1.0, 0.3),
}
CYCLE = cycler(linestyle=["-", "--"]) * cycler(color=[LIGHT[f"c{i}"] for i in range(1, 7)])

RC: dict[str, Any] = {
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


def sequential(place: int, count: int) -> str:
    """The colour of the `place`-th of `count` ordered curves."""
    return LIGHT[f"s{1 + round(place * (LEVELS - 1) / max(count - 1, 1))}"]


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
