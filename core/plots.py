"""What an analyzer shows: curves over the steps, drawings of its own, conclusions.

Declared here, drawn by `engine/reporting/`; matplotlib is not needed to declare.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@frozen(kw_only=True)
class Curves:
    """Recorded quantities over the steps; runs are compared by their first.

    Attributes:
        name: of the figure's files: letters, digits and hyphens.
        title: says what is seen.
        quantities: {recorded quantity: label}, numbers only. Those that were not recorded are left out.
        ylabel: what the axis measures, with its unit if it has one.
        caption: how to read it: the formula, the source.
        log: whether the vertical axis is logarithmic; steps always are.
        limits: of the vertical axis, where the quantity has bounds.
        noisy: draw measurements as faint dots under a running median.
        ordered: the quantities have an order, such as the layers: colours follow it.
    """

    name: str
    title: str
    quantities: Mapping[str, str]
    ylabel: str
    caption: str = ""
    log: bool = True
    limits: tuple[float, float] | None = None
    noisy: bool = False
    ordered: bool = False


@frozen(kw_only=True)
class Drawing:
    """A figure of the analyzer's own, on a matplotlib figure one journal column wide.

    Attributes:
        draw: draws on the figure that it is given; its width is fixed, its height is `height`.
        height: inches.
        over_steps: its axes run over the steps: logarithmic, ticked and shaded as those of `Curves`.
    """

    name: str
    title: str
    draw: Callable[[Figure], None]
    caption: str = ""
    height: float = 2.6
    over_steps: bool = False


@frozen
class Span:
    """A stretch of the training that figures shade: steps `begin` to `end`."""

    label: str
    begin: int
    end: int


@frozen
class Conclusion:
    """What a person should conclude, in a sentence with its numbers, and the source of the rule.

    `advice` is what to try next; empty where all is well.
    """

    finding: str
    advice: str = ""
    source: str = ""


Plot = Curves | Drawing

SEQUENTIAL = (
    "#440154", "#481a6c", "#472f7d", "#404588", "#38588c", "#306a8e",
    "#297a8e", "#228b8d", "#1e9b8a", "#25ac82", "#3bbb75", "#5ec962",
)  # fmt: skip
"""Twelve colours from the dark three quarters of viridis: as many as are told apart."""


def ordered_colour(place: int, count: int) -> str:
    """The colour of the `place`-th of `count` curves that have an order, such as layers."""
    return SEQUENTIAL[round(place * (len(SEQUENTIAL) - 1) / max(count - 1, 1))]
