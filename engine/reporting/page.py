"""An HTML page with its figures: each drawn once, inline in the page, and for print beside it."""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

from attrs import frozen
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import Normal
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from pinn.core.files import cannot_write, write_atomically
from pinn.engine.reporting.theme import (
    WIDTH,
    inline,
    shown,
    stylesheet,
    theme,
    write_powers_as_text,
)
from pinn.engine.reporting.thinning import thin

DPI = 300
INLINE_DPI = 200


@frozen
class DrawnFigure:
    """A figure as it stands in the page."""

    name: str
    title: str
    caption: str
    svg: Markup


class FigureFolder:
    """Draws the figures of a page and keeps each as PDF and PNG in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._taken: set[str] = set()

    def add(
        self, name: str, title: str, caption: str, height: float, draw: Callable[[Figure], None]
    ) -> DrawnFigure:
        drawn = picture(title, height, draw)
        name = self._unique(re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-") or "figure")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(self.folder, error) from error
        write_atomically(self.folder / f"{name}.pdf", drawn.pdf)
        write_atomically(self.folder / f"{name}.png", drawn.png)
        return DrawnFigure(name, title, caption, Markup(inline(drawn.svg, name, escape(title))))

    def _unique(self, name: str) -> str:
        unique, count = name, 1
        while unique.lower() in self._taken:
            count += 1
            unique = f"{name}-{count}"
        self._taken.add(unique.lower())
        return unique


def write_page(path: Path, template: str, **values: Any) -> None:
    """Fill a template of `templates/` into one file that needs no other."""
    environment = Environment(
        loader=PackageLoader(__package__, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["shown"] = shown
    text = environment.get_template(template).render(colours=Markup(stylesheet()), **values)
    write_atomically(path, text.encode("utf-8", "backslashreplace"))


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
        for line in figure.findobj(Line2D):
            thin(line)
        write_powers_as_text(figure)
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
