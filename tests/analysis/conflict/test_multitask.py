"""Conflict of all tasks together."""

import numpy as np
import pandas as pd
import pytest

from trajlab.analysis.conflict import multitask


def test_directional_and_magnitude_conflict_and_norm_share_by_hand():
    gram = np.array([[4.0, 0.0], [0.0, 1.0]])  # orthogonal, norms 2 and 1
    assert multitask.directional(gram) == pytest.approx(0)
    assert multitask.magnitude(gram) == pytest.approx(1.5**2 / 2.5**2)
    assert multitask.norm_share(gram) == pytest.approx([2 / 3, 1 / 3])
    opposed = np.array([[1.0, -1.0], [-1.0, 1.0]])
    assert multitask.directional(opposed) == pytest.approx(-0.5)
    assert multitask.magnitude(opposed) == pytest.approx(0)


@pytest.mark.parametrize(("n", "ends"), [(10, 1), (11, 2)])
@pytest.mark.parametrize("keys", [[], ["pair"]])
def test_early_and_late_are_tenths_of_the_steps_of_each_run(n, ends, keys):
    """Three pairs a step; one run recorded at other steps, and as many."""
    rows = pd.DataFrame(
        [
            {"run": run, "step": every * step, "pair": pair, "cosine": shift + step**2 + pair}
            for run, every, shift in (("a", 1, 0.0), ("b", 7, 100.0))
            for step in range(n)
            for pair in range(3)
        ]
    )
    made = multitask.over_training(rows, keys, ["cosine"], 0.95)
    squares = np.arange(n) ** 2
    pairs = range(3) if keys else [1]  # without keys, the mean over pairs
    for (_, row), pair in zip(made.iterrows(), pairs, strict=True):
        assert row["cosine"] == pytest.approx(50 + squares.mean() + pair)
        assert row["cosine_early"] == pytest.approx(50 + squares[:ends].mean() + pair)
        assert row["cosine_late"] == pytest.approx(50 + squares[-ends:].mean() + pair)
        assert row["cosine_high"] - row["cosine"] == pytest.approx(12.7062 * 50, rel=1e-4)
