"""One figure an analysis result, returned as matplotlib Axes; never a file."""

from importlib import import_module
from pkgutil import iter_modules

from trajlab.plots.conflict import conflict
from trajlab.plots.correlate import correlate
from trajlab.plots.factors import factors
from trajlab.plots.figure import FIGURES
from trajlab.plots.front import front, training_front
from trajlab.plots.gap import gap
from trajlab.plots.geometry import geometry
from trajlab.plots.weighting import weighting

for _module in iter_modules(__path__, f"{__name__}."):
    import_module(_module.name)
globals().update(FIGURES)  # a new file is all that a new figure takes; above for type checkers

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
