"""What a study trains: settings (data, model, tasks), methods (weightings), and the loop."""

from trajlab.training.loop import train
from trajlab.training.plan import Plan
from trajlab.training.setting import Problem, Setting, Task

__all__ = ["Plan", "Problem", "Setting", "Task", "train"]
