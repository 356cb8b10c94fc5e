"""One figure an analysis result, returned as matplotlib Axes; never a file."""

from importlib import import_module
from pkgutil import iter_modules

from trajlab.plots.conflict import conflict as conflict
from trajlab.plots.correlate import correlate as correlate
from trajlab.plots.examples import examples as examples
from trajlab.plots.factors import factors as factors
from trajlab.plots.figure import FIGURES
from trajlab.plots.front import front as front
from trajlab.plots.front import training_front as training_front
from trajlab.plots.gap import gap as gap
from trajlab.plots.geometry import geometry as geometry
from trajlab.plots.weighting import weighting as weighting

for _module in iter_modules(__path__, f"{__name__}."):
    import_module(_module.name)
globals().update(FIGURES)  # a new file is all that a new figure takes; above for type checkers
