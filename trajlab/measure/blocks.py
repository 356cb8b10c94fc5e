"""How the T x T block of a layer comes from what a pull-back brings to it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from trajlab.measure.capture import Call
from trajlab.measure.graph import Graph
from trajlab.measure.products import at_least_single, inner_products


class Block(ABC):
    """Some parameters of one layer, and the formula for the inner products of their gradients.

    Attributes
    ----------
    layer : str
        The layer's name.
    parameters : tuple of str
        Names of the parameters it accounts for.
    edge : GradientEdge
        Where on the graph the gradient is caught.
    size : int
        Numbers in a gradient there.
    """

    layer: str
    parameters: tuple[str, ...]
    edge: GradientEdge
    size: int

    @abstractmethod
    def gram(self, rows: Sequence[Tensor]) -> Tensor:
        """Return the inner products, float64 of shape (row, row).

        Parameters
        ----------
        rows : sequence of Tensor
            Some tasks' gradients at `edge`, at least one.
        """


@dataclass(frozen=True, eq=False)
class GradientBlock(Block):
    """One parameter or other tensor, by its gradients: exact for whatever uses it."""

    layer: str
    parameters: tuple[str, ...]
    edge: GradientEdge
    size: int

    def gram(self, rows: Sequence[Tensor]) -> Tensor:
        """Return the inner products of the gradients."""
        return inner_products(rows)


@dataclass(frozen=True, eq=False)
class LinearBlock(Block):
    """Weight, and bias if it counts, of a Linear layer, without computing a weight gradient.

    With input A (rows x inputs) and output gradients B_t (rows x outputs) the weight gradients are
    B_tᵀ A, and their inner products ⟨B_s, (A Aᵀ) B_t⟩; the bias adds one to every entry of A Aᵀ.
    """

    layer: str
    parameters: tuple[str, ...]
    edge: GradientEdge
    size: int
    input: Tensor

    def gram(self, rows: Sequence[Tensor]) -> Tensor:
        """Return the inner products from the output gradients."""
        a = at_least_single(self.input.reshape(-1, self.input.shape[-1]))
        b = at_least_single(torch.stack([row.reshape(len(a), -1) for row in rows]))
        kernel = a @ a.mT
        if len(self.parameters) == 2:
            kernel += 1.0
        return (b.flatten(1) @ (kernel @ b).flatten(1).mT).double()


def gradient_block(layer: str, name: str, parameter: Tensor) -> GradientBlock:
    """Return the block of one parameter that takes the general way."""
    return GradientBlock(layer, (name,), get_gradient_edge(parameter), parameter.numel())


def choose_blocks(
    layers: Mapping[str, Sequence[str]],
    parameters: Mapping[str, Tensor],
    calls: Mapping[str, Call],
    graph: Graph,
    tasks: int,
) -> list[Block]:
    """Choose for each layer the cheapest exact formula that its use on the graph allows.

    Parameters
    ----------
    layers : mapping of str to sequence of str
        The names of each layer's parameters.
    parameters : mapping of str to Tensor
        By name.
    calls : mapping of str to Call
        The captured calls of layers.
    graph : Graph
        Of the losses.
    tasks : int
        The number of losses.

    Returns
    -------
    list of Block
        Together they account for every parameter that needs a gradient, each once.
    """
    blocks: list[Block] = []
    for layer, names in layers.items():
        wanted = {name: parameters[name] for name in names if parameters[name].requires_grad}
        linear = _linear_block(layer, wanted, calls.get(layer), graph, tasks)
        if linear is not None:
            blocks.append(linear)
        blocks += [
            gradient_block(layer, name, parameter)
            for name, parameter in wanted.items()
            if linear is None or name not in linear.parameters
        ]
    return blocks


def _linear_block(
    layer: str, wanted: Mapping[str, Tensor], call: Call | None, graph: Graph, tasks: int
) -> LinearBlock | None:
    """Return the kernel form, if it is right for this call and pays."""
    if call is None or type(call.module) is not nn.Linear or "forward" in vars(call.module):
        return None
    names = []
    for own in ("weight", "bias"):
        name = f"{layer}.{own}" if layer else own
        if (
            name in wanted
            and call.module._parameters.get(own) is wanted[name]
            and not wanted[name]._backward_hooks  # a user's hook may change the gradient
            and graph.used_only_in(wanted[name], call.output.node)
        ):
            names.append(name)
    if not names or not names[0].endswith("weight") or call.input.is_nested:
        return None
    inputs, outputs = call.input.shape[-1], call.shape[-1]
    r = prod(call.shape[:-1])
    kernel = r * r * inputs + tasks * r * r * outputs + tasks**2 * r * outputs
    gradients = tasks * r * inputs * outputs + tasks**2 * inputs * outputs
    if kernel >= gradients:
        return None
    return LinearBlock(layer, tuple(names), call.output, prod(call.shape), call.input)
