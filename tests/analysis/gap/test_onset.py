"""Where a gap begins."""

import numpy as np

from trajlab.analysis.gap.onset import first, persistence, sustained


def test_sustained_stops_at_the_first_failure():
    gaps = np.array([1.0, 1, 1, -1, 1])
    assert sustained(gaps, np.array([True, True, False, True, True])) == 1
    assert sustained(gaps, np.full(5, True)) == 2  # another sign is a failure
    assert sustained(gaps, np.array([False, True, True, True, True])) is None
    assert sustained(np.array([1.0, np.nan, 1.0]), np.array([True, False, True])) == 0
    assert sustained(np.empty(0), np.empty(0, bool)) is None


def test_first_is_the_highest_loss_from_which_the_sign_stays():
    gaps = np.array([1.0, 1, 1, -1, 1])
    assert first(gaps, np.array([False, False, True, True, True])) == 2
    assert first(gaps, np.array([False, False, False, True, True])) is None
    assert first(np.array([1.0, np.nan, 1.0]), np.array([False, False, True])) == 2


def test_persistence_counts_known_points_up_to_the_onset():
    significant = np.array([False, True, True])
    assert persistence(np.array([1.0, np.nan, 1.0]), significant, 2) == 0.5
    for beyond in (False, True):
        assert persistence(np.ones(3), np.array([False, True, beyond]), 1) == 0.5
    assert np.isnan(persistence(np.ones(5), np.full(5, True), None))
