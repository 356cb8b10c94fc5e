"""How long resampling takes for 1,000 runs of 200 checkpoints, next to SciPy's own.

    python -m benchmarks.resampling [--quick] [--json]

Both sides of a pair get the same data and number of resamples, take turns, and are timed in process
time; the ratio is SciPy's time over ours, its median and quartiles over rounds.
"""

import argparse
from collections.abc import Callable
from time import process_time

import numpy as np
from scipy import stats

from benchmarks.results import tell
from trajlab.analysis.correlate.association import associate
from trajlab.analysis.statistics.resampling import DRAWS, bootstrap_means, permutation_test

RUNS, CHECKPOINTS = 1_000, 200
PAIRED = 499  # resamples that both sides of a pair draw


def timed(function: Callable[[], object]) -> float:
    """Return the process time of one call, in seconds."""
    start = process_time()
    function()
    return process_time() - start


def pairs(x: np.ndarray, y: np.ndarray) -> dict[str, tuple[Callable, Callable]]:
    """Return, by name, ours and SciPy's."""
    a, b = x - x.mean(), y[:, 0] - y[:, 0].mean()
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    strata, runs = np.zeros(RUNS, int), np.arange(RUNS)

    def correlate(sample: np.ndarray, axis: int) -> np.ndarray:
        return np.tensordot(sample, b, axes=(axis, 0))

    return {
        "bootstrap of the mean curve": (
            lambda: bootstrap_means(y, runs, PAIRED),
            lambda: stats.bootstrap(
                (y,), np.mean, axis=0, n_resamples=PAIRED, batch=10, method="percentile"
            ),
        ),
        "permutation test of a correlation": (
            lambda: permutation_test(lambda index: a[index] @ b, strata, resamples=PAIRED),
            lambda: stats.permutation_test(
                (a,), correlate, permutation_type="pairings", vectorized=True, n_resamples=PAIRED
            ),
        ),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round, a twentieth of the tests")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=RUNS), rng.normal(size=(RUNS, CHECKPOINTS)).cumsum(axis=1)
    rows = {}
    for name, sides in pairs(x, y).items():
        ratios = []
        for _ in range(1 if given.quick else 5):
            ours, scipy = (timed(side) for side in sides)
            ratios.append(scipy / max(ours, 1e-9))
        low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
        rows[name] = {"ratio": middle, "low": low, "high": high}
    columns = y.T[: CHECKPOINTS // 20] if given.quick else y.T
    rows["all"] = {
        f"bootstrap of {CHECKPOINTS} checkpoints, {DRAWS} samples (s)": timed(
            lambda: bootstrap_means(y, np.arange(RUNS))
        ),
        f"Spearman at {len(columns)} checkpoints, {DRAWS} permutations each (s)": timed(
            lambda: [associate(x, column, "spearman") for column in columns]
        ),
    }
    tell(rows, lambda key, value: f"  {key:70s} {value:8.2f}", as_json=given.json)


if __name__ == "__main__":
    main()
