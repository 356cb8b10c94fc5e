"""Options of the fronts."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from trajlab.analysis.front.budget import Budget
from trajlab.analysis.front.pareto import FRONT_SAMPLES
from trajlab.analysis.interface.options import TableOptions


@dataclass(frozen=True, kw_only=True)
class FrontOptions(TableOptions):
    """Options of :func:`trajlab.analysis.front`, which says what each means.

    Attributes
    ----------
    objective
        ``max`` or ``min`` for each objective.
    budget
        What every run may have spent where it is read.
    """

    objective: Mapping[str, str]
    baseline: Mapping[str, str]
    fresh: Mapping[str, str] | None
    seed: int
    budget: Budget
    interval: str = field(
        default=f"bootstrap of seeds within configurations, {FRONT_SAMPLES} samples", init=False
    )
