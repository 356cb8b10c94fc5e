"""A function of a model at other values of its parameters."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from torch import Tensor, nn
from torch.func import functional_call

_Result = TypeVar("_Result")


def evaluate_at(
    parameters: Mapping[str, Tensor], model: nn.Module, function: Callable[[Any], _Result]
) -> _Result:
    """Return ``function(model)`` as it is with the given values of some parameters.

    The model's own parameters are never written: a training graph that has saved them stays valid.

    Parameters
    ----------
    parameters : mapping of str to Tensor
        Values by qualified name; a tied parameter by either of its names. All others stay.
    model : nn.Module
        The model.
    function : callable
        Takes the model and computes with it.
    """
    named = {f"model.{name}": value for name, value in parameters.items()}
    result: _Result = functional_call(_Function(model, function), named, ())
    return result


class _Function(nn.Module):
    """``functional_call`` calls a module; this one calls a function of it."""

    def __init__(self, model: nn.Module, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self.model = model
        self.function = function

    def forward(self) -> Any:
        return self.function(self.model)
