"""What every analysis returns, and how numbers are put into words.

A result is frozen: tidy tables, the options that made them, and the sentences that they allow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pkgutil import resolve_name
from typing import Any, NamedTuple

import numpy as np

from trajlab.analysis.interface.options import Options
from trajlab.lazy import pd

FEWEST_RUNS = 3  # runs a side, below which nothing but a description is given
TOLD_SINGLY = 6  # tasks, or pairs of them, that get sentences of their own

Row = Mapping[str, Any]
Statement = tuple[str, dict[str, Any]]  # a sentence, and the numbers that it stands on


class Sentence(NamedTuple):
    """One sentence of the verdict.

    Attributes
    ----------
    about
        The row of a table that it is about, or one row of the group that it is about.
    task
        The task; empty where the sentence is of a whole group.
    statement
        The sentence and the numbers that it stands on.
    """

    about: Row
    task: str
    statement: Statement


@dataclass(frozen=True, kw_only=True)
class Result:
    """Base of the results: its DataFrame fields are the tables, in order of declaration.

    Attributes
    ----------
    options
        The options the analysis ran with, resolved.
    """

    options: Options

    @property
    def settings(self) -> dict[str, Any]:
        """The options in plain types: written next to every number the analysis gives."""
        return self.options.settings

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return the tables by name, the way ``--json`` prints them."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, pd.DataFrame)}

    def show(self) -> None:
        """Display the interactive figures in a notebook; see :mod:`trajlab.report.notebook`."""
        _notebook("show")(self)

    def _repr_html_(self) -> str:
        """Return what a notebook shows of the result: its figure and its main table."""
        text: str = _notebook("html")(self)
        return text

    def sentences(self, margin: float | None = None, /) -> Iterator[Sentence]:
        """Yield the sentences that the tables allow; none, unless an analysis says otherwise.

        Parameters
        ----------
        margin
            The largest difference that does not matter, in units of the metric.
        """
        del margin
        yield from ()


def _notebook(name: str) -> Callable[[Result], Any]:
    """Return a function of the report, which stands above: it is looked up when it is needed."""
    function: Callable[[Result], Any] = resolve_name(f"trajlab.report.notebook:{name}")
    return function


@dataclass(frozen=True)
class Family:
    """One analysis as a diagnosis knows it.

    Attributes
    ----------
    analyse
        The analysis: a function of runs and keyword options.
    requires
        Takes the groups of runs and the options of the diagnosis, and returns why the analysis does
        not apply to them; empty text where it does.
    settings
        Takes the groups of runs, and returns options of the analysis that a diagnosis sets itself.
        All others that the two have in common are passed on.
    """

    analyse: Callable[..., Result]
    requires: Callable[[Sequence[Any], Any], str]
    settings: Callable[[Sequence[Any]], Mapping[str, Any]] = lambda groups: {}


def estimate(row: Row, name: str, low: str = "low", high: str = "high") -> str:
    """Write a number with its interval, ``+1.2 [+0.8, +1.6]``."""
    interval = "" if np.isnan(row[low]) else f" [{row[low]:+.3g}, {row[high]:+.3g}]"
    return f"{row[name]:+.3g}{interval}"


def term(row: Row, name: str) -> str:
    """Write a number whose interval is named after it."""
    return estimate(row, name, f"{name}_low", f"{name}_high")


def term_numbers(row: Row, name: str) -> dict[str, Any]:
    """Return the numbers that :func:`term` stands on."""
    return {key: row[key] for key in (name, f"{name}_low", f"{name}_high", f"{name}_p_adjusted")}


def span(rows: Sequence[Row], name: str, label: str = "task") -> tuple[str, dict[str, Any]]:
    """Write the range of a number over rows, with the rows that have its ends."""
    ends = min(rows, key=lambda row: row[name]), max(rows, key=lambda row: row[name])
    first, last = (f"{row[name]:+.3g} ({row[label]})" for row in ends)
    return f"from {first} to {last}", {"lowest": ends[0][name], "highest": ends[1][name]}
