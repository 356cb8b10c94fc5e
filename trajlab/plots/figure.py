"""What makes a figure of a function that draws: where it draws, and what it returns."""

from collections.abc import Callable
from functools import wraps
from inspect import cleandoc
from typing import Any, Protocol, TypeVar

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

R_contra = TypeVar("R_contra", contravariant=True)

# Told of every figure once, here, and put into the docstring of each.
_INTERFACE = """

Parameters
----------
result
    What the analysis of this name in :mod:`trajlab.analysis` returned.
ax
    Axes to draw in; those of a new figure by default.

Returns
-------
Axes
    The axes that were drawn in."""


class Figure(Protocol[R_contra]):
    """A function that draws the result of one analysis."""

    def __call__(self, result: R_contra, ax: Axes | None = None) -> Axes:
        """Draw a result into axes, by default those of a new figure, and return them."""


FIGURES: dict[str, Figure[Any]] = {}  # all that were made, by name


def figure(draw: Callable[[R_contra, Axes], None]) -> Figure[R_contra]:
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
    def drawn(result: R_contra, ax: Axes | None = None) -> Axes:
        ax = ax if ax is not None else plt.subplots(layout="constrained")[1]
        draw(result, ax)
        return ax

    del drawn.__wrapped__  # its signature is not the one that users call
    said, mark, references = cleandoc(draw.__doc__ or "").partition("\n\nReferences\n")
    drawn.__doc__ = said + _INTERFACE + mark + references
    drawn.__annotations__ = {**draw.__annotations__, "ax": Axes | None, "return": Axes}
    FIGURES[draw.__name__] = drawn
    return drawn
