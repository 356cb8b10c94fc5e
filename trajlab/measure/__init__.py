"""Pure numerics on a model and its losses: torch only, no files, no schedules."""

from trajlab.measure.guard import guard
from trajlab.measure.hessian import TopEigenvalue, top_eigenvalue
from trajlab.measure.task_gram import TaskGram, group_by_layer, task_gram

__all__ = ["TaskGram", "TopEigenvalue", "group_by_layer", "guard", "task_gram", "top_eigenvalue"]
