"""How tasks are joined: one class a family of methods, by the name that studies use."""

from collections.abc import Callable, Mapping

from trajlab.training.methods.method import Method
from trajlab.training.methods.static import Uniform

METHODS: Mapping[str, Callable[..., Method]] = {
    "single": Method,
    "uniform": Uniform,
}

__all__ = ["METHODS", "Method"]
