"""How much the gradients of single examples scatter around their mean."""

from dataclasses import dataclass
from math import inf, isfinite, nan

from trajlab.errors import TrajlabError


@dataclass(frozen=True)
class GradientNoise:
    """Gradient noise of one task.

    Attributes
    ----------
    covariance_trace : float
        tr Σ = E_i ‖∇ℓ_i − ∇L‖²; an estimate may be negative, and is kept.
    gradient_norm_sq : float
        ‖∇L‖², corrected for noise; an estimate may be negative, and is kept.
    noise_scale : float
        tr Σ / ‖∇L‖², NaN where the denominator is not positive.
    """

    covariance_trace: float
    gradient_norm_sq: float
    noise_scale: float


def gradient_noise(
    small: float, small_size: int, large: float, large_size: int, population: float = inf
) -> GradientNoise:
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
    GradientNoise

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
    return GradientNoise(trace, norm_sq, trace / norm_sq if norm_sq > 0 else nan)
