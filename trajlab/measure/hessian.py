"""Extreme eigenvalues of a loss's Hessian."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import nan

import torch
from pyhessian.utils import hessian_vector_product
from torch import Tensor

from trajlab.measure.lanczos import lanczos


@dataclass(frozen=True)
class TopEigenvalue:
    """The largest eigenvalue of a Hessian, and how well it is known.

    Attributes
    ----------
    value : float
        The largest eigenvalue (algebraically, not in magnitude).
    residual : float
        Norm of H v - value v for the unit vector v that was found.
    converged : bool
        Whether the residual is within the tolerance.
    bottom : float
        The smallest eigenvalue, NaN where the same products did not settle it within the tolerance
        times the larger of both magnitudes.
    products : int
        Hessian-vector products used.
    reason : str
        Why the numbers are NaN; empty where they are not.
    """

    value: float
    residual: float
    converged: bool
    bottom: float
    products: int
    reason: str = ""


def top_eigenvalue(
    loss: Tensor,
    parameters: Mapping[str, Tensor],
    *,
    seed: int = 0,
    tolerance: float = 1e-3,
    limit: int = 50,
) -> TopEigenvalue:
    """Find the largest eigenvalue of the Hessian of `loss` with respect to `parameters`.

    Lanczos iteration on PyHessian's Hessian-vector product. The graph of the loss is retained and
    stays usable; no ``.grad`` is touched. Holds as many vectors of the parameters' size as products
    are used.

    Parameters
    ----------
    loss : Tensor
        A scalar with its graph.
    parameters : mapping of str to Tensor
        What to differentiate for. Frozen ones are left out; one that the loss does not reach, or
        reaches linearly, has second derivatives of zero.
    seed : int
        Of the random start vector, drawn from a generator of its own.
    tolerance : float
        Residual at which to stop, relative to the value; the error is much smaller as a rule.
    limit : int
        Products at most.

    Returns
    -------
    TopEigenvalue
        NaN with the reason where the loss is not finite or an operation in it cannot be
        differentiated twice.

    References
    ----------
    Z. Yao et al., *PyHessian: Neural Networks Through the Lens of the Hessian* (2020),
    arXiv:1912.07145, for the product.
    """
    chosen = [p for p in parameters.values() if p.requires_grad]
    if not loss.requires_grad or not chosen:
        return TopEigenvalue(0.0, 0.0, True, 0.0, 0)
    shapes = [p.shape for p in chosen]
    sizes = [p.numel() for p in chosen]
    used = 0

    def product(vector: Tensor) -> Tensor:
        nonlocal used
        used += 1
        pieces = torch.split(vector, sizes)
        shaped = [v.view(s).to(g) for v, s, g in zip(pieces, shapes, gradients, strict=True)]
        image = hessian_vector_product(gradients, chosen, shaped)
        return torch.cat([part.reshape(-1).to(vector) for part in image])

    try:
        gradients = [
            # PyHessian's product needs a graph from every gradient to every parameter. One that is
            # not reached, or only linearly, gets one here, and the value stays.
            gradient + 0 * parameter
            for gradient, parameter in zip(
                torch.autograd.grad(loss, chosen, create_graph=True, materialize_grads=True),
                chosen,
                strict=True,
            )
        ]
        ends = lanczos(product, _start(chosen, seed), tolerance=tolerance, limit=limit)
    except torch.cuda.OutOfMemoryError:
        raise
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        return TopEigenvalue(nan, nan, False, nan, used, reason)
    if ends.top.value != ends.top.value:
        reason = "the loss or a derivative of it is not finite"
        return TopEigenvalue(nan, nan, False, nan, ends.products, reason)
    bottom = ends.bottom.value if ends.bottom.converged else nan
    return TopEigenvalue(
        ends.top.value, ends.top.residual, ends.top.converged, bottom, ends.products
    )


def _start(parameters: list[Tensor], seed: int) -> Tensor:
    """Draw the start vector on the CPU, so that it is the same on every device."""
    generator = torch.Generator().manual_seed(seed)
    size = sum(p.numel() for p in parameters)
    dtype = torch.float64 if parameters[0].dtype == torch.float64 else torch.float32
    return torch.randn(size, generator=generator).to(parameters[0].device, dtype)
