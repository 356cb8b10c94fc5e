"""How much the gradients of single examples scatter around their mean."""

from dataclasses import dataclass
from math import inf, isfinite, nan

import torch
from torch import Tensor

from trajlab.errors import TrajlabError

_ROUNDING = 100  # roundings that a squared norm may be off by


@dataclass(frozen=True)
class NoiseEstimate:
    """Gradient noise of one task.

    Attributes
    ----------
    covariance_trace : float
        tr Σ = E_i ‖∇ℓ_i − ∇L‖²; an estimate may be negative, and is kept.
    gradient_norm_sq : float
        ‖∇L‖², corrected for noise; an estimate may be negative, and is kept.
    noise_scale : float
        tr Σ / ‖∇L‖², NaN where the denominator is not positive.
    reason : str
        Why the numbers are NaN, if it is known; else empty.
    """

    covariance_trace: float
    gradient_norm_sq: float
    noise_scale: float
    reason: str = ""


_IMPOSSIBLE = NoiseEstimate(
    nan,
    nan,
    nan,
    "the squared gradient norms of single examples are smaller than that of their mean, which is "
    "impossible: they were measured wrongly",
)


def gradient_noise(
    small: float, small_size: int, large: float, large_size: int, *, population: float = inf
) -> NoiseEstimate:
    """Estimate the gradient noise from squared gradient norms at two batch sizes.

    A mean of Z of N examples has the expected squared norm ‖∇L‖² + tr Σ A_Z / Z, with the
    finite-population correction A_Z = (N − Z) / (N − 1). Two sizes give two equations. With
    per-example gradients (`small_size` 1) and the whole population (`large_size` N) both are exact.

    Parameters
    ----------
    small : float
        Mean of ‖gradient‖² over batches of `small_size` examples.
    small_size : int
    large : float
        ‖gradient‖² of the mean over all these batches, `large_size` examples.
    large_size : int
    population : float
        N, the examples in the data set that the batches were drawn from without replacement;
        infinite by default.

    Returns
    -------
    NoiseEstimate

    Raises
    ------
    TrajlabError
        If the sizes are not 1 ≤ small < large ≤ population.

    References
    ----------
    S. McCandlish et al., *An Empirical Model of Large-Batch Training* (2018), arXiv:1812.06162,
    appendix A.1; Mueller et al. (2024), arXiv:2408.14677, for the correction.
    """
    if not 1 <= small_size < large_size <= population:
        raise TrajlabError(
            f"batches of {small_size} and {large_size} out of {population} examples give no noise "
            "estimate; give two or more batches, and the number of examples they were drawn from"
        )

    def per_example(size: int) -> float:
        correction = (population - size) / (population - 1) if isfinite(population) else 1.0
        return correction / size

    trace = (small - large) / (per_example(small_size) - per_example(large_size))
    norm_sq = large - trace * per_example(large_size)
    return NoiseEstimate(trace, norm_sq, trace / norm_sq if norm_sq > 0 else nan)


class NoiseOverBatches:
    """Accumulates gradients batch by batch; their noise, with its jackknife standard error.

    The jackknife leaves out one group of batches at a time; memory is (groups + 1) × parameters.

    Parameters
    ----------
    groups : int
        Of batches; batch a falls into group a mod `groups`.
    """

    def __init__(self, *, groups: int = 10) -> None:
        self._gradients: list[Tensor] = []
        # for each group: units, sum of their squared norms, sum of their denominators
        self._sums = torch.zeros(groups, 3, dtype=torch.float64)
        self._batches = 0

    def add(self, norms: Tensor, gradient: Tensor, denominator: float) -> None:
        """Take one batch.

        Parameters
        ----------
        norms : Tensor
            Squared gradient norms of its units, shape (unit,): its examples, or itself alone.
        gradient : Tensor
            Sum of the units' gradients, shape (parameters,). It may be changed.
        denominator : float
            Of that sum: the units' number, or their weight.
        """
        group = self._batches % len(self._sums)
        self._batches += 1
        if group < len(self._gradients):
            self._gradients[group] += gradient
        else:
            self._gradients.append(gradient)
        self._sums[group] += torch.tensor(
            [len(norms), norms.sum().item(), denominator], dtype=torch.float64
        )

    def result(
        self, *, size: int = 1, population: float | None = None
    ) -> tuple[NoiseEstimate, NoiseEstimate]:
        """Estimate the noise from all batches, and its standard errors.

        Parameters
        ----------
        size : int
            Examples in a unit.
        population : float, optional
            As for `gradient_noise`; by default the examples that were given are the population.

        Returns
        -------
        NoiseEstimate
            The estimate.
        NoiseEstimate
            The standard error of each number, as an estimate for an infinite population; NaN where
            too few batches are left to leave one out.
        """
        total = torch.stack(self._gradients).sum(0)
        sums = self._sums.sum(0)
        noise = _noise(sums, total, size, population)
        unknown = NoiseEstimate(nan, nan, nan)
        groups = self._sums[: len(self._gradients)]
        if len(groups) < 2 or (sums[0] - groups[:, 0]).min() < 2:
            return noise, unknown
        left_out = [
            _noise(sums - gone, total - gradient, size, population)
            for gone, gradient in zip(groups, self._gradients, strict=True)
        ]
        rows = torch.tensor(
            [[n.covariance_trace, n.gradient_norm_sq, n.noise_scale] for n in left_out],
            dtype=torch.float64,
        )
        n = len(rows)
        errors = ((n - 1) / n * (rows - rows.mean(0)).square().sum(0)).sqrt()
        return noise, NoiseEstimate(*errors.tolist())


def _noise(sums: Tensor, total: Tensor, size: int, population: float | None) -> NoiseEstimate:
    units, norms, denominator = sums.tolist()
    examples = round(units) * size
    small = norms / units * (units / denominator) ** 2  # scaled so that the mean is the loss's
    large = torch.linalg.vector_norm(total, dtype=torch.float64).item() ** 2 / denominator**2
    if size == 1 and large > small:  # no mean of examples can be longer than they are
        if large - small > _ROUNDING * torch.finfo(total.dtype).eps * large:
            return _IMPOSSIBLE
        large = small
    return gradient_noise(
        small,
        size,
        large,
        examples,
        population=population or examples,
    )
