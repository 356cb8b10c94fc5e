"""Extreme eigenvalues of a loss's Hessian."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import nan

import torch
from torch import Tensor

from trajlab.measure.curvature.lanczos import Ends, combine, lanczos
from trajlab.measure.curvature.product import HessianProduct, Loss

_ASYMMETRIC = (
    "the products with the Hessian are not symmetric: the second derivative of an operation is "
    "wrong, as that of torch's weight_norm, or was computed in low precision"
)


@dataclass(frozen=True)
class TopEigenvalue:
    """The largest eigenvalue of a Hessian, and how well it is known.

    Attributes
    ----------
    value : float
        The largest eigenvalue (algebraically, not in magnitude).
    residual : float
        Norm of H v - value v for the unit vector v that was found: an eigenvalue is at most that
        far away. Where the products are not symmetric, at least what they lack.
    converged : bool
        Whether the residual is within the tolerance.
    bottom : float
        The smallest eigenvalue, NaN where the same products did not settle it within the tolerance
        times the larger of both magnitudes.
    products : int
        Number of Hessian-vector products used.
    reason : str
        Why the numbers are NaN, or the products not symmetric; else empty.
    vector : Tensor or None
        The unit vector that was found, flat, in the order of the parameters.
    krylov : Ends or None
        The Krylov space it was found in, which `trajlab.measure.curvature.trace` can use.
    """

    value: float
    residual: float
    converged: bool
    bottom: float
    products: int
    reason: str = ""
    vector: Tensor | None = field(default=None, repr=False, compare=False)
    krylov: Ends | None = field(default=None, repr=False, compare=False)


def top_eigenvalue(
    loss: Loss,
    parameters: Mapping[str, Tensor],
    *,
    seed: int = 0,
    tolerance: float = 1e-3,
    limit: int = 50,
    both_ends: bool = False,
    start: Tensor | None = None,
) -> TopEigenvalue:
    """Find the largest eigenvalue of the Hessian of `loss` with respect to `parameters`.

    Lanczos iteration on Hessian-vector products, from a random vector with the gradient in it,
    which lies mostly among the top eigenvectors (Gur-Ari et al.). The graph of the loss is retained
    and stays usable; no ``.grad`` is touched. Holds as many vectors of the parameters' size as
    products are used. A value that is `converged` may be the second largest eigenvalue where the
    start had next to nothing of the first: ``benchmarks/README.md`` says how seldom.

    Parameters
    ----------
    loss : Tensor or callable
        A scalar with its graph, or a function of the parameters, as for
        `trajlab.measure.curvature.product.HessianProduct`.
    parameters : mapping of str to Tensor
        What to differentiate for. Frozen ones are left out; one that the loss does not reach, or
        reaches linearly, has second derivatives of zero.
    seed : int
        Seed of the random vector, which is drawn by a separate generator.
    tolerance : float
        Residual at which to stop, relative to the value. It bounds the error, which is much smaller
        as a rule.
    limit : int
        Largest number of products.
    both_ends : bool
        Whether to go on until the smallest eigenvalue is settled too: two to three times as many
        products on trained networks.
    start : Tensor, optional
        A flat vector to start from, such as the one found a few steps ago; it helps only where the
        weights have moved little since.

    Returns
    -------
    TopEigenvalue
        NaN with the reason where the loss is not finite or an operation in it cannot be
        differentiated twice.

    References
    ----------
    G. Gur-Ari et al., *Gradient Descent Happens in a Tiny Subspace* (2018), arXiv:1812.04754.
    """
    if _is_constant(loss, parameters):
        return TopEigenvalue(0.0, 0.0, True, 0.0, 0)
    product = None
    try:
        product = HessianProduct(loss, parameters)
        first = _start(product, seed) if start is None else start
        ends = lanczos(product, first, tolerance=tolerance, limit=limit, both=both_ends)
    except torch.cuda.OutOfMemoryError:
        raise
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        return TopEigenvalue(nan, nan, False, nan, product.used if product else 0, reason)
    if ends.top.value != ends.top.value:
        reason = "the loss or a derivative of it is not finite"
        return TopEigenvalue(nan, nan, False, nan, ends.products, reason)
    asymmetric = ends.asymmetry > max(tolerance, torch.finfo(first.dtype).eps ** 0.5)
    lacking = ends.asymmetry * float(abs(ends.values).max()) if asymmetric else 0.0
    return TopEigenvalue(
        ends.top.value,
        max(ends.top.residual, lacking),
        ends.top.converged and not asymmetric,
        ends.bottom.value if ends.bottom.converged and not asymmetric else nan,
        ends.products,
        _ASYMMETRIC if asymmetric else "",
        combine(ends.basis, ends.vectors[:, -1]),
        ends,
    )


def _start(product: HessianProduct, seed: int) -> Tensor:
    random, gradient = product.random(seed), product.gradient
    norm = torch.linalg.vector_norm(gradient)
    start: Tensor = random / torch.linalg.vector_norm(random)
    return start + gradient / norm if norm > 0 else start


def _is_constant(loss: Loss, parameters: Mapping[str, Tensor]) -> bool:
    if not any(p.requires_grad for p in parameters.values()):
        return True
    return isinstance(loss, Tensor) and not loss.requires_grad
