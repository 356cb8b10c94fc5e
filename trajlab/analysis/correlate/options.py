"""Options of the correlations."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from trajlab.analysis.interface.options import TableOptions
from trajlab.analysis.statistics.resampling import DRAWS
from trajlab.errors import TrajlabError

Interval = Literal["fisher", "bootstrap"]
Adjustment = Literal["holm", "bh"]
_INTERVALS = {"fisher": "Fisher z", "bootstrap": "BCa bootstrap over units"}


@dataclass(frozen=True, kw_only=True)
class CorrelateOptions(TableOptions):
    """Options of :func:`trajlab.analysis.correlate`, which says what each means.

    Attributes
    ----------
    unit
        What names a unit, as it was resolved.
    """

    x: str
    y: str
    unit: str
    within: str | None
    given: str | None
    axes: Sequence[str]
    interval: Interval
    adjustment: Adjustment
    margin: float | None
    test_size: int | None
    seed: int
    test: str = field(
        default=f"permutation over units: all up to {DRAWS}, else so many drawn", init=False
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.margin is not None and not 0 < self.margin < 1:
            raise TrajlabError(f"margin must lie between 0 and 1, not at {self.margin}")
        if self.given is not None and self.axes:
            raise TrajlabError("axes already hold each other fixed; leave out either axes or given")

    @property
    def settings(self) -> dict[str, Any]:
        """The options in plain types, with the interval's full name."""
        return {**super().settings, "interval": _INTERVALS[self.interval]}
