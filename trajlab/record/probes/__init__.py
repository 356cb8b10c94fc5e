"""One file a quantity: what it measures, when, and the table it declares."""

from trajlab.measure.examples.likelihood import Bernoulli, Categorical, Gaussian
from trajlab.record.moment import Moment
from trajlab.record.probes.affinity import TaskAffinity
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

__all__ = [
    "Bernoulli",
    "Categorical",
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
