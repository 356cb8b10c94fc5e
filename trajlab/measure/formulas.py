"""Which formula a layer's block comes by."""

from collections.abc import Mapping, Sequence
from math import prod

from torch import Tensor, nn

from trajlab.measure.blocks import Block, LinearBlock, gradient_block
from trajlab.measure.capture import Call
from trajlab.measure.graph import Graph
from trajlab.measure.projection import Projection, projected_block


def choose_blocks(
    layers: Mapping[str, Sequence[str]],
    parameters: Mapping[str, Tensor],
    calls: Mapping[str, Call],
    graph: Graph,
    tasks: int,
    projection: Projection | None = None,
) -> list[Block]:
    """Choose for each layer the cheapest formula that its use on the graph allows.

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
    projection : Projection, optional
        Estimate the weights of layers where that is cheaper; by default every formula is exact.

    Returns
    -------
    list of Block
        Together they account for every parameter that needs a gradient, each once.
    """
    blocks: list[Block] = []
    for layer, names in layers.items():
        wanted = {name: parameters[name] for name in names if parameters[name].requires_grad}
        call = calls.get(layer)
        formula = None
        if call is not None and (own := _used_only_in(layer, wanted, call, graph)):
            formula = _linear_block(layer, own, call, tasks)
            if formula is None and projection is not None:
                formula = projected_block(own[0], layer, call, projection, tasks)
        if formula is not None:
            blocks.append(formula)
        blocks += [
            gradient_block(layer, name, parameter)
            for name, parameter in wanted.items()
            if formula is None or name not in formula.parameters
        ]
    return blocks


def _used_only_in(layer: str, wanted: Mapping[str, Tensor], call: Call, graph: Graph) -> list[str]:
    """Return the names of the weight, and of the bias, if the call is their only use."""
    if "forward" in vars(call.module) or call.input.is_nested:
        return []
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
    return names if names and names[0].endswith("weight") else []


def _linear_block(layer: str, names: Sequence[str], call: Call, tasks: int) -> Block | None:
    """Return the kernel form, if it is right for this call and pays."""
    if type(call.module) is not nn.Linear:
        return None
    inputs, outputs = call.input.shape[-1], call.shape[-1]
    r = prod(call.shape[:-1])
    kernel = r * r * inputs + tasks * r * r * outputs + tasks**2 * r * outputs
    gradients = tasks * r * inputs * outputs + tasks**2 * inputs * outputs
    if kernel >= gradients:
        return None
    return LinearBlock(layer, tuple(names), call.output, prod(call.shape), call.input)
