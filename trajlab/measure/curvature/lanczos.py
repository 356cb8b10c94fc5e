"""Lanczos iteration with full reorthogonalisation, for both ends of a spectrum."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.linalg import eigh_tridiagonal
from torch import Tensor

# While the Krylov space is small, a small residual may belong to another eigenvalue.
_LEAST = 5


@dataclass(frozen=True)
class RitzValue:
    """An approximate eigenvalue.

    Attributes
    ----------
    value : float
        The Ritz value, never outside the spectrum. NaN if a product was not finite.
    residual : float
        Norm of A v - value v for its unit Ritz vector v; an eigenvalue is at most that far away.
    converged : bool
        Whether the residual is within the tolerance.
    """

    value: float
    residual: float
    converged: bool


@dataclass(frozen=True)
class Ends:
    """The largest and the smallest eigenvalue (algebraically), and the products they took.

    Attributes
    ----------
    top, bottom : RitzValue
    products : int
    values : ndarray
        All Ritz values, ascending, shape (products,).
    vectors : ndarray
        Their vectors in the basis, in columns; the squares of the first row are the weights of
        Gaussian quadrature for the start vector.
    basis : tuple of Tensor
        The orthonormal vectors of the Krylov space.
    asymmetry : float
        Largest entry that would be zero if the matrix were symmetric, relative to the larger of
        both ends' magnitudes.
    """

    top: RitzValue
    bottom: RitzValue
    products: int
    values: np.ndarray = field(repr=False, compare=False)
    vectors: np.ndarray = field(repr=False, compare=False)
    basis: tuple[Tensor, ...] = field(repr=False, compare=False)
    asymmetry: float = field(default=0.0, repr=False, compare=False)


def lanczos(
    product: Callable[[Tensor], Tensor],
    start: Tensor,
    *,
    tolerance: float,
    limit: int,
    both: bool = False,
) -> Ends:
    """Approximate the extreme eigenvalues of a symmetric matrix from its products with vectors.

    Stops when the residual of the top Ritz value is within `tolerance` of it, but not before 5
    products; or when the Krylov space is exhausted, the values then being exact. (The sharper bound
    residual² / gap would stop one or two products earlier, but its gap is an estimate that misses
    closer eigenvalues, and the value is then wrong 20 times as often.)

    Parameters
    ----------
    product : callable
        Maps a vector (n,) to the matrix times it.
    start : Tensor
        A random vector (n,); it need not be of unit norm.
    tolerance : float
        Relative to the top eigenvalue; for the bottom one, to the larger of both.
    limit : int
        Largest number of products.
    both : bool
        Whether to go on until the bottom end is within the tolerance too.

    Returns
    -------
    Ends

    References
    ----------
    B. N. Parlett, *The Symmetric Eigenvalue Problem* (1998), chapters 11 and 13.
    """
    basis: list[Tensor] = []
    diagonal: list[float] = []
    beside: list[float] = []
    strays: list[Tensor] = []
    vector = start / torch.linalg.vector_norm(start)
    limit = min(limit, start.numel())
    while True:
        basis.append(vector)
        image = product(vector)
        diagonal.append(torch.sum(image * vector, dtype=torch.float64).item())
        along = []
        for _ in range(2):  # twice is enough
            for earlier in basis:
                along.append(torch.dot(earlier, image))
                image = image - along[-1] * earlier
        strays += along[: max(len(basis) - 2, 0)]
        norm = torch.linalg.vector_norm(image, dtype=torch.float64).item()
        if not np.isfinite([diagonal[-1], norm]).all():
            nothing = RitzValue(np.nan, np.nan, False)
            return Ends(nothing, nothing, len(basis), np.array([]), np.empty((0, 0)), ())
        values, vectors = eigh_tridiagonal(np.array(diagonal), np.array(beside))
        residuals = norm * np.abs(vectors[-1])
        scale = float(np.abs(values).max())
        exhausted = norm <= 10 * torch.finfo(start.dtype).eps * scale or len(basis) == start.numel()
        top, bottom = (
            RitzValue(
                float(values[i]), float(residuals[i]), bool(exhausted or residuals[i] <= error)
            )
            for i, error in ((-1, tolerance * abs(values[-1])), (0, tolerance * scale))
        )
        done = top.converged and (bottom.converged or not both) and len(basis) >= _LEAST
        if exhausted or len(basis) == limit or done:
            asymmetry = torch.stack(strays).abs().max().item() / scale if strays and scale else 0.0
            return Ends(top, bottom, len(basis), values, vectors, tuple(basis), asymmetry)
        beside.append(norm)
        vector = image / norm


def combine(basis: Sequence[Tensor], coefficients: np.ndarray) -> Tensor:
    """Return the linear combination of the basis vectors."""
    total = torch.zeros_like(basis[0])
    for vector, coefficient in zip(basis, coefficients, strict=True):
        total.add_(vector, alpha=float(coefficient))
    return total
