"""Which formula a parameter's block comes by."""

from collections.abc import Mapping, Sequence
from math import prod

import torch
from torch import Tensor

from trajlab.measure.gram.blocks import Block, EmbeddingBlock, LinearBlock, gradient_block
from trajlab.measure.gram.operations import Operation, only_use
from trajlab.measure.gram.projection import Projection, projected_convolution, projected_product
from trajlab.measure.graph import Graph


def choose_blocks(
    names_by_layer: Mapping[str, Sequence[str]],
    parameters: Mapping[str, Tensor],
    graph: Graph,
    tasks: int,
    *,
    projection: Projection | None = None,
) -> list[Block]:
    """Choose for each parameter the cheapest formula that its use on the graph allows.

    Parameters
    ----------
    names_by_layer : mapping of str to sequence of str
        Names of each layer's parameters, as `group_by_layer` gives them.
    parameters : mapping of str to Tensor
        Tensors by qualified name.
    graph : Graph
        Graph of the losses.
    tasks : int
        Number of losses.
    projection : Projection, optional
        Estimate the weights of layers where that is cheaper; by default every formula is exact.

    Returns
    -------
    list of Block
        Together they account for every parameter that needs a gradient, each once.
    """
    blocks: list[Block] = []
    for layer, names in names_by_layer.items():
        left = {name: parameters[name] for name in names if parameters[name].requires_grad}
        uses = {
            name: use
            for name, parameter in left.items()
            if not parameter._backward_hooks  # a user's hook may change the gradient
            and (use := only_use(graph, parameter)) is not None
        }
        for name, use in uses.items():
            formula: Block | None = None
            match use.kind:
                case ("AddmmBackward0", 2) | ("MmBackward0", 1):
                    added = [n for n in uses if _is_bias(uses[n], use, parameters[n])]
                    formula = _product(layer, name, use, added, tasks, projection)
                case ("ConvolutionBackward0", 1) if projection is not None:
                    formula = projected_convolution(layer, name, use, projection, tasks)
                case ("EmbeddingBackward0", 0):
                    formula = _embedding(layer, name, use, left[name])
            if formula is not None:
                blocks.append(formula)
                left = {n: p for n, p in left.items() if n not in formula.parameters}
        blocks += [gradient_block(layer, name, parameter) for name, parameter in left.items()]
    return blocks


def _is_bias(use: Operation, product: Operation, parameter: Tensor) -> bool:
    """Say whether a parameter is added to each row of a product, and nothing else."""
    return (
        use.node is product.node
        and use.kind == ("AddmmBackward0", 0)
        and parameter.shape == (product.shape[1],)
    )


def _product(
    layer: str,
    name: str,
    use: Operation,
    added: Sequence[str],
    tasks: int,
    projection: Projection | None,
) -> Block | None:
    """Return the block of a matrix that rows are multiplied by, if a formula is right and pays."""
    with_sum = use.kind[0] == "AddmmBackward0"
    if with_sum and not use.setting("alpha") == use.setting("beta") == 1:
        return None
    a = use.saved("mat1" if with_sum else "self")
    if a is None:
        return None
    r, inputs = a.shape
    outputs = use.shape[1]
    kernel = r * r * inputs + tasks * r * r * outputs + tasks**2 * r * outputs
    gradients = tasks * (r + tasks) * inputs * outputs
    if projection is not None:
        exact = min(kernel, gradients)
        estimate = projected_product(layer, name, use, a, projection, tasks, exact)
        if estimate is not None:
            return estimate
    if kernel < gradients:
        return LinearBlock(layer, (name, *added), use.output, prod(use.shape), a)
    return None


def _embedding(layer: str, name: str, use: Operation, table: Tensor) -> Block | None:
    """Return the block of a table of which fewer rows were looked up than it has."""
    indices = use.saved("indices")
    if (
        indices is None
        or indices.numel() >= len(table)
        or table.is_complex()
        or use.setting("scale_grad_by_freq")
    ):
        return None
    indices = indices.flatten()
    places = torch.arange(len(indices), device=indices.device)
    place = places.new_empty(len(table)).scatter_(0, indices, places)  # one for each row
    padding = use.setting("padding_idx")  # without one, a number larger than any index
    rows = place[indices].masked_fill_(indices == min(padding, len(table)), len(indices))
    return EmbeddingBlock(layer, (name,), use.output, prod(use.shape), rows)
