"""Inner products of gradients."""

from collections.abc import Sequence

import torch
from torch import Tensor

_FEW = 4  # rows of which pairs are multiplied one by one, which copies nothing
_RUN = 2**14  # coordinates that are added in the gradients' precision, of many rows
_LONG_RUN = 2**15  # of few rows; a dot product adds in several places at once, so errs less


def inner_products(rows: Sequence[Tensor]) -> Tensor:
    """Return the inner products of gradients, some coordinates at a time to spare memory.

    Parameters
    ----------
    rows : sequence of Tensor
        Gradients of one shape, dense or sparse, real or complex; at least one.

    Returns
    -------
    Tensor
        float64, shape (row, row). Runs of some thousand coordinates are added in the gradients'
        precision (at least float32), the runs in float64.
    """
    flat = [_coordinates(row) for row in rows]
    if len(flat[0]) <= _RUN:
        return _product(flat).double()
    few = len(flat) <= _FEW and flat[0].device.type == "cpu"
    multiply, length = (_pairs, _LONG_RUN) if few else (_product, _RUN)
    gram = torch.zeros(len(flat), len(flat), dtype=torch.float64, device=flat[0].device)
    for runs in zip(*(torch.split(row, length) for row in flat), strict=True):
        gram += multiply(runs)
    return gram


def spread(products: Tensor, positions: Sequence[int], size: int) -> Tensor:
    """Return a (size, size) matrix with the products at the given positions, and zeros."""
    if len(positions) == size:
        return products
    index = torch.tensor(positions, device=products.device)
    matrix = products.new_zeros(size, size)
    matrix[index[:, None], index] = products
    return matrix


def at_least_single(tensor: Tensor) -> Tensor:
    """Return the tensor, converted to float32 if its precision is less."""
    return tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.float()


def _product(rows: Sequence[Tensor]) -> Tensor:
    stacked = at_least_single(torch.stack(tuple(rows)))
    return stacked @ stacked.mT


def _pairs(rows: Sequence[Tensor]) -> Tensor:
    rows = [at_least_single(row) for row in rows]
    products = {(s, t): torch.dot(rows[s], rows[t]) for s in range(len(rows)) for t in range(s + 1)}
    entries = [products[max(s, t), min(s, t)] for s in range(len(rows)) for t in range(len(rows))]
    return torch.stack(entries).view(len(rows), len(rows))


def _coordinates(gradient: Tensor) -> Tensor:
    """Flatten a gradient into real numbers whose products are the inner products."""
    gradient = gradient.detach()
    if gradient.layout != torch.strided:  # nn.Embedding(sparse=True)
        gradient = gradient.to_dense()
    return (torch.view_as_real(gradient) if gradient.is_complex() else gradient).reshape(-1)
