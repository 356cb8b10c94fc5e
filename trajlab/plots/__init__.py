"""One figure an analysis result, returned as matplotlib Axes; never a file."""

from trajlab.plots.conflict import conflict
from trajlab.plots.correlate import correlate
from trajlab.plots.factors import factors
from trajlab.plots.front import front, training_front
from trajlab.plots.gap import gap
from trajlab.plots.geometry import geometry
from trajlab.plots.weighting import weighting

__all__ = [
    "conflict",
    "correlate",
    "factors",
    "front",
    "gap",
    "geometry",
    "training_front",
    "weighting",
]
