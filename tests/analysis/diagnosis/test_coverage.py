"""Studies whose truth is known: what is false is rarely said, what is true often."""

from functools import partial

import numpy as np
import pytest

from benchmarks.coverage.counts import count, said
from benchmarks.coverage.paths import rising, smooth
from benchmarks.coverage.sentences import ANY
from benchmarks.coverage.studies import Method, Study
from trajlab.analysis import factors, gap, runs_from_frame

RARELY = 11  # of 100 at a level of .05: more is said in 1.1 % of cases
GAP = Method(), Method(gap=0.8)
QUIET = Method(partial(smooth, floor=-1.0), noise=0.2), Method(noise=0.2)
AGAIN = Method(rising), Method(partial(smooth, floor=-2.5))


@pytest.mark.parametrize(
    "study",
    [
        Study("gap", GAP, seeds=3, false=("reach", "checkpoint"), true=("present",)),
        Study("rises again", AGAIN, false=("present", "longer training")),
        Study("got worse", AGAIN, validation=False, true=("got worse",)),
        Study("still falling", QUIET, false=("got worse",), true=("longer training",)),
    ],
    ids=lambda study: study.name,
)
def test_verdicts_keep_their_level_and_have_power(study):
    found = count(study, 1)
    assert all(found[kind] <= RARELY for kind in study.false)
    assert all(found[kind] >= 20 for kind in study.true)


@pytest.mark.parametrize(
    "study",
    [
        Study("alike", tasks=2, factors=True, seeds=3, false=(ANY,)),
        Study("gap", GAP, tasks=2, false=("reach",), true=("present", "improved or lowered")),
        Study("margin", margin=0.5, seeds=10, true=("no transfer",)),
    ],
    ids=lambda study: study.name,
)
def test_the_short_way_says_what_a_whole_verdict_says(study):
    rng = np.random.default_rng(1)
    for _ in range(3):
        said(study, rng, whole=True)  # raises where they differ


def test_factors_establish_a_difference_by_the_test_of_the_gap():
    """Sides evaluated at other distances, whose Δ is read at the larger one."""
    study = Study("cadences", (Method(evaluations=12), Method(evaluations=60)), factors=True)
    runs = runs_from_frame(study.frame(study.draw(np.random.default_rng(0))), metrics=["accuracy"])
    rows = factors(runs).delta
    found = rows[rows["factor"] == "final_metric"].iloc[0]
    expected = gap(runs).summary.iloc[0]
    assert found["p_value"] == pytest.approx(expected["delta_p"])
    assert found["delta"] == pytest.approx(expected["delta"])
