"""A figure of column width, drawn once and saved as SVG, PDF and PNG."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable
from typing import Any

from attrs import frozen
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from pinn.engine.reporting.theme import WIDTH, theme

DPI = 300
INLINE_DPI = 200


@frozen
class Picture:
    """A figure in three formats; the SVG without its title."""

    svg: str
    pdf: bytes
    png: bytes


def picture(title: str, height: float, draw: Callable[[Figure], None]) -> Picture:
    """What `draw` draws on a figure of column width, which it may make higher."""
    with theme():
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        draw(figure)
        figure.set_figwidth(WIDTH)
        for mesh in figure.findobj(QuadMesh):
            mesh.set_rasterized(True)
        figure.draw_without_rendering()
        figure.set_layout_engine(None)  # laid out once, for all three files
        for legend in figure.legends:  # where they are, also once the title widens the page
            legend.set_bbox_to_anchor(Bbox.unit(), figure.transFigure)
        svg = _saved(figure, "svg", metadata={"Date": None}, transparent=True, dpi=INLINE_DPI)
        whole = _with_title(figure, title)
        quick = {"compress_level": 3}
        png = _saved(figure, "png", bbox_inches=whole, dpi=DPI, pil_kwargs=quick)
        for text in figure.findobj(Text):  # outlines: to embed fonts takes longer than all the rest
            text.set_path_effects([Normal()])
        pdf = _saved(figure, "pdf", metadata={"CreationDate": None}, bbox_inches=whole, dpi=DPI)
    return Picture(svg.decode(), pdf, png)


def _saved(figure: Figure, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, **options)
    return buffer.getvalue()


def _with_title(figure: Figure, title: str) -> Bbox:
    """Write the title above the figure; returns the figure with it, in inches."""
    text = figure.text(0.01, 1.0, "", weight="bold", va="bottom")
    for columns in range(60, 20, -2):
        text.set_text(textwrap.fill(title, columns))
        extent = text.get_window_extent()
        if extent.width < 0.98 * figure.bbox.width:
            break
    margin = 0.04
    text.set_y(1 + margin / figure.get_figheight())
    above = extent.height / figure.dpi + 2 * margin
    return Bbox.from_extents(0, 0, WIDTH, figure.get_figheight() + above)
