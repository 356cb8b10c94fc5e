"""One file a quantity: what it measures, when, and the table it declares."""

from importlib import import_module
from inspect import isabstract
from pkgutil import iter_modules

from trajlab.measure.examples.likelihood import Bernoulli, Categorical, Gaussian
from trajlab.record.moment import Moment
from trajlab.record.probes.affinity import TaskAffinity
from trajlab.record.probes.example_conflict import ExampleConflict
from trajlab.record.probes.fisher import FisherTrace
from trajlab.record.probes.gradient_sketch import GradientSketch
from trajlab.record.probes.hessian import HessianTop
from trajlab.record.probes.hessian_density import HessianDensity
from trajlab.record.probes.noise import GradientNoise
from trajlab.record.probes.parameters import Parameters
from trajlab.record.probes.presets import full, light, paper
from trajlab.record.probes.probe import Probe
from trajlab.record.probes.sharpness import Sharpness
from trajlab.record.probes.similarity import GradientSimilarity
from trajlab.record.probes.task_gradients import TaskGradients

PROBES: dict[str, type[Probe]] = {
    name: kind
    for module in iter_modules(__path__, f"{__name__}.")
    for name, kind in vars(import_module(module.name)).items()
    if isinstance(kind, type) and issubclass(kind, Probe) and not isabstract(kind)
}
globals().update(PROBES)  # a new file is all that a new probe takes; above for type checkers

__all__ = [
    "PROBES",
    "Bernoulli",
    "Categorical",
    "ExampleConflict",
    "FisherTrace",
    "Gaussian",
    "GradientNoise",
    "GradientSimilarity",
    "GradientSketch",
    "HessianDensity",
    "HessianTop",
    "Moment",
    "Parameters",
    "Probe",
    "Sharpness",
    "TaskAffinity",
    "TaskGradients",
    "full",
    "light",
    "paper",
]
