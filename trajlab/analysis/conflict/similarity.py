"""How alike task gradients are, from the Gram matrices of their inner products.

A task whose gradient is zero has no direction: its cosines are NaN.
"""

import numpy as np

from trajlab.analysis.statistics.intervals import FloatArray


def cosine(gram: FloatArray) -> FloatArray:
    """Return the cosine of each two task gradients.

    Parameters
    ----------
    gram
        (…, T, T) inner products.

    Returns
    -------
    (…, T, T) array
        ⟨g_i, g_j⟩ / (‖g_i‖ ‖g_j‖), NaN where a gradient is zero or missing.
    """
    norms = _norms(gram)
    return _ratio(_finite(gram), norms[..., :, None] * norms[..., None, :])


def magnitude_similarity(gram: FloatArray) -> FloatArray:
    """Return 2 ‖g_i‖ ‖g_j‖ / (‖g_i‖² + ‖g_j‖²): 1 for equal norms, 0 where one is zero.

    `gram` are (…, T, T) inner products.

    References
    ----------
    T. Yu et al., "Gradient Surgery for Multi-Task Learning", NeurIPS 2020, definition 2.
    """
    norms = _norms(gram)
    a, b = norms[..., :, None], norms[..., None, :]
    return np.asarray(np.minimum(_ratio(2 * a * b, a**2 + b**2), 1.0))


def cosine_to_update(gram: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the cosine of each task gradient with the weighted sum of all of them.

    The sum holds the task's own gradient, so at equal norms and no likeness at all the cosine is
    1/√T; and on mini-batches it mostly measures noise.

    Parameters
    ----------
    gram
        (…, T, T) inner products.
    weights
        (…, T) weights of the tasks in the sum.

    Returns
    -------
    (…, T) array
        NaN where the gradient or the sum is zero, or a gradient is missing.

    References
    ----------
    D. Mueller, M. Dredze, N. Andrews, TMLR 2024, equation 6.
    """
    return _cosine_to_sum(gram, np.broadcast_to(weights[..., None, :], gram.shape))


def cosine_to_others(gram: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the cosine of each task gradient with the weighted sum of the others'.

    Parameters and result are those of :func:`cosine_to_update`; NaN for a task alone.
    """
    itself = np.eye(gram.shape[-1], dtype=bool)
    return _cosine_to_sum(gram, np.where(itself, 0.0, weights[..., None, :]))


def _cosine_to_sum(gram: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the cosine of gradient i with Σ_j w_ij g_j, for weights (…, T, T)."""
    present = np.nan_to_num(_finite(gram))  # a task without a gradient adds nothing to the sum
    product = np.einsum("...ij,...ij->...i", weights, present)
    square = np.einsum("...ij,...jk,...ik->...i", weights, present, weights)
    return _ratio(product, _norms(gram) * np.sqrt(np.maximum(square, 0.0)))


def _norms(gram: FloatArray) -> FloatArray:
    return np.asarray(np.sqrt(np.diagonal(_finite(gram), axis1=-2, axis2=-1)))


def _finite(gram: FloatArray) -> FloatArray:
    """Replace what overflowed by NaN: it has no direction either."""
    return np.where(np.isfinite(gram), gram, np.nan)


def _ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Divide, NaN where the denominator is 0; rounding must not leave [-1, 1]."""
    known = np.where(denominator > 0, denominator, np.nan)
    return np.asarray(np.clip(numerator / known, -1.0, 1.0))
