"""An HTML page with its figures: inline in the page, and for print as files beside it."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pinn.engine.reporting.drawing import picture
from pinn.engine.reporting.theme import inline, stylesheet
from pinn.engine.reporting.ticks import shown
from pinn.engine.training.checkpoint import cannot_write, write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@frozen
class Exhibit:
    """A figure as it stands in the page."""

    name: str
    title: str
    caption: str
    svg: Markup


class Gallery:
    """Draws the figures of a page and keeps each as PDF and PNG in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._taken: set[str] = set()

    def add(
        self, name: str, title: str, caption: str, height: float, draw: Callable[[Figure], None]
    ) -> Exhibit:
        drawn = picture(title, height, draw)
        name = self._unique(re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-") or "figure")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(self.folder, error) from error
        write_atomically(self.folder / f"{name}.pdf", drawn.pdf)
        write_atomically(self.folder / f"{name}.png", drawn.png)
        return Exhibit(name, title, caption, Markup(inline(drawn.svg, name, escape(title))))

    def _unique(self, name: str) -> str:
        unique, count = name, 1
        while unique.lower() in self._taken:
            count += 1
            unique = f"{name}-{count}"
        self._taken.add(unique.lower())
        return unique


def write_page(path: Path, template: str, **values: Any) -> None:
    """Fill a template of `core/templates` into one file that needs no other."""
    environment = Environment(
        loader=PackageLoader("pinn.engine.reporting", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["shown"] = shown
    text = environment.get_template(template).render(colours=Markup(stylesheet()), **values)
    write_atomically(path, text.encode())
