"""An unbiased estimate of a layer's block that computes no weight gradient."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge

from trajlab.measure.blocks import Block
from trajlab.measure.capture import Call
from trajlab.measure.products import at_least_single

_CONVOLUTIONS: dict[type, Any] = {
    nn.Conv1d: nn.functional.conv1d,
    nn.Conv2d: nn.functional.conv2d,
    nn.Conv3d: nn.functional.conv3d,
}


@dataclass(frozen=True)
class Projection:
    """Random signs that the inputs of layers are multiplied by.

    Attributes
    ----------
    size : int
        Columns; two at least, for their scatter gives the standard error.
    generator : torch.Generator
        Draws the signs of one measurement, on the CPU.
    """

    size: int
    generator: torch.Generator

    def signs(self, width: int, like: Tensor) -> Tensor:
        """Draw independent signs, shape (width, size)."""
        drawn = torch.randint(0, 2, (width, self.size), generator=self.generator)
        return (2 * drawn - 1).to(like)


@dataclass(frozen=True, eq=False)
class ProjectedBlock(Block):
    """The weight of a Linear layer or convolution, by projecting the layer's input on one side.

    With (unfolded) input A (rows x inputs) and output gradients B_t (rows x outputs) the weight
    gradients are W_t = B_tᵀ A. For a vector p of random signs W_t p = B_tᵀ (A p) costs one column,
    and ⟨W_s p, W_t p⟩ has the mean ⟨W_s, W_t⟩, for p pᵀ has the mean 1. The estimate is the mean
    over independent columns, and their scatter gives its standard error.

    Attributes
    ----------
    input : Tensor
        A P, of shape (batch, …, columns), or (batch, columns, …) for a convolution.
    channels : int
        The dimension of channels in outputs and in `input`.
    """

    layer: str
    parameters: tuple[str, ...]
    edge: GradientEdge
    size: int
    input: Tensor
    channels: int

    def gram(self, rows: Sequence[Tensor]) -> Tensor:
        """Return the estimates."""
        return self.estimate(rows)[0]

    def estimate(self, rows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the estimates, and their squared standard errors."""
        a = self._by_rows(self.input)
        projected = torch.stack([self._by_rows(row).mT @ a for row in rows], -1).double()
        columns = torch.einsum("ocs,oct->cst", projected, projected)
        return columns.mean(0), columns.var(0) / len(columns)

    def _by_rows(self, tensor: Tensor) -> Tensor:
        """Flatten to a matrix of which the columns are channels."""
        tensor = at_least_single(tensor.movedim(self.channels, -1))
        return tensor.reshape(-1, tensor.shape[-1])


def projected_block(
    name: str, layer: str, call: Call, projection: Projection, tasks: int
) -> ProjectedBlock | None:
    """Return the block of a weight of which the call is the only use, if it can be had and pays.

    Parameters
    ----------
    name, layer : str
        Of the weight, and of its layer.
    call : Call
        The call.
    projection : Projection
        Draws the signs.
    tasks : int
        The number of losses.
    """
    module, x = call.module, call.input
    convolve = _CONVOLUTIONS.get(type(module))
    if convolve is None and type(module) is not nn.Linear:
        return None
    weight = module.get_parameter("weight")
    if convolve is not None and (
        module.groups != 1 or module.padding_mode != "zeros" or x.dim() != weight.dim()
    ):
        return None
    outputs, inputs, columns = len(weight), weight[0].numel(), projection.size
    r = prod(call.shape) // outputs
    estimated = r * inputs * columns + tasks * (r + tasks) * outputs * columns
    if estimated >= tasks * (r + tasks) * inputs * outputs:
        return None
    signs = projection.signs(inputs, x)
    with torch.no_grad():
        if convolve is None:
            a = x @ signs
        else:
            filters = signs.mT.reshape(columns, *weight.shape[1:])
            a = convolve(x, filters, None, module.stride, module.padding, module.dilation)
    channels = -1 if convolve is None else 1
    return ProjectedBlock(layer, (name,), call.output, prod(call.shape), a, channels)
