"""An unbiased estimate of a layer's block that computes no weight gradient."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv1d, conv2d, conv3d

from trajlab.measure.gram.blocks import Block
from trajlab.measure.gram.operations import Operation
from trajlab.measure.gram.products import at_least_single

_CONVOLUTIONS: dict[int, Any] = {3: conv1d, 4: conv2d, 5: conv3d}  # by the filters' dimensions


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

    input: Tensor
    channels: int

    def gram(self, rows: Sequence[Tensor]) -> Tensor:
        """Return the estimates."""
        return self.estimate(rows)[0]

    def estimate(self, rows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the estimates, and their squared standard errors."""
        a = self._by_rows(self.input)
        # Tasks beside each other in a column's memory, so that the product of all copies nothing.
        projected = torch.stack([a.mT @ self._by_rows(row) for row in rows], 1).double()
        columns = projected @ projected.mT
        return columns.mean(0), columns.var(0) / len(columns)

    def _by_rows(self, tensor: Tensor) -> Tensor:
        """Flatten to a matrix of which the columns are channels."""
        tensor = at_least_single(tensor.movedim(self.channels, -1))
        return tensor.reshape(-1, tensor.shape[-1])


def projected_product(
    layer: str,
    name: str,
    use: Operation,
    inputs: Tensor,
    projection: Projection,
    tasks: int,
    exact: int,
) -> ProjectedBlock | None:
    """Return the block of a matrix that the inputs are multiplied by, if it pays.

    Parameters
    ----------
    layer, name : str
        Names of the layer and of its weight.
    use : Operation
        The product that the weight goes into.
    inputs : Tensor
        Its other operand, shape (rows, inputs).
    projection : Projection
        Source of the signs.
    tasks : int
        The number of losses.
    exact : int
        Multiplications of the cheapest exact formula.
    """
    rows, width = inputs.shape
    if _multiplications(rows, width, use.shape[1], projection.size, tasks) >= exact:
        return None
    a = inputs @ projection.signs(width, inputs)
    return ProjectedBlock(layer, (name,), use.output, prod(use.shape), a, -1)


def projected_convolution(
    layer: str, name: str, use: Operation, projection: Projection, tasks: int
) -> ProjectedBlock | None:
    """Return the block of a convolution's filters, if it can be had and pays."""
    inputs, filters = use.saved("input"), use.saved("weight")
    if inputs is None or filters is None or use.setting("groups") != 1 or use.setting("transposed"):
        return None
    outputs, width, columns = len(filters), filters[0].numel(), projection.size
    rows = prod(use.shape) // outputs
    exact = tasks * (rows + tasks) * width * outputs  # by the filters' gradients
    if _multiplications(rows, width, outputs, columns, tasks) >= exact:
        return None
    random = projection.signs(width, inputs).mT.reshape(columns, *filters.shape[1:])
    shape = [use.setting(name) for name in ("stride", "padding", "dilation")]
    a = _CONVOLUTIONS[filters.dim()](inputs, random, None, *shape)
    return ProjectedBlock(layer, (name,), use.output, prod(use.shape), a, 1)


def _multiplications(rows: int, inputs: int, outputs: int, columns: int, tasks: int) -> int:
    """Return how many multiplications an estimate takes."""
    return rows * inputs * columns + tasks * (rows + tasks) * outputs * columns
