"""What a study trains: settings (data, model, tasks), methods (weightings), and the loop."""

from trajlab.training.loop import Plan, train
from trajlab.training.setting import Problem, Setting, Task

__all__ = ["Plan", "Problem", "Setting", "Task", "train"]
