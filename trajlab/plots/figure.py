"""What makes a figure of a function that draws: where it draws, and what it returns."""

from collections.abc import Callable
from functools import wraps
from inspect import cleandoc
from typing import Any, Protocol, TypeVar

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from trajlab.plots.style import Places

R_contra = TypeVar("R_contra", contravariant=True)

# Told of every figure once, here, and put into the docstring of each.
_INTERFACE = """

Parameters
----------
result
    What the analysis of this name in :mod:`trajlab.analysis` returned.
ax
    Axes to draw in; those of a new figure by default.
places
    Place of each group in the palette, by its name, such as ``+noisy · uniform``: with the same
    places it has one colour in every figure. By default in the order of the names.

Returns
-------
Axes
    The axes that were drawn in."""


class Figure(Protocol[R_contra]):
    """A function that draws the result of one analysis."""

    def __call__(
        self, result: R_contra, ax: Axes | None = None, places: Places | None = None
    ) -> Axes:
        """Draw a result into axes, by default those of a new figure, and return them."""


FIGURES: dict[str, Figure[Any]] = {}  # all that were made, by name


def figure(draw: Callable[[R_contra, Axes, Places | None], None]) -> Figure[R_contra]:
    """Make a figure of a function that draws a result into axes.

    Parameters
    ----------
    draw
        Draws a result into axes. Its docstring says what is drawn, and gets the parameters that
        all figures have.

    Returns
    -------
    Figure
        The function that users call.
    """

    @wraps(draw)
    def drawn(result: R_contra, ax: Axes | None = None, places: Places | None = None) -> Axes:
        ax = ax if ax is not None else plt.subplots(layout="constrained")[1]
        draw(result, ax, places)
        return ax

    del drawn.__wrapped__  # its signature is not the one that users call
    said, mark, references = cleandoc(draw.__doc__ or "").partition("\n\nReferences\n")
    drawn.__doc__ = said + _INTERFACE + mark + references
    drawn.__annotations__ = {
        **draw.__annotations__,
        "ax": Axes | None,
        "places": Places | None,
        "return": Axes,
    }
    FIGURES[draw.__name__] = drawn
    return drawn
