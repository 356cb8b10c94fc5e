"""What every analysis returns.

A result is frozen: tidy tables, the options that made them, and the sentences that they allow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pkgutil import resolve_name
from typing import Any

from trajlab.analysis.interface.options import Options
from trajlab.analysis.interface.sentence import Sentence
from trajlab.lazy import pd


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
