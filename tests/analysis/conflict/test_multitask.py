"""Conflict of all tasks together."""

import numpy as np
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
