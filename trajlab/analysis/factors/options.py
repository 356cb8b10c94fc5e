"""Options of the factors."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from trajlab.analysis.options import ComparisonOptions
from trajlab.analysis.summary import Counts
from trajlab.errors import TrajlabError


@dataclass(frozen=True, kw_only=True)
class FactorOptions(ComparisonOptions):
    """Options of :func:`trajlab.analysis.factors`, which says what each means."""

    best: int | None
    last: int
    largest: int
    at: Sequence[float]
    interval: str = field(default="Welch t", init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if wrong := [loss for loss in self.at if not (np.isfinite(loss) and loss > 0)]:
            raise TrajlabError(f"a training loss to compare at must be positive, not {wrong[0]}")

    @property
    def counts(self) -> Counts:
        """How many checkpoints stand for a run."""
        return Counts(self.best, self.last, self.largest)
