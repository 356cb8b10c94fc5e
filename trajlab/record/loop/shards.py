"""Parameters of a sharded model, which are whole only while their modules are called."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from trajlab.errors import TrajlabError
from trajlab.measure.layers import group_by_layer, modules_of
from trajlab.record.loop.wrappers import is_sharded, unwrap


class Shards:
    """Finds the whole parameters that ``fully_shard`` puts into modules while they are called.

    Parameters
    ----------
    model : nn.Module
        The model as the training loop calls it; unless it is sharded, nothing is looked at.

    Attributes
    ----------
    sharded : bool
        Whether it is.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = unwrap(model)
        self.sharded = is_sharded(model)
        self._names: dict[int, str] = {}  # by the modules' identity
        self._whole: dict[str, Tensor] = {}  # of the latest calls
        self._hook: Any = None

    def leaves(self, parameters: Mapping[str, nn.Parameter]) -> Mapping[str, Tensor]:
        """Return what stands for the parameters on the graph.

        Raises
        ------
        TrajlabError
            If a sharded one was in no module's call.
        """
        if not self._whole:
            return parameters
        for name, parameter in parameters.items():
            if parameter.requires_grad and name not in self._whole:
                raise TrajlabError(
                    f"the sharded parameter {name!r} was in no module's call, so its gradient "
                    "cannot be taken; leave it out of shared="
                )
        return self._whole

    def open(self, parameters: Mapping[str, nn.Parameter]) -> None:
        """Look at the calls of the modules that own these parameters from now on."""
        if not self.sharded:
            return
        if not self._names:
            modules = modules_of(self._model, group_by_layer(parameters))
            self._names = {id(module): name for name, module in modules.items()}
        if self._hook is None:
            # torch's global hook runs before those that free the parameters after the call
            self._hook = register_module_forward_hook(self._look)

    def close(self) -> None:
        """Look no more; what was found stays."""
        if self._hook is not None:
            self._hook.remove()
            self._hook = None

    def clear(self) -> None:
        """Forget what was found, and with it the graph that it holds."""
        self._whole = {}

    def _look(self, module: nn.Module, arguments: Any, output: Any) -> None:
        layer = self._names.get(id(module))
        if layer is not None and torch.is_grad_enabled():
            for name, parameter in module._parameters.items():
                if parameter is not None:
                    self._whole[f"{layer}.{name}" if layer else name] = parameter
