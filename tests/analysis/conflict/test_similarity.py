"""Cosines of Gram matrices against the gradients themselves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from trajlab.analysis.conflict import similarity

GRADIENTS = arrays(np.float64, (4, 6), elements=st.floats(-10, 10).map(lambda x: round(x, 3)))


def cosine(a, b):
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


@given(GRADIENTS, arrays(np.float64, 4, elements=st.floats(0.1, 3)))
def test_similarity_agrees_with_the_gradients_themselves(gradients, weights):
    gram = gradients @ gradients.T
    update = weights @ gradients
    norms = np.linalg.norm(gradients, axis=1)
    for i in range(4):
        others = update - weights[i] * gradients[i]
        for vector, value in (
            (update, similarity.cosine_to_update(gram, weights)[i]),
            (others, similarity.cosine_to_others(gram, weights)[i]),
        ):
            if norms[i] == 0:
                assert np.isnan(value)
            elif np.linalg.norm(vector) > 1e-3:
                assert value == pytest.approx(cosine(gradients[i], vector), abs=1e-6)
        for j in range(4):
            if norms[i] and norms[j]:
                expected = 2 * norms[i] * norms[j] / (norms[i] ** 2 + norms[j] ** 2)
                found = similarity.magnitude_similarity(gram)[i, j]
                assert found == pytest.approx(expected, abs=1e-9)
                found = similarity.cosine(gram)[i, j]
                assert found == pytest.approx(cosine(gradients[i], gradients[j]), abs=1e-9)


@given(GRADIENTS, st.floats(1e-3, 1e3))
def test_cosines_ignore_scale(gradients, scale):
    gram = gradients @ gradients.T
    assert similarity.cosine(gram * scale**2) == pytest.approx(
        similarity.cosine(gram), abs=1e-9, nan_ok=True
    )


def test_orthogonal_gradients_of_equal_norm_have_one_over_root_k():
    assert similarity.cosine_to_update(np.eye(4), np.ones(4)) == pytest.approx(np.full(4, 0.5))
    assert similarity.cosine_to_others(np.eye(4), np.ones(4)) == pytest.approx(np.zeros(4))


def test_a_missing_task_leaves_the_others_alone():
    gram = np.array([[1.0, 0.5, np.nan], [0.5, 1.0, np.nan], [np.nan, np.nan, np.nan]])
    found = similarity.cosine_to_update(gram, np.ones(3))
    assert found[:2] == pytest.approx(similarity.cosine_to_update(gram[:2, :2], np.ones(2)))
    assert np.isnan(found[2])


def test_tiny_gradients_keep_their_cosine():
    gram = 1e-250 * np.array([[2.0, 1.0], [1.0, 2.0]])
    assert similarity.cosine(gram)[0, 1] == pytest.approx(0.5)
