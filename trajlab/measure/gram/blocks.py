"""The T x T block of a layer from what a pull-back brings to it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge

from trajlab.measure.gram.products import at_least_single, in_range, inner_products


@dataclass(frozen=True, eq=False)
class Block(ABC):
    """Some parameters of one layer, and the formula for the inner products of their gradients.

    Attributes
    ----------
    layer : str
        The layer's name.
    parameters : tuple of str
        Names of the parameters it accounts for.
    edge : GradientEdge
        Edge of the graph at which the gradient is caught.
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

    def estimate(self, rows: Sequence[Tensor]) -> tuple[Tensor, Tensor | None]:
        """Return the inner products and their squared standard errors; None if they are exact."""
        return self.gram(rows), None


@dataclass(frozen=True, eq=False)
class GradientBlock(Block):
    """One parameter or other tensor, by its gradients: exact for whatever uses it."""

    def gram(self, rows: Sequence[Tensor]) -> Tensor:
        """Return the inner products of the gradients."""
        return inner_products(rows)


@dataclass(frozen=True, eq=False)
class LinearBlock(Block):
    """Weight, and bias if it counts, of a linear map, without computing a weight gradient.

    With input A (rows x inputs) and output gradients B_t (rows x outputs) the weight gradients are
    B_tᵀ A, and their inner products ⟨B_s, (A Aᵀ) B_t⟩; the bias adds one to every entry of A Aᵀ.
    """

    input: Tensor

    def gram(self, rows: Sequence[Tensor]) -> Tensor:
        """Return the inner products from the output gradients."""
        a = at_least_single(self.input)
        kernel = a @ a.mT
        if len(self.parameters) == 2:
            kernel += 1.0

        def multiply(rows: Sequence[Tensor]) -> Tensor:
            b = at_least_single(torch.stack([*rows]))
            return b.flatten(1) @ (kernel @ b).flatten(1).mT

        return in_range(multiply, rows).double()


@dataclass(frozen=True, eq=False)
class EmbeddingBlock(Block):
    """The rows of a table that were looked up, without a gradient of the whole table.

    A row's gradient is the sum of the output gradients at the places where it was looked up, and
    all other rows' gradients are zero.

    Attributes
    ----------
    rows : Tensor
        A number for each look-up, the same for the same row of the table and below the number of
        look-ups; or the latter, where the look-up does not count.
    """

    rows: Tensor

    def gram(self, rows: Sequence[Tensor]) -> Tensor:
        """Return the inner products from the output gradients."""
        return inner_products([self._sum(at_least_single(row)) for row in rows])

    def _sum(self, row: Tensor) -> Tensor:
        flat = row.reshape(len(self.rows), -1)
        sums = flat.new_zeros(len(flat) + 1, flat.shape[1])
        return sums.index_add_(0, self.rows, flat)[:-1]


def gradient_block(layer: str, name: str, parameter: Tensor) -> GradientBlock:
    """Return the block of one parameter that takes the general way."""
    return GradientBlock(layer, (name,), get_gradient_edge(parameter), parameter.numel())
