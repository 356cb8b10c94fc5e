"""Which runs of two sides belong together."""

import numpy as np
import pytest

from trajlab.analysis.runs.evaluations import Evaluations
from trajlab.analysis.runs.sides import Side


def side(*pair_ids, runs=None):
    made = [Evaluations.clean([1], [1.0], [float(i)]) for i in range(runs or len(pair_ids))]
    return Side(tuple(made), pair_ids=pair_ids, names=tuple(f"run {p}" for p in pair_ids))


@pytest.mark.parametrize(
    ("one", "other", "paired"),
    [
        (side("1", "2"), side("2", "1"), True),
        (side("1"), side("1"), False),  # a pair has no spread
        (side("1", "2"), side("1", "3"), False),
        (side("1", "2"), side("1", "2", "3"), False),
        (side("1", "2", "2"), side("1", "2", "1"), False),
        (side("1", "2", "2"), side("1", "2"), False),
        (side("", "1"), side("", "1"), False),
    ],
)
def test_every_run_has_exactly_one_partner(one, other, paired):
    assert one.paired_with(other) == paired
    assert other.paired_with(one) == paired


def test_runs_stand_in_the_order_of_their_pairs():
    ordered = side("2", "3", "1").by_pair()
    assert ordered.pair_ids == ("1", "2", "3")
    assert ordered.names == ("run 1", "run 2", "run 3")
    assert np.concatenate([run.score for run in ordered.runs]).tolist() == [2, 0, 1]
