"""Options of the conflict of task gradients."""

from dataclasses import dataclass

from trajlab.analysis.interface.options import IntervalOptions


@dataclass(frozen=True, kw_only=True)
class ConflictOptions(IntervalOptions):
    """Options of :func:`trajlab.analysis.conflict`, which says what each means."""

    layers: bool
