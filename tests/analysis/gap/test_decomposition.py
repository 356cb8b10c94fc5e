"""The three terms of a difference."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from tests.analysis.gap.lines import STEPS, group, line
from trajlab.analysis.gap.decomposition import TERMS, closed_p, decompose
from trajlab.analysis.runs.curve import RULES, isotonic
from trajlab.analysis.runs.evaluations import Evaluations


@given(arrays(np.float64, (6, 3, 40), elements=st.floats(-1, 1)), st.sampled_from(list(RULES)))
def test_the_terms_add_exactly(noise, rule):
    falling = np.linspace(0, -3, 40)
    runs = [Evaluations.clean(STEPS[:40], 10 ** (falling + a), 90 + b, 90 + c) for a, b, c in noise]
    terms = decompose(runs[:3], runs[3:], rule).terms.estimate
    if np.isfinite(terms).all():  # not where the common loss lies in a hole
        assert terms[0] == pytest.approx(terms[1:].sum(), abs=1e-9)


@pytest.mark.parametrize(("decades", "read"), [(0.49, True), (0.51, False)])
def test_what_is_read_inside_a_hole_is_missing(decades, read):
    """The common loss .2 lies between two evaluations of the runs, half a decade apart or so."""
    upper = 0.1 * 10**decades
    runs = [Evaluations.clean([1, 2, 3], [1.0, upper, 0.1], [80, 85, 90 + s]) for s in range(3)]
    baseline = [Evaluations.clean([1, 2, 3], [1.0, 0.5, 0.2], [80, 83, 86 + s]) for s in range(3)]
    parts = decompose(runs, baseline)
    assert 10**parts.common.log_loss == pytest.approx(0.2)
    known = dict(zip(TERMS, np.isfinite(parts.terms.estimate), strict=True))
    assert known == {"delta": True, "matched": read, "reach": read, "selection": True}
    assert np.isfinite([parts.first, parts.last]).tolist() == [read, read]


def test_the_terms_at_a_loss_of_ones_own():
    """Of lines in the logarithm of the loss, E = 90 − 2 log L against 89 − log L."""
    runs, baseline = group(-2.0, 90.0, end=-5.0), group(-1.0, 89.0, end=-4.0)
    lowest, higher = decompose(runs, baseline), decompose(runs, baseline, log_loss=-2.0)
    assert higher.terms.estimate[1] == pytest.approx(3)
    assert higher.terms.estimate[[0, 3]] == pytest.approx(lowest.terms.estimate[[0, 3]])
    assert (higher.first, higher.last) == pytest.approx((3, 3))
    assert higher.common.log_loss == lowest.common.log_loss == pytest.approx(-4)


def test_no_curve_is_read_below_itself():
    """The loss rises again; the score is the loss alone, and isotonic pools the rise."""
    loss = 10 ** np.array([0, -0.5, -1, -1.5, -2, -1.5, -1, -1])
    rises = Evaluations.clean(STEPS[1:9], loss, -np.log10(loss))
    even = np.linspace(0, -2, 9)
    falls = Evaluations.clean(STEPS[:9], 10**even, -even)
    parts = decompose([rises, rises], [falls, falls])
    assert parts.common.log_loss == pytest.approx(isotonic(rises).log_loss[0])
    assert parts.common.log_loss > -2
    assert parts.common.set_by[0] == 0
    assert parts.terms.estimate[1] == pytest.approx(0, abs=1e-3)
    apart = Evaluations.clean(STEPS[1:4], [5.0, 4.0, 3.0], [0, 0, 0])
    nothing = decompose([apart], [falls])
    assert np.isnan([nothing.common.log_loss, nothing.terms.estimate[1]]).all()


@pytest.mark.parametrize(("highest", "named"), [(-1.45, True), (-1.55, False)])
def test_the_terms_without_the_run_that_sets_the_common_loss(highest, named):
    """Its curve ends more, or less, than half a decade above that of the next: -2."""
    ends = [(-2.0, 1.0), (-2.5, 1.1), (-2.6, 1.2)]
    runs = [
        Evaluations.clean(STEPS[1:41], 10 ** np.linspace(0, e, 40), np.full(40, s)) for e, s in ends
    ]
    high = Evaluations.clean(STEPS[1:41], 10 ** np.linspace(0, highest, 40), np.full(40, 50.0))
    parts = decompose([*runs, high], runs)
    assert parts.common.set_by == (0, 3)
    assert (parts.without is not None) == named
    if parts.without is not None:
        assert parts.without.estimate[:2] == pytest.approx([0, 0])


def test_equal_shares_of_unequal_numbers_of_evaluations():
    run = Evaluations.clean(np.arange(1, 41), np.full(40, 0.1), np.arange(40.0), np.arange(40.0))
    assert (run.end_score(), run.end_score(10)) == (37.5, 34.5)
    assert (run.best_score(), run.best_score(10)) == (37.5, 34.5)
    assert run.selectable(39)
    assert not run.selectable(40)


@pytest.mark.parametrize(
    ("p", "closed"),
    [
        # of Δ, matched, reach, selection, and of matched and reach together
        ((0.04, 0.01, 0.9, 0.9, 0.02), [0.04, 1, 1]),
        ((0.01, 0.02, 0.9, 0.9, 0.04), [0.04, 1, 1]),  # the difference in the end
        ((0.01, 0.02, 0.9, 0.9, 0.01), [0.025, 1, 1]),  # matched and selection: four fifths
        ((0.01, 0.9, 0.02, 0.9, 0.01), [1, 0.025, 1]),
        ((0.01, 0.02, 0.9, 0.001, 0.01), [0.02, 0.9, 0.01]),  # selection differs as well
        ((0.001, 0.9, 0.9, 0.004, 0.9), [0.9, 0.9, 0.02]),  # selection alone: a fifth
        ((0.001, 0.01, 0.02, 0.004, 0.9), [0.9, 0.9, 0.02]),
    ],
)
def test_a_term_differs_where_every_test_that_it_is_0_says_so(p, closed):
    assert closed_p(*p).tolist() == pytest.approx(closed)


def test_without_a_choice_of_checkpoints_there_are_two_terms():
    assert closed_p(0.01, 0.02, 0.9, np.nan, 0.03)[:2].tolist() == [0.03, 0.9]


def test_an_unread_term_does_not_differ():
    assert not (closed_p(0.01, np.nan, np.nan, 0.001, np.nan) < 0.05)[:2].any()


def test_closed_testing_of_runs_against_scipy():
    """Scores that fall, and evaluations chosen elsewhere: each sum by hand, from single runs."""
    rng = np.random.default_rng(3)
    falling = 10 ** np.linspace(0, -2, 40)

    def side(shift):
        scores = (
            80 + shift * np.arange(40) / 40 + rng.normal(0, 0.4, (4, 1)) + rng.normal(size=(4, 40))
        )
        return [Evaluations.clean(STEPS[:40], falling, s, rng.normal(size=40)) for s in scores]

    runs, baseline = side(2.0), side(0.0)
    parts = decompose(runs, baseline)
    read = [
        np.array([[r.best_score(), r.score[-1], r.score[-4:].mean()] for r in group]).T
        for group in (runs, baseline)
    ]
    chosen, common, end = (np.array([a, b]) for a, b in zip(*read, strict=True))
    of = {"delta": chosen, "matched": common, "reach": end - common, "selection": chosen - end}
    of["end"] = end
    p = {name: stats.ttest_ind(*values, equal_var=False).pvalue for name, values in of.items()}
    assert parts.closed == pytest.approx(closed_p(**p))
    assert parts.terms.p_value == pytest.approx(list(p.values())[:4])


@pytest.mark.parametrize("null", ["matched", "reach", "selection"])
def test_terms_that_are_0_are_told_in_at_most_the_level_of_studies(null):
    """Two terms differ clearly, one is 0, and all are correlated; then all are 0."""
    rng = np.random.default_rng(5)
    means = {name: 0.0 if name == null else 3.0 for name in TERMS[1:]}
    false = {"one": 0, "all": 0}
    for _ in range(1000):
        shared = rng.normal(size=(2, 5, 1))
        drawn = 0.5 * shared + rng.normal(size=(2, 5, 3))
        for world in false:
            a, b = drawn[0] + (list(means.values()) if world == "one" else 0.0), drawn[1]
            columns = [np.column_stack([s.sum(1), s, s[:, 0] + s[:, 1]]) for s in (a, b)]
            closed = closed_p(*stats.ttest_ind(*columns, equal_var=False).pvalue)
            told = closed < 0.05
            false[world] += told[list(means).index(null)] if world == "one" else told.any()
    assert max(false.values()) <= 0.05 * 1000 + 2 * np.sqrt(1000 * 0.05 * 0.95)


def test_a_side_that_still_falls_did_not_get_worse():
    """Its last tenth begins before it comes to the common loss; what rises again did get worse."""
    fall = [line(-1.0 + apart, 80 + apart) for apart in (-0.1, 0.0, 0.1)]
    deeper = [line(-1.0 + apart, 80 + apart, -6.0) for apart in (-0.1, 0.0, 0.1)]
    parts = decompose(fall, deeper)
    assert parts.common.log_loss == pytest.approx(-4.0)
    assert parts.own_reach[0].estimate == pytest.approx(0, abs=1e-9)
    again = [
        replace(run, train_loss=10 ** -np.minimum(run.step / 20, (140 - run.step) / 20))
        for run in fall
    ]
    worse = [replace(run, score=80 - np.log10(run.train_loss)) for run in again]
    shifts = zip(worse, (-0.1, 0.0, 0.1), strict=True)
    parts = decompose([replace(run, score=run.score + shift) for run, shift in shifts], deeper)
    assert parts.own_reach[0].estimate < -0.5
