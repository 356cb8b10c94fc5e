"""Lanczos iteration with full reorthogonalisation, for both ends of a spectrum."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.linalg import eigh_tridiagonal
from torch import Tensor

from trajlab.measure.guard import full_precision

_BLOCK = 8  # so many vectors of a basis lie in one matrix
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


class _Basis:
    """Orthonormal vectors in the rows of matrices, which project faster than one by one."""

    def __init__(self) -> None:
        self._blocks: list[Tensor] = []
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def vectors(self) -> tuple[Tensor, ...]:
        """Return them one by one, in the order they came."""
        return tuple(vector for block in self._filled() for vector in block)

    def append(self, vector: Tensor) -> None:
        """Add one that is orthogonal to all others and of unit norm."""
        row = self._size % _BLOCK
        if row == 0:
            self._blocks.append(vector.new_empty((_BLOCK, vector.numel())))
        self._blocks[-1][row] = vector
        self._size += 1

    def orthogonalised(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return `image` without its parts along the vectors, and what these parts were."""
        along = []
        with full_precision(image.device):
            for _ in range(2):  # twice is enough
                for block in self._filled():
                    along.append(block @ image)
                    image = torch.addmv(image, block.mT, along[-1], alpha=-1)
        return image, torch.cat(along)

    def _filled(self) -> Iterator[Tensor]:
        for first, block in zip(range(0, self._size, _BLOCK), self._blocks, strict=True):
            yield block[: self._size - first]


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
    basis = _Basis()
    diagonal: list[float] = []
    beside: list[float] = []
    strays: list[Tensor] = []
    vector = start / torch.linalg.vector_norm(start)
    limit = min(limit, start.numel())
    while True:
        basis.append(vector)
        image = product(vector)
        diagonal.append(torch.sum(image * vector, dtype=torch.float64).item())
        image, along = basis.orthogonalised(image)
        strays.append(along[: max(len(basis) - 2, 0)])
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
            stray = torch.cat(strays).abs()
            asymmetry = stray.max().item() / scale if len(stray) and scale else 0.0
            return Ends(top, bottom, len(basis), values, vectors, basis.vectors, asymmetry)
        beside.append(norm)
        vector = image / norm


def combine(basis: Sequence[Tensor], coefficients: np.ndarray) -> Tensor:
    """Return the linear combination of the basis vectors."""
    total = torch.zeros_like(basis[0])
    for vector, coefficient in zip(basis, coefficients, strict=True):
        total.add_(vector, alpha=float(coefficient))
    return total
