"""Layer inputs and gradient edges of layer outputs, caught in the forward pass."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.nn.modules.module import register_module_forward_hook


@dataclass(frozen=True)
class Call:
    """One pass of a batch through a layer.

    Attributes
    ----------
    module : nn.Module
        The layer.
    input : Tensor
        Its first argument, detached.
    output : GradientEdge
        Where the gradient of its output arrives: ``torch.autograd.grad(loss, [call.output])``
        gives it, of shape `shape`. (The output tensor itself would not do: after an in-place
        activation it stands for the activation's result.)
    shape : torch.Size
        Shape of the output.
    """

    module: nn.Module
    input: Tensor
    output: GradientEdge
    shape: torch.Size


class Capture:
    """Catches the latest call of each watched layer while it is open.

    Only calls that autograd follows count: not those under ``no_grad``, nor the inside of a
    reentrant checkpoint. The hook is torch's global one, so that nothing is attached to the model:
    copies and checkpoints of it stay clean, and fused inference paths stay on.

    Parameters
    ----------
    layers : mapping of str to nn.Module
        The modules to watch, by name.

    Attributes
    ----------
    layers : dict of str to nn.Module
        The watched modules.
    calls : dict of str to Call
        The latest call of each layer that was called; they hold the graph until `clear`.

    Examples
    --------
    >>> with Capture({"trunk.0": model.trunk[0]}) as capture:
    ...     loss = criterion(model(x), y)
    >>> call = capture.calls["trunk.0"]
    >>> (gradient,) = torch.autograd.grad(loss, [call.output], retain_graph=True)
    """

    def __init__(self, layers: Mapping[str, nn.Module]) -> None:
        self.calls: dict[str, Call] = {}
        self.layers = dict(layers)
        self._names = {id(module): name for name, module in layers.items()}
        self._hook: Any = None

    def open(self) -> None:
        """Forget earlier calls, and catch from now on."""
        self.clear()
        if self._hook is None and self._names:
            self._hook = register_module_forward_hook(self._catch)

    def close(self) -> None:
        """Catch no more; the calls stay."""
        if self._hook is not None:
            self._hook.remove()
            self._hook = None

    def clear(self) -> None:
        """Forget the calls, and with them the graph they hold."""
        self.calls = {}

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _catch(self, module: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
        name = self._names.get(id(module))
        if (
            name is not None
            and torch.is_grad_enabled()
            and isinstance(output, Tensor)
            and output.grad_fn is not None
            and arguments
            and isinstance(arguments[0], Tensor)
        ):
            self.calls[name] = Call(
                module, arguments[0].detach(), get_gradient_edge(output), output.shape
            )
