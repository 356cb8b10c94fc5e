"""The three terms of a difference."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.analysis.gap.lines import STEPS
from trajlab.analysis.gap.decomposition import TERMS, decompose
from trajlab.analysis.runs.curve import (
    RULES,
)
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
    assert parts.common_loss == pytest.approx(0.2)
    known = dict(zip(TERMS, np.isfinite(parts.terms.estimate), strict=True))
    assert known == {"delta": True, "matched": read, "reach": read, "selection": True}
    assert np.isfinite([parts.first, parts.last]).tolist() == [read, read]
