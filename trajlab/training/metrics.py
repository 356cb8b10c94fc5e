"""What a task is scored by: counts of batches, and a value of them all together."""

from collections.abc import Callable
from dataclasses import dataclass
from math import nan

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Metric:
    """A score of a whole split, from counts of its batches.

    Attributes
    ----------
    count
        From outputs and targets of a batch to what is joined, in float64.
    value
        From what all batches join to to the score.
    higher_is_better
        Its direction.
    join
        From the counts so far and those of a batch to both: their sum.
    """

    count: Callable[[Tensor, Tensor], Tensor]
    value: Callable[[Tensor], float]
    higher_is_better: bool = True
    join: Callable[[Tensor, Tensor], Tensor] = torch.add


def correct(outputs: Tensor, targets: Tensor) -> Tensor:
    """Tell for each example whether its largest logit is the target's: bool ``(n,)``."""
    return outputs.argmax(-1) == targets


def mean(score: Callable[[Tensor, Tensor], Tensor], *, higher_is_better: bool = True) -> Metric:
    """Return the mean of a score of single entries.

    Parameters
    ----------
    score
        From outputs and targets to one value an entry, of any shape.
    higher_is_better
        Its direction.
    """

    def count(outputs: Tensor, targets: Tensor) -> Tensor:
        values = score(outputs, targets).double()
        return torch.stack((values.sum(), values.new_tensor(values.numel())))

    return Metric(count, _ratio, higher_is_better)


def _ratio(counts: Tensor) -> float:
    return float(counts[0] / counts[1])


def _percent(outputs: Tensor, targets: Tensor) -> Tensor:
    return correct(outputs, targets).double() * 100


accuracy = mean(_percent)
"""Share of examples whose largest logit is the target's, in percent."""


def correct_sign(outputs: Tensor, targets: Tensor) -> Tensor:
    """Tell for each example whether its logit ``(n,)`` has the target's sign: bool ``(n,)``."""
    return (outputs > 0) == targets.bool()


def _confusion(outputs: Tensor, targets: Tensor) -> Tensor:
    """Count true positives, and all that is positive in prediction or truth."""
    predicted, true = outputs > 0, targets.bool()
    return torch.stack(((predicted & true).sum(), predicted.sum() + true.sum())).double()


def _f1(counts: Tensor) -> float:
    return float(200 * counts[0] / counts[1])


binary_accuracy = mean(lambda outputs, targets: correct_sign(outputs, targets).double() * 100)
"""Share of examples whose logit has the target's sign, in percent."""

f1 = Metric(_confusion, _f1)
"""F1 of the positive class, in percent; NaN where nothing is positive in prediction and truth."""


def _ranked(outputs: Tensor, targets: Tensor) -> Tensor:
    """Keep logits and targets ``(2, n)``: a ranking is of the whole split."""
    return torch.stack((outputs, targets)).double()


def _average_precision(ranked: Tensor) -> float:
    from sklearn.metrics import average_precision_score

    logits, targets = ranked.cpu().numpy()
    if not targets.any() or not np.isfinite(logits).all():
        return nan
    return 100 * float(average_precision_score(targets, logits))


average_precision = Metric(
    _ranked, _average_precision, join=lambda before, batch: torch.cat((before, batch), 1)
)
"""Average precision of the positive class, in percent; NaN where nothing is positive, or a logit is
not finite. Unlike
accuracy it moves where positives are few, and has no threshold."""


def _outcomes(outputs: Tensor, targets: Tensor) -> Tensor:
    """Count what is (in truth negative, positive) × (predicted negative, positive)."""
    pairs = 2 * targets.long() + (outputs > 0).long()
    return torch.bincount(pairs, minlength=4).double()


def _matthews(counts: Tensor) -> float:
    table = counts.reshape(2, 2)
    spread = float(torch.cat((table.sum(0), table.sum(1))).prod().sqrt())
    return 100 * float(torch.linalg.det(table)) / spread if spread else 0.0


matthews = Metric(_outcomes, _matthews)
"""Matthews' correlation of the logits' signs with the targets, in percent; 0 where either of them
never varies."""


def _moments(outputs: Tensor, targets: Tensor) -> Tensor:
    """Sum the products of 1, output and target, ``(3, 3)``."""
    columns = torch.stack((torch.ones_like(targets), outputs, targets)).double()
    return columns @ columns.T


def _pearson(moments: Tensor) -> float:
    means = moments[0] / moments[0, 0]
    covariance = moments / moments[0, 0] - means.outer(means)
    return 100 * float(covariance[1, 2] / (covariance[1, 1] * covariance[2, 2]).sqrt())


pearson = Metric(_moments, _pearson)
"""Pearson's correlation of outputs and targets ``(n,)``, in percent."""

absolute_error = mean(lambda outputs, targets: (outputs - targets).abs(), higher_is_better=False)
"""Mean absolute error."""
