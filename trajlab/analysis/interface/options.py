"""Typed options of the analyses: what several of them share is declared and checked here, once.

The defaults stand in the signatures of the analyses alone, where users and the command line read
them: ``GapOptions(**gap.__kwdefaults__)`` are those of :func:`trajlab.analysis.gap`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np

from trajlab.analysis.interface.axis import Axis
from trajlab.analysis.interface.tables import FREE_KEYS, group_columns
from trajlab.errors import TrajlabError

BASELINE: Mapping[str, str] = MappingProxyType({"method": "single"})
Rule = Literal["isotonic", "first_passage", "bins"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of every analysis.

    Attributes
    ----------
    group_by
        Metadata keys that tell groups of runs apart, next to setting, condition and method.

    Raises
    ------
    TrajlabError
        If an option with a fixed set of choices has another value.
    """

    group_by: Sequence[str]

    def __post_init__(self) -> None:
        for name, kind in get_type_hints(type(self)).items():
            value, choices = getattr(self, name), get_args(kind)
            if get_origin(kind) is Literal and value not in choices:
                raise TrajlabError(f"{name} {value!r} is unknown; use one of {', '.join(choices)}")

    @property
    def keys(self) -> list[str]:
        """The columns that name a group."""
        return group_columns(self.group_by)

    @property
    def settings(self) -> dict[str, Any]:
        """The options in plain types, to be written next to every number they made."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}


@dataclass(frozen=True, kw_only=True)
class IntervalOptions(Options):
    """Options of an analysis that gives intervals.

    Attributes
    ----------
    confidence
        Coverage of the intervals; its complement is the level of the tests.

    Raises
    ------
    TrajlabError
        If `confidence` is not strictly between 0 and 1.
    """

    confidence: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.confidence < 1:
            raise TrajlabError(f"confidence must lie between 0 and 1, not at {self.confidence}")


@dataclass(frozen=True, kw_only=True)
class ScoreOptions(IntervalOptions):
    """Options of an analysis that reads a metric.

    Attributes
    ----------
    metric
        The metric; None for all that were recorded on `split`.
    split, selection_split
        Where the metric is read, and where checkpoints are chosen.
    """

    metric: str | None
    split: str
    selection_split: str


@dataclass(frozen=True, kw_only=True)
class TableOptions(ScoreOptions):
    """Options of an analysis that takes a user's own table in the place of runs.

    Attributes
    ----------
    table
        Name of the table; None of runs.
    """

    table: str | None


@dataclass(frozen=True, kw_only=True)
class ComparisonOptions(ScoreOptions):
    """Options of an analysis that compares groups of runs with a baseline.

    Attributes
    ----------
    baseline, against
        Keys and values that select the baseline, and that narrow what is compared with it. Keys
        beside setting, condition and method are added to `group_by`.
    rule
        How a score is read at a training loss.
    x, loss
        What is equal where groups are compared: as in `trajlab.analysis.interface.axis.Axis`.
    at
        Values of it to compare at.

    Raises
    ------
    TrajlabError
        If the loss is unknown, a value of `at` not positive, or a baseline named by its seed.
    """

    baseline: Mapping[str, str]
    against: Mapping[str, str] | None
    rule: Rule
    x: str
    loss: str
    at: Sequence[float]

    def __post_init__(self) -> None:
        super().__post_init__()
        named = {**self.baseline, **(self.against or {})}
        if repeated := [key for key in FREE_KEYS if key in named]:
            raise TrajlabError(
                f"{repeated[0]} tells repetitions of a training apart, not trainings: name what is "
                "compared by another key, such as method"
            )
        added = [key for key in named if key not in self.keys]
        object.__setattr__(self, "group_by", (*self.group_by, *added))
        if wrong := [value for value in self.at if not (np.isfinite(value) and value > 0)]:
            raise TrajlabError(
                f"the {self.axis.name} to compare at must be positive, not {wrong[0]}"
            )

    @property
    def axis(self) -> Axis:
        """What is equal where groups are compared."""
        return Axis(self.x, self.loss)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
