"""When a comparison is not made, and what its numbers are said to stand on."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from trajlab.analysis import gap, runs_from_frame
from trajlab.analysis.gap.reasons import cadence, in_percent, left_out
from trajlab.analysis.interface.axis import TRAINING_LOSS
from trajlab.analysis.runs.evaluations import Evaluations
from trajlab.analysis.runs.sides import Side
from trajlab.errors import TrajlabError


def side(*scores, every=1):
    step = every * np.arange(1, len(scores) + 1)
    return Side((Evaluations.clean(step, 1 / step, np.array(scores, float)),))


@pytest.mark.parametrize(
    ("fractions", "percent", "mixed"),
    [
        ((0.4, 0.5, 0.6), (10.1,), True),
        ((0.4, 0.5, 0.6), (10.0,), False),  # twenty times
        ((0.01,), (1.01,), True),
        ((0.01,), (1.0,), False),  # fractions, both of them
        ((0.5, 1.0), (60.0, 100.0), True),
        ((0.5, 1.001), (60.0, 100.0), False),
        ((0.5, 1.0), (60.0, 100.1), False),
        ((0.0, 0.5), (60.0,), True),
        ((-0.1, 0.5), (60.0,), False),  # of a metric of which less is better
        ((0.0,), (60.0,), False),
    ],
)
def test_percent_against_fractions(fractions, percent, mixed):
    assert in_percent(side(*fractions), side(*percent)) == mixed
    assert in_percent(side(*percent), side(*fractions)) == mixed


def test_what_is_left_out_is_counted_on_both_sides_each_thing_once():
    counts = Counter(unevaluated=1, no_logarithm=2, unplaced=5, between=1, excluded=9)
    runs = replace(side(1, 2, 3), left_out=counts)
    counts = Counter(unevaluated=2, no_logarithm=3, unplaced=4, between=3, excluded=9)
    baseline = replace(side(1, 2), left_out=counts)
    told = left_out(runs, baseline, TRAINING_LOSS).split("; ")
    assert told == [
        "3 runs left out that were never evaluated",
        "5 of 5 evaluations left out at equal training loss: a loss at or below 0 has no logarithm "
        "(compare at equal steps, --x step)",
        "4 of 5 evaluations left out at equal training loss, which is not known at their steps",
        "training loss of 4 evaluations read between the steps at which it was recorded",
    ]
    assert left_out(side(1), side(1), TRAINING_LOSS) == ""
    # a loss at or below 0 has no place, and is told once
    below = replace(side(1), left_out=Counter(no_logarithm=2, unplaced=2))
    assert "not known at their steps" not in left_out(below, side(1), TRAINING_LOSS)


def test_a_run_without_any_known_loss_is_told():
    nowhere = Side((Evaluations.clean([1, 2], [np.nan, np.nan], [1.0, 2.0]),))
    for sides in ((nowhere, side(1)), (side(1), nowhere)):
        assert "a run has no evaluation with a known training loss" in left_out(
            *sides, TRAINING_LOSS
        )


def test_sides_evaluated_at_other_distances_are_told():
    runs, other = (side(*range(40), every=every).runs for every in (2, 3))
    assert cadence(runs, other).startswith("evaluated every 2 steps against every 3;")
    assert cadence(other, other) == ""
    assert cadence(side(1).runs, other) == ""  # one evaluation has no distance


@pytest.mark.parametrize("key", ["loss", "window", "baseline", "n_runs"])
def test_a_key_that_has_the_name_of_a_column_is_refused(key):
    rows = {"step": [1, 2], "task": "lm", "train_loss": [2.0, 1.0], "accuracy": [1.0, 2.0]}
    frames = [pd.DataFrame(rows | {key: own}) for own in ("focal", "plain")]
    runs = runs_from_frame(pd.concat(frames), metrics=["accuracy"])
    with pytest.raises(TrajlabError, match=f"metadata {key} cannot tell groups apart"):
        gap(runs, baseline={key: "plain"})
