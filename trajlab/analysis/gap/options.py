"""Options of the gap."""

from dataclasses import dataclass
from typing import Literal

from trajlab.analysis.interface.options import ComparisonOptions

Interval = Literal["t", "2sd", "bootstrap"]
Onset = Literal["sustained", "first"]
Window = Literal["tenth", "ten"]


@dataclass(frozen=True, kw_only=True)
class GapOptions(ComparisonOptions):
    """Options of :func:`trajlab.analysis.gap`, which says what each means."""

    interval: Interval
    onset: Onset
    window: Window
    sensitivity: bool
    seed: int
