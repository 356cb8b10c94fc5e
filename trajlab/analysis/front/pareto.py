"""Sets of points that trade objectives off: fronts, distances between them, utility.

Every objective is to be maximised; negate those that are not.
"""

from collections.abc import Sequence

import numpy as np

from trajlab.analysis.statistics.intervals import FloatArray

FRONT_SAMPLES = 1_999
MOST_IN_VOLUME = 10  # objectives; the time of a hypervolume grows exponentially in them
MOST_ON_GRID = 4  # objectives whose weights are a full grid: 286 of them
_BLOCK = 500  # bootstrap samples at once
_PAIRS = 40_000  # of points compared at once


def non_dominated(points: FloatArray) -> FloatArray:
    """Return which points no other point is at least as good as everywhere, and better somewhere.

    Parameters
    ----------
    points
        (n, m) finite values.

    Returns
    -------
    (n,) bool array
        Equal points do not dominate each other.
    """
    better = [(points >= one).all(axis=1) & (points > one).any(axis=1) for one in points]
    return ~np.array([some.any() for some in better], bool)


def hypervolume(points: FloatArray, reference: FloatArray) -> float:
    """Return the volume that points dominate above a reference point.

    Parameters
    ----------
    points
        (n, m) finite values.
    reference
        (m,) values that every counted point exceeds.
    """
    import moocore  # pandas comes with it

    return float(moocore.hypervolume(points, ref=reference, maximise=True))


def signed_distance(points: FloatArray, front: FloatArray) -> FloatArray:
    """Return how far each point lies beyond (positive) or inside (negative) a front.

    The least number that, taken off every objective of the point, makes some point of the front at
    least as good: the additive ε of one point.

    Parameters
    ----------
    points
        (…, n, m) values.
    front
        (…, k, m) values.

    Returns
    -------
    (…, n) array

    References
    ----------
    E. Zitzler et al. (2003), IEEE Transactions on Evolutionary Computation 7, 117-132.
    """
    largest, _ = _leads(points, front)
    return np.asarray(largest.min(axis=-1))


def set_distance(points: FloatArray, front: FloatArray) -> FloatArray:
    """Return how far one set lies beyond another: half of its mean distance less the reverse one.

    Two sets that are alike but for noise have no distance on average, and a set moved by δ in every
    objective has δ; neither holds for the distance of one set alone.

    Parameters
    ----------
    points, front
        (…, n, m) and (…, k, m) values.
    """
    some = max(1, _PAIRS // (points.shape[-2] * front.shape[-2]))
    if points.ndim > 2 and len(points) > some:  # so that what is compared stays in the cache
        blocks = [slice(i, i + some) for i in range(0, len(points), some)]
        return np.concatenate([set_distance(points[block], front[block]) for block in blocks])
    largest, smallest = _leads(points, front)
    forth = largest.min(axis=-1).mean(axis=-1)
    back = -smallest.max(axis=-2).mean(axis=-1)
    return np.asarray((forth - back) / 2)


def _leads(points: FloatArray, front: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return by how much each point leads each of a front (…, n, k), at most and at least.

    One objective after the other: all at once would be an array of gigabytes.
    """
    lead = points[..., :, None, 0] - front[..., None, :, 0]
    largest, smallest = lead.copy(), lead.copy()
    for objective in range(1, points.shape[-1]):
        np.subtract(points[..., :, None, objective], front[..., None, :, objective], out=lead)
        np.maximum(largest, lead, out=largest)
        np.minimum(smallest, lead, out=smallest)
    return largest, smallest


def resampled_means(
    runs: Sequence[FloatArray], resamples: int = FRONT_SAMPLES, seed: int = 0
) -> FloatArray:
    """Return means of configurations with their seeds resampled.

    Residuals of all configurations are drawn together, because two or three seeds of one say little
    of its spread; they are widened by √(n/(n−1)), which their mean took off.

    Parameters
    ----------
    runs
        One (n, m) array a configuration, its runs.
    resamples, seed
        Number of samples, and seed of the draws.

    Returns
    -------
    (resamples, k, m) array
    """
    rng = np.random.default_rng(seed)
    several = [configuration for configuration in runs if len(configuration) > 1]
    residuals = np.concatenate(
        [
            (configuration - configuration.mean(axis=0))
            * np.sqrt(len(configuration) / (len(configuration) - 1))
            for configuration in several
        ]
    )
    residuals -= residuals.mean(axis=0)
    means = np.empty((resamples, len(runs), runs[0].shape[1]))
    for i, configuration in enumerate(runs):
        for first in range(0, resamples, _BLOCK):
            rows = means[first : first + _BLOCK]
            drawn = rng.integers(len(residuals), size=(len(rows), len(configuration)))
            rows[:, i] = configuration.mean(axis=0) + residuals[drawn].mean(axis=1)
    return means


def utility_weights(objectives: int, steps: int = 10) -> FloatArray:
    """Return weights of a utility Σ w_k E_k, which sum to 1.

    Up to `MOST_ON_GRID` objectives they are all multiples of 1/steps. That grid grows as
    (steps + 1)^(objectives − 1); beyond, they lie on the lines from equal weights to each objective
    alone.

    Parameters
    ----------
    objectives
        Number of objectives.
    steps
        Number of steps of the grid, or of each line.

    Returns
    -------
    (weights, objectives) array
        Without repetitions.
    """
    if objectives > MOST_ON_GRID:
        equal = np.full(objectives, 1 / objectives)
        share = (np.arange(1, steps + 1) / steps)[:, None]
        lines = [(1 - share) * equal + share * alone for alone in np.eye(objectives)]
        return np.vstack([equal, *lines])
    grids = np.indices((steps + 1,) * (objectives - 1)).reshape(objectives - 1, -1).T
    kept = grids[grids.sum(axis=1) <= steps]
    last = steps - kept.sum(axis=1, keepdims=True)
    return np.asarray(np.hstack([kept, last]) / steps)
