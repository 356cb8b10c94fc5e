"""Runs whose score is a straight line over the logarithm of the training loss."""

import numpy as np

from trajlab.analysis.runs.evaluations import Evaluations

STEPS = np.arange(1, 101)


def line(slope, offset, end=-4.0, noise=0.0, selection=None):
    """Return a run whose score is linear in log loss, which falls evenly to 10^end."""
    log_loss = np.linspace(0.0, end, STEPS.size)
    score = offset + slope * log_loss + noise
    return Evaluations.clean(STEPS, 10**log_loss, score, selection)


def group(slope, offset, end=-4.0, spread=(-0.1, 0.0, 0.1)):
    return [line(slope, offset + shift, end) for shift in spread]
