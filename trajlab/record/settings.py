"""Numbers that a recorder and its probes are given, as they are checked where they are given."""

from collections.abc import Callable, Iterable
from math import isfinite
from numbers import Integral, Real
from typing import Any, TypeVar

from trajlab.errors import TrajlabError

Number = TypeVar("Number", int, float)
_SEEDS = 2**32  # that NumPy's generator takes, too


def whole(what: str, value: Any, least: int = 0, below: float = float("inf")) -> int:
    """Return a whole number.

    Parameters
    ----------
    what : str
        Whose setting it is, and its name, such as ``Sharpness: iterations``.
    value : object
        What was given.
    least, below : number
        The smallest one allowed, and the smallest one above that is not.

    Raises
    ------
    TrajlabError
        If it is another thing, or out of range.
    """
    kind = isinstance(value, Integral) and not isinstance(value, bool)
    if not (kind and least <= value < below):
        to = f" to {below - 1}" if isfinite(below) else " on"
        raise TrajlabError(
            f"{what}={value!r} is out of range; give a whole number from {least}{to}"
        )
    return int(value)


def step(value: int | None) -> None:
    """Look at a step, if one is given.

    Raises
    ------
    TrajlabError
        If it is no whole number from 0 on.
    """
    if value is not None:
        whole("step", value)


def seed(what: str, value: Any) -> int:
    """Return the seed of a random stream, a whole number of 32 bits, or raise as `whole` does."""
    return whole(what, value, 0, _SEEDS)


def positive(what: str, value: Any) -> float:
    """Return a finite number above 0.

    Parameters
    ----------
    what, value
        As for `whole`.

    Raises
    ------
    TrajlabError
        If it is another thing.
    """
    kind = isinstance(value, Real) and not isinstance(value, bool)
    if not (kind and value > 0 and isfinite(value)):
        raise TrajlabError(f"{what}={value!r} is out of range; give a finite number above 0")
    return float(value)


def listed(what: str, values: object, each: Callable[[str, Any], Number]) -> tuple[Number, ...]:
    """Return numbers that are given as a list.

    Parameters
    ----------
    what : str
        As for `whole`.
    values : object
        What was given.
    each : callable
        Checks a number, as `whole` and `positive` do.

    Raises
    ------
    TrajlabError
        If it is no list of distinct numbers, or one is out of range.
    """
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise TrajlabError(f"{what}={values!r} is no list; give a list of numbers")
    numbers = tuple(each(what, value) for value in values)
    if not numbers or len(set(numbers)) < len(numbers):
        raise TrajlabError(f"{what}={values!r} is empty or has a number twice; give distinct ones")
    return numbers
