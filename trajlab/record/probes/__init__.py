"""One file a quantity: what it measures, when, and the table it declares."""

from trajlab.record.probes.hessian import HessianTop
from trajlab.record.probes.probe import Moment, Probe
from trajlab.record.probes.task_gradients import TaskGradients

__all__ = ["HessianTop", "Moment", "Probe", "TaskGradients"]
