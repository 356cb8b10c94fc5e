"""How much a loss rises when the weights are disturbed in proportion to their size."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, nan

import torch
from torch import Tensor

Loss = Callable[[Mapping[str, Tensor]], Tensor]


@dataclass(frozen=True)
class SharpnessEstimate:
    """Rise of the loss over batches, one entry for each ρ.

    Attributes
    ----------
    value : tuple of float
        Mean over the batches of each batch's rise.
    se : tuple of float
        Standard error over the batches; NaN for a single one. It is not the error over seeds.
    disturbed : tuple of float
        Mean over the batches of the disturbed loss itself, to be compared with chance level.
    """

    value: tuple[float, ...]
    se: tuple[float, ...]
    disturbed: tuple[float, ...]


def sharpness(
    losses: Sequence[Loss],
    parameters: Mapping[str, Tensor],
    rho: Sequence[float],
    *,
    iterations: int = 20,
) -> SharpnessEstimate:
    """Find the largest rise of each batch's loss among weights θ + ε with abs(ε) ≤ ρ abs(θ).

    Adaptive worst-case ℓ∞ sharpness. The maximum is sought by APGD from ε = 0 (momentum .75, first
    step 2ρ, halved at checkpoints) and is the best iterate, so it is never negative, and a lower
    bound.

    Parameters
    ----------
    losses : sequence of callable
        Functions, one a batch: each maps parameters by name to the batch's scalar loss.
    parameters : mapping of str to Tensor
        The weights θ to disturb. They are not changed.
    rho : sequence of float
        Radii, relative to each weight's magnitude.
    iterations : int
        Number of gradient steps a batch and radius.

    Returns
    -------
    SharpnessEstimate

    References
    ----------
    M. Andriushchenko et al., *A Modern Look at the Relationship between Sharpness and
    Generalization* (2023), arXiv:2302.07011, equation 2; F. Croce, M. Hein, *Reliable evaluation of
    adversarial robustness* (2020), arXiv:2003.01690, algorithm 1.
    """
    weights = {name: p.detach() for name, p in parameters.items()}
    return _over_batches(
        [[_worst_case(loss, weights, radius, iterations) for radius in rho] for loss in losses]
    )


def average_sharpness(
    losses: Sequence[Loss],
    parameters: Mapping[str, Tensor],
    rho: Sequence[float],
    *,
    draws: int = 20,
    seed: int = 0,
) -> SharpnessEstimate:
    """Estimate the mean rise of the loss at θ + ε with ε_i ~ N(0, ρ² θ_i²).

    Adaptive average-case sharpness. The same draws serve every ρ and each batch draws anew, so the
    standard error over batches includes the error of drawing.

    Parameters
    ----------
    losses, parameters, rho
        As for `sharpness`.
    draws : int
        Number of disturbances a batch; each is used with both signs, which cancels the linear term.
    seed : int
        Seed of a separate generator.

    Returns
    -------
    SharpnessEstimate

    References
    ----------
    Andriushchenko et al. (2023), arXiv:2302.07011, equation 1.
    """
    weights = {name: p.detach() for name, p in parameters.items()}
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for loss in losses:
        at_rest = loss(weights).item()
        disturbed = torch.zeros(len(rho), dtype=torch.float64)
        for _ in range(draws):
            noise = {
                name: w * torch.randn(w.shape, generator=generator).to(w)
                for name, w in weights.items()
            }
            for k, radius in enumerate(rho):
                for sign in (radius, -radius):
                    moved = {name: w + sign * noise[name] for name, w in weights.items()}
                    disturbed[k] += loss(moved).item() / (2 * draws)
        rows.append([(at_rest, value) for value in disturbed.tolist()])
    return _over_batches(rows)


def _worst_case(
    loss: Loss, weights: Mapping[str, Tensor], rho: float, iterations: int
) -> tuple[float, float]:
    """Return the loss at ε = 0 and the largest one found, by APGD on u with ε = u |θ|."""
    scale = {name: w.abs() for name, w in weights.items()}

    def evaluate(u: Mapping[str, Tensor]) -> tuple[float, dict[str, Tensor]]:
        disturbed = {name: w + u[name] * scale[name] for name, w in weights.items()}
        leaves = {name: w.requires_grad_() for name, w in disturbed.items()}
        value = loss(leaves)
        if not value.requires_grad:
            return value.item(), {name: torch.zeros_like(w) for name, w in leaves.items()}
        slopes = torch.autograd.grad(value, list(leaves.values()), materialize_grads=True)
        return value.item(), dict(zip(leaves, slopes, strict=True))

    def clamp(u: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: v.clamp(-rho, rho) for name, v in u.items()}

    u = previous = {name: torch.zeros_like(w) for name, w in weights.items()}
    value, slope = evaluate(u)
    at_rest, best, best_u, best_slope = value, value, u, slope
    step, momentum, increases = 2 * rho, 1.0, 0
    halved, best_last = False, value
    checkpoints = dict(_checkpoints(iterations))
    for k in range(iterations):
        ahead = clamp({name: u[name] + step * slope[name].sign() for name in u})
        moved = {
            name: u[name] + momentum * (ahead[name] - u[name]) + (1 - momentum) * (u[name] - before)
            for name, before in previous.items()
        }
        previous, u, momentum = u, clamp(moved), 0.75
        last, (value, slope) = value, evaluate(u)
        if value != value:
            return nan, nan
        increases += value > last
        if value > best:
            best, best_u, best_slope = value, u, slope
        if k + 1 in checkpoints:
            stuck = not halved and best == best_last
            halved = increases < 0.75 * checkpoints[k + 1] or stuck
            if halved:  # go on from the best point, with half the step
                step /= 2
                u, value, slope = best_u, best, best_slope
            increases, best_last = 0, best
    return at_rest, best


def _checkpoints(iterations: int) -> Iterator[tuple[int, int]]:
    """Yield where the step may be halved, and the iterations since the last such place."""
    before, position, at = 0.0, 0.22, 0
    while position < 1:
        here = ceil(round(position * iterations, 9))
        if here > at:
            yield here, here - at
        at = here
        before, position = position, position + max(position - before - 0.03, 0.06)


def _over_batches(rows: Sequence[Sequence[tuple[float, float]]]) -> SharpnessEstimate:
    table = torch.tensor(rows, dtype=torch.float64)  # (batch, rho, at rest and disturbed)
    rises = table[..., 1] - table[..., 0]
    n = len(rows)
    se = rises.std(0) / n**0.5 if n > 1 else torch.full_like(rises[0], nan)
    return SharpnessEstimate(
        tuple(rises.mean(0).tolist()), tuple(se.tolist()), tuple(table[..., 1].mean(0).tolist())
    )
