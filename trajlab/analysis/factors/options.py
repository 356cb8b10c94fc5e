"""Options of the factors."""

from dataclasses import dataclass, field

from trajlab.analysis.interface.options import ComparisonOptions
from trajlab.analysis.summary import Counts


@dataclass(frozen=True, kw_only=True)
class FactorOptions(ComparisonOptions):
    """Options of :func:`trajlab.analysis.factors`, which says what each means."""

    best: int | None
    last: int
    largest: int
    interval: str = field(default="Welch t", init=False)

    @property
    def counts(self) -> Counts:
        """How many checkpoints stand for a run."""
        return Counts(self.best, self.last, self.largest)
