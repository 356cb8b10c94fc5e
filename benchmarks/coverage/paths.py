"""How a training loss may run: log10 of the loss over the share of training that is done."""

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

START = 0.4


def smooth(done: FloatArray, floor: float = -3.0) -> FloatArray:
    """Fall fast, then slowly."""
    return START + (floor - START) * np.sqrt(done)


def drops(done: FloatArray, floor: float = -3.0) -> FloatArray:
    """Fall at once where the learning rate drops: at one half and three quarters."""
    steps = np.where(done > 0.75, 1.0, np.where(done > 0.5, 0.75, 0.4))
    return START + (floor - START) * (0.8 * steps + 0.2 * done)


def rising(done: FloatArray, floor: float = -2.5, rise: float = 1.0) -> FloatArray:
    """Rise again, by `rise` decades, from 60 % of training on."""
    return smooth(np.minimum(done / 0.6, 1), floor) + rise * np.maximum(done - 0.6, 0) / 0.4


def oscillating(done: FloatArray, floor: float = -3.0) -> FloatArray:
    """Fall in waves of half a decade."""
    return smooth(done, floor) + 0.25 * np.sin(2 * np.pi * 12 * done)


def double_descent(done: FloatArray, floor: float = -3.0) -> FloatArray:
    """Fall, rise by a decade around two fifths of training, and fall again."""
    return smooth(done, floor) + np.exp(-(((done - 0.4) / 0.1) ** 2))


def stuck(done: FloatArray) -> FloatArray:
    """Never train."""
    return np.full(done.shape, START)


PATHS = {path.__name__: path for path in (smooth, drops, rising, oscillating, double_descent)}
