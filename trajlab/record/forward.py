"""What is caught in forward passes, for the measurement on their graph."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from trajlab.errors import TrajlabError
from trajlab.measure.capture import Call, Capture, modules_of
from trajlab.measure.task_gram import group_by_layer
from trajlab.record.wrapped import compiled_part, has_compiled_graph, is_sharded, unwrap


class Forward:
    """Catches layers' calls, or of a sharded model its whole parameters, while it is open.

    A compiled model is left alone: hooks would be compiled into it. As the model given may be
    called through a compiled one, layers' calls are caught once the first graph was seen.

    Parameters
    ----------
    model : nn.Module
        The model as the training loop calls it.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = unwrap(model)
        self._compiled: bool | None = True if compiled_part(model) else None  # None: not known yet
        self._capture = Capture({})
        self._whole = Whole({}) if is_sharded(model) else None

    @property
    def calls(self) -> Mapping[str, Call]:
        """The calls of layers, by name."""
        return self._capture.calls

    def leaves(self, parameters: Mapping[str, nn.Parameter]) -> Mapping[str, Tensor]:
        """Return what stands for the parameters on the graph.

        Raises
        ------
        TrajlabError
            If a sharded one was in no module's call.
        """
        if self._whole is None or not self._whole.leaves:
            return parameters
        for name, parameter in parameters.items():
            if parameter.requires_grad and name not in self._whole.leaves:
                raise TrajlabError(
                    f"the sharded parameter {name!r} was in no module's call, so its gradient "
                    "cannot be taken; leave it out of shared="
                )
        return self._whole.leaves

    def is_compiled(self, losses: Mapping[str, Tensor]) -> bool:
        """Say whether the model, or the graph of the first losses, is compiled."""
        if self._compiled is None:
            self._compiled = has_compiled_graph(losses.values())
        return self._compiled

    def open(self, parameters: Mapping[str, nn.Parameter], uses_calls: bool) -> None:
        """Catch from now on.

        Parameters
        ----------
        parameters : mapping of str to nn.Parameter
            The shared ones.
        uses_calls : bool
            Whether a measurement can do with calls better than without.
        """
        if self._whole is not None:
            if not self._whole.names:
                self._whole = Whole(modules_of(self._model, group_by_layer(parameters)))
            self._whole.open()
        elif uses_calls and self._compiled is False:
            if not self._capture.layers:
                self._capture = Capture(modules_of(self._model, group_by_layer(parameters)))
            self._capture.open()

    def close(self) -> None:
        """Catch no more; what was caught stays."""
        self._capture.close()
        if self._whole is not None:
            self._whole.close()

    def clear(self) -> None:
        """Forget what was caught, and with it the graph that it holds."""
        self._capture.clear()
        if self._whole is not None:
            self._whole.leaves = {}


class Whole:
    """Finds the whole parameters that ``fully_shard`` puts into modules while they are called.

    Parameters
    ----------
    layers : mapping of str to nn.Module
        The modules to look at, by qualified name.

    Attributes
    ----------
    names : dict of int to str
        The names by the modules' identity.
    leaves : dict of str to Tensor
        The parameters of the latest calls, by qualified name.
    """

    def __init__(self, layers: Mapping[str, nn.Module]) -> None:
        self.names = {id(module): name for name, module in layers.items()}
        self.leaves: dict[str, Tensor] = {}
        self._hook: Any = None

    def open(self) -> None:
        """Look at calls from now on."""
        if self._hook is None:
            # torch's global hook runs before those that free the parameters after the call
            self._hook = register_module_forward_hook(self._look)

    def close(self) -> None:
        """Look no more."""
        if self._hook is not None:
            self._hook.remove()
            self._hook = None

    def _look(self, module: nn.Module, arguments: Any, output: Any) -> None:
        layer = self.names.get(id(module))
        if layer is not None and torch.is_grad_enabled():
            for own, parameter in module._parameters.items():
                if parameter is not None:
                    self.leaves[f"{layer}.{own}" if layer else own] = parameter
