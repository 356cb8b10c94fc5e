"""Metrics: values worked out by hand, whatever the batches that they are counted in."""

import math
from functools import reduce

import pytest
import torch
from torch import Tensor

from trajlab.training.metrics import (
    Metric,
    absolute_error,
    accuracy,
    average_precision,
    binary_accuracy,
    f1,
    matthews,
    pearson,
)

LOGITS = torch.tensor([2.0, 1.0, 3.0, -1.0, -2.0, -1.0, 0.5, -4.0])
LABELS = torch.tensor([1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0])  # 2 of 4 found, 2 of 4 right
CLASSES = torch.tensor([[0.1, 0.9, 0.0], [0.5, 0.2, 0.3], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])

# metric, outputs, targets, value, whether higher is better
EXAMPLES = {
    "f1": (f1, LOGITS, LABELS, 100 * 2 * 2 / (4 + 4), True),
    "binary_accuracy": (binary_accuracy, LOGITS, LABELS, 50, True),
    # of LOGITS and LABELS: 2 true positives, 2 false ones, 2 false negatives, 2 true ones
    "matthews of chance": (matthews, LOGITS, LABELS, 0, True),
    # 1 true positive, 0 false ones, 1 false negative, 2 true ones
    "matthews": (
        matthews,
        torch.tensor([1.0, -1.0, -1.0, -1.0]),
        torch.tensor([1.0, 1.0, 0.0, 0.0]),
        100 * (1 * 2 - 0 * 1) / math.sqrt(1 * 2 * 2 * 3),
        True,
    ),
    # positives at ranks 1 and 2, and two more that share ranks 5 and 6
    "average_precision": (average_precision, LOGITS, LABELS, 100 * (2 / 4 + 2 / 4 * 4 / 6), True),
    "matthews of one class": (matthews, torch.ones(4), torch.tensor([1.0, 0, 0, 1]), 0, True),
    # deviations from the means: -1, 0, 1 and -2, 1, 1
    "pearson": (
        pearson,
        torch.tensor([4.0, 5.0, 6.0]),
        torch.tensor([1.0, 4.0, 4.0]),
        100 * 3 / math.sqrt(2 * 6),
        True,
    ),
    "accuracy": (accuracy, CLASSES, torch.tensor([1, 0, 2, 2]), 75, True),
    # a logit of 0 says no
    "binary_accuracy of 0": (
        binary_accuracy,
        torch.tensor([0.0, 0.0, 1.0, -1.0]),
        torch.tensor([1.0, 0.0, 0.0, 1.0]),
        25,
        True,
    ),
    "f1 of 0": (
        f1,
        torch.tensor([0.0, 1.0, 1.0]),
        torch.tensor([1.0, 1.0, 0.0]),
        100 * 2 * 1 / (2 + 2),
        True,
    ),
    "matthews of 0": (
        matthews,
        torch.tensor([0.0, 1.0, -1.0, -1.0]),
        torch.tensor([1.0, 1.0, 0.0, 0.0]),
        100 * (1 * 2 - 0 * 1) / math.sqrt(1 * 2 * 2 * 3),
        True,
    ),
    "absolute_error": (
        absolute_error,
        torch.tensor([1.0, 2.0, 3.0]),
        torch.tensor([1.5, 2.0, 1.0]),
        2.5 / 3,
        False,
    ),
}


def scored(metric: Metric, outputs: Tensor, targets: Tensor, size: int) -> float:
    batches = zip(outputs.split(size), targets.split(size), strict=True)
    counts = [metric.count(*batch) for batch in batches]
    return metric.value(reduce(metric.join, counts))


@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize("name", EXAMPLES)
def test_a_metric_is_as_worked_out_by_hand(name: str, size: int) -> None:
    metric, outputs, targets, value, higher_is_better = EXAMPLES[name]
    assert scored(metric, outputs, targets, size) == pytest.approx(value)
    assert metric.higher_is_better is higher_is_better


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_ranking_of_a_diverged_run_is_not_a_number(bad: float) -> None:
    logits = torch.tensor([1.0, bad, 0.0])
    assert math.isnan(scored(average_precision, logits, torch.tensor([1.0, 0.0, 1.0]), 2))


@pytest.mark.parametrize("metric", [f1, average_precision])
def test_a_score_of_nothing_is_not_a_number(metric: Metric) -> None:
    assert math.isnan(scored(metric, -torch.ones(3), torch.zeros(3), 2))
