"""How often intervals hold the truth, and how often tests find what is not there.

The worlds are those of the tests in tests/analysis, with more trials: checkpoints of a run are
correlated, fronts are chosen on validation, items of a test set are shared. The nominal coverage is
.95 and the nominal error .05.
"""

from collections.abc import Iterator

import numpy as np

from tests.analysis.front.test_configurations import measured_distance
from tests.analysis.gap.test_item_error import two_sides
from tests.analysis.statistics.test_coverage import curves
from trajlab.analysis.correlate.association import associate
from trajlab.analysis.gap.decomposition import decompose
from trajlab.analysis.gap.onset import first, sustained
from trajlab.analysis.statistics.bands import simultaneous
from trajlab.analysis.statistics.difference import difference


def intervals(trials: int, rng: np.random.Generator) -> Iterator[tuple[str, float]]:
    """Yield the pointwise coverage over 60 points of correlated checkpoints."""
    for name, n, pairs in (("t", 3, False), ("t", 5, False), ("t", 4, True)):
        a, b = (np.moveaxis(curves(rng, 10 * trials, n), 1, 0) for _ in range(2))
        found = difference(a, b, name, pairs=pairs)
        what = f"gap, {name}, {n} {'pairs' if pairs else 'runs a side'}"
        yield what, float(1 - found.significant.mean())
    for n in (8, 10, 20):
        held = [
            1 - difference(*curves(rng, 2, n), "bootstrap", seed=seed).significant.mean()
            for seed in range(trials)
        ]
        yield f"gap, bootstrap, {n} runs a side", float(np.mean(held))


def bands(trials: int, rng: np.random.Generator) -> Iterator[tuple[str, float]]:
    """Yield how often a band holds the whole curve."""
    for n in (3, 5, 10):
        held = []
        for seed in range(trials):
            low, high = simultaneous(*curves(rng, 2, n), seed=seed)
            held.append(bool(((low <= 0) & (high >= 0)).all()))
        yield f"simultaneous band, {n} runs a side", float(np.mean(held))


def onsets(trials: int, rng: np.random.Generator) -> Iterator[tuple[str, float]]:
    """Yield how often an onset is found where there is no gap: errors."""
    a, b = (np.moveaxis(curves(rng, 5 * trials, 3), 1, 0) for _ in range(2))
    found = difference(a, b)
    for rule in (sustained, first):
        pairs = zip(found.estimate, found.significant, strict=True)
        share = np.mean([rule(*pair) is not None for pair in pairs])
        yield f"error of the onset {rule.__name__}", float(share)


def items(trials: int, rng: np.random.Generator) -> Iterator[tuple[str, float]]:
    """Yield the coverage over runs and items drawn anew."""
    held = []
    for _ in range(trials):
        terms = decompose(*two_sides(rng)).terms
        held.append(bool(terms.low[0] <= 0 <= terms.high[0]))
    yield "delta over runs and 400 test items, 3 runs a side", float(np.mean(held))


def fronts(trials: int, rng: np.random.Generator) -> Iterator[tuple[str, float]]:
    """Yield the coverage of the distance of those chosen, and of that of methods alike: 0."""
    for seeds in (2, 3, 5):
        for size in (18, 54):
            found = [measured_distance(rng, size, seeds, seed) for seed in range(trials)]
            what = f"signed distance, {seeds} seeds, {size} trials against 18"
            chosen = [row["low"] <= truth <= row["high"] for row, truth in found]
            yield f"{what}, of the configurations chosen", float(np.mean(chosen))
            methods = [row["low"] <= 0 <= row["high"] for row, _ in found]
            yield f"{what}, of the methods", float(np.mean(methods))


def correlations(trials: int, rng: np.random.Generator) -> Iterator[tuple[str, float]]:
    """Yield the coverage of intervals at ρ = .5, and the error of permutation tests at 0."""
    for n, interval in ((10, "fisher"), (24, "fisher")):
        held, errors = [], []
        for seed in range(trials):
            x, noise = rng.normal(size=(2, n))
            found = associate(x, 0.5 * x + np.sqrt(0.75) * noise, interval=interval)
            held.append(found.low <= 0.5 <= found.high)
            errors.append(associate(x, noise, "spearman", seed=seed).p_value < 0.05)
        yield f"Pearson at .5, {interval}, {n} units", float(np.mean(held))
        yield f"error of Spearman's permutation test, {n} units", float(np.mean(errors))
