"""The trace of a loss's Hessian."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from trajlab.errors import TrajlabError
from trajlab.measure.curvature.lanczos import Ends
from trajlab.measure.curvature.product import HessianProduct, Loss


@dataclass(frozen=True)
class HessianTrace:
    """An estimate of a trace.

    Attributes
    ----------
    value : float
        The estimate, unbiased.
    se : float
        Its standard error over the random probes.
    products : int
        Hessian-vector products used.
    """

    value: float
    se: float
    products: int


def hessian_trace(
    loss: Loss,
    parameters: Mapping[str, Tensor],
    *,
    probes: int = 12,
    krylov: Ends | None = None,
    seed: int = 0,
) -> HessianTrace:
    """Estimate the trace of the Hessian of `loss` with respect to `parameters`.

    Hutchinson's estimator with a fixed number of Rademacher probes. The probes are kept out of a
    Krylov space, on which the trace is already known: as it holds the extreme eigenvalues, less
    variance is left, at no product more.

    Parameters
    ----------
    loss, parameters
        As for `trajlab.measure.top_eigenvalue`.
    probes : int
        Number of random vectors, one product each; 2 at least.
    krylov : Ends, optional
        The space that `top_eigenvalue` searched for the same loss and parameters.
    seed : int
        Seed of the probes, which are drawn by a separate generator.

    Returns
    -------
    HessianTrace

    Raises
    ------
    TrajlabError
        If there are fewer than two probes, which have no standard error.
    RuntimeError
        From autograd, where an operation cannot be differentiated twice.

    References
    ----------
    M. F. Hutchinson (1990); R. A. Meyer et al., *Hutch++* (2021), arXiv:2010.09649, for deflation.
    """
    if probes < 2:
        raise TrajlabError(f"a trace from {probes} probes has no standard error; use 2 or more")
    if isinstance(loss, Tensor) and not loss.requires_grad:
        return HessianTrace(0.0, 0.0, 0)
    product = HessianProduct(loss, parameters)
    basis = krylov.basis if krylov else ()
    inside = float(krylov.values.sum()) if krylov else 0.0
    generator = torch.Generator().manual_seed(seed)
    like = product.random(seed)
    samples = []
    for _ in range(probes):
        probe = torch.randint(0, 2, (product.size,), generator=generator).to(like) * 2 - 1
        for vector in basis:
            probe = probe - torch.dot(vector, probe) * vector
        samples.append(_dot(probe, product(probe)))
    outside = torch.tensor(samples, dtype=torch.float64)
    se = (outside.std() / probes**0.5).item()
    return HessianTrace(inside + outside.mean().item(), se, product.used)


def _dot(left: Tensor, right: Tensor) -> float:
    return torch.sum(left * right, dtype=torch.float64).item()
