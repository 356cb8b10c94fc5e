"""The spectral density of a loss's Hessian."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from trajlab.measure.curvature.lanczos import lanczos
from trajlab.measure.curvature.product import HessianProduct, Loss


@dataclass(frozen=True)
class SpectralDensity:
    """A discrete approximation of a spectrum, float64.

    Attributes
    ----------
    values : Tensor
        Shape (run, node): quadrature nodes, close to eigenvalues at the ends. NaN where a run
        ended early because its space was exhausted.
    weights : Tensor
        Shape (run, node): the share of the spectrum that a node stands for; they sum to 1 in each
        run. Σ weight · f(value) estimates the mean of f over all eigenvalues.
    products : int
        Number of Hessian-vector products used.
    """

    values: Tensor
    weights: Tensor
    products: int


def spectral_density(
    loss: Loss,
    parameters: Mapping[str, Tensor],
    *,
    runs: int = 4,
    nodes: int = 30,
    seed: int = 0,
) -> SpectralDensity:
    """Approximate the spectrum of the Hessian by stochastic Lanczos quadrature.

    Vectors are float64 and fully reorthogonalised, whatever the model's type: otherwise copies of
    the extreme eigenvalues appear.

    Parameters
    ----------
    loss, parameters
        As for `trajlab.measure.top_eigenvalue`.
    runs : int
        Number of random start vectors; the spread over runs is the error.
    nodes : int
        Number of Lanczos steps a run, one product each.
    seed : int
        Seed of the start vectors.

    Returns
    -------
    SpectralDensity

    Raises
    ------
    RuntimeError
        From autograd, where an operation cannot be differentiated twice.

    References
    ----------
    S. Ubaru, J. Chen, Y. Saad (2017); B. Ghorbani et al., *An Investigation into Neural Net
    Optimization via Hessian Eigenvalue Density* (2019), arXiv:1901.10159.
    """
    product = HessianProduct(loss, parameters)
    values = torch.full((runs, nodes), torch.nan, dtype=torch.float64)
    weights = torch.zeros(runs, nodes, dtype=torch.float64)
    for run in range(runs):
        start = product.random(seed + run, torch.float64)
        ends = lanczos(product, start, tolerance=0.0, limit=nodes)
        reached = len(ends.values)
        values[run, :reached] = torch.from_numpy(ends.values)
        if reached:
            weights[run, :reached] = torch.from_numpy(ends.vectors[0] ** 2)
    return SpectralDensity(values, weights, product.used)
