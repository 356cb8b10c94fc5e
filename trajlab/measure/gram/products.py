"""Inner products of gradients."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from trajlab.measure.guard import full_precision

_FEW = 4  # rows of which pairs are multiplied one by one, which copies nothing
_RUN = 2**14  # coordinates that are added in the gradients' precision, of many rows
_SMALL, _LARGE = 1e-27, 1e32  # squares that float32 holds, with all that counts beside them
_EXPONENT = 126  # of the least normal number of float32
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
        precision (at least float32), the runs in float64. Where squares leave the range of that
        precision the gradients are multiplied by powers of two first, which is exact.
    """
    flat = [_coordinates(row) for row in rows]
    with full_precision(flat[0].device):
        return in_range(_added, flat)


def in_range(multiply: Callable[[Sequence[Tensor]], Tensor], rows: Sequence[Tensor]) -> Tensor:
    """Return products of rows that may leave the range of float32, though the rows do not.

    Parameters
    ----------
    multiply : callable
        From some rows to their products (row, row), bilinear in them.
    rows : sequence of Tensor
        Rows of any shape, at least one.

    Returns
    -------
    Tensor
        float64, shape (row, row).
    """
    if rows[0].dtype == torch.float64:
        return multiply(rows)
    if rows[0].device.type == "cpu":  # elsewhere a look would wait for all queued work
        products = multiply(rows).double()
        if all(_SMALL < square < _LARGE for square in products.diagonal().tolist()):
            return products
    rows = [at_least_single(row) for row in rows]
    scales = [_scale(row) for row in rows]
    scaled = multiply([row * scale for row, scale in zip(rows, scales, strict=True)]).double()
    factors = torch.stack(scales).double()
    return scaled / factors / factors[:, None]


def _scale(row: Tensor) -> Tensor:
    """Return a power of two that brings the largest number of a row near one."""
    if not row.numel():
        return row.new_ones(())
    largest = torch.linalg.vector_norm(row, torch.inf)
    usable = (largest > 0) & largest.isfinite()
    _, exponent = torch.frexp(torch.where(usable, largest, 1.0))
    return torch.ldexp(torch.ones_like(largest), -exponent.clamp(-_EXPONENT, _EXPONENT))


def _added(flat: Sequence[Tensor]) -> Tensor:
    """Return the inner products of vectors, added run by run."""
    if len(flat[0]) <= _RUN:
        return _product(flat).double()
    if len(flat) <= _FEW and flat[0].device.type == "cpu":
        return _pairs(flat)
    gram = torch.zeros(len(flat), len(flat), dtype=torch.float64, device=flat[0].device)
    for runs in zip(*(torch.split(row, _RUN) for row in flat), strict=True):
        gram += _product(runs)
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


def _pairs(flat: Sequence[Tensor]) -> Tensor:
    """Return the same of a few vectors on a CPU, pair by pair, added in Python's floats."""
    sums = {(s, t): 0.0 for s in range(len(flat)) for t in range(s + 1)}
    for runs in zip(*(torch.split(row, _LONG_RUN) for row in flat), strict=True):
        rows = [at_least_single(row) for row in runs]
        for s, t in sums:
            sums[s, t] += torch.dot(rows[s], rows[t]).item()
    several = range(len(flat))
    return torch.tensor(
        [[sums[max(s, t), min(s, t)] for t in several] for s in several], dtype=torch.float64
    )


def _coordinates(gradient: Tensor) -> Tensor:
    """Flatten a gradient into real numbers whose products are the inner products."""
    gradient = gradient.detach()
    if gradient.layout != torch.strided:  # nn.Embedding(sparse=True)
        gradient = gradient.to_dense()
    return (torch.view_as_real(gradient) if gradient.is_complex() else gradient).reshape(-1)
