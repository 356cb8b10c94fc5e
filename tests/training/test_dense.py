"""Dense outputs: losses and scores of a few pixels, worked out by hand."""

import math

import pytest
import torch
from torch import Tensor

from trajlab.training import dense
from trajlab.training.metrics import Metric

# Two images of two pixels; the last has no label. Predicted are the classes 0, 1 and 2, 2.
LOGITS = torch.tensor([[[[9.0, 0]], [[0, 9.0]], [[0, 0]]], [[[0, 0]], [[0, 0]], [[9.0, 9.0]]]])
LABELS = torch.tensor([[[0, 0]], [[2, -1]]])
# Depths, unknown where 0; the errors are 1, 0, 3.
OUTPUTS = torch.tensor([[[3.0, 5.0]], [[1.0, 7.0]]])
DEPTHS = torch.tensor([[[2.0, 0.0]], [[1.0, 10.0]]])

# Class 0: 1 pixel in common of 2; class 1: 0 of 1; class 2: 1 of 1.
EXAMPLES = {
    "mean_iou": (dense.mean_iou, LOGITS, LABELS, 100 * (1 / 2 + 0 + 1) / 3, True),
    "pixel_accuracy": (dense.pixel_accuracy, LOGITS, LABELS, 100 * 2 / 3, True),
    "depth_error": (dense.depth_error, OUTPUTS, DEPTHS, 4 / 3, False),
    "relative_depth_error": (
        dense.relative_depth_error,
        OUTPUTS,
        DEPTHS,
        100 * (1 / 2 + 0 + 3 / 10) / 3,
        False,
    ),
}


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("name", EXAMPLES)
def test_a_score_is_as_worked_out_by_hand(name: str, size: int) -> None:
    metric: Metric
    outputs: Tensor
    metric, outputs, targets, value, higher_is_better = EXAMPLES[name]
    batches = zip(outputs.split(size), targets.split(size), strict=True)
    counts = [metric.count(*batch) for batch in batches]
    assert metric.value(torch.stack(counts).sum(0)) == pytest.approx(value)
    assert metric.higher_is_better is higher_is_better


def test_a_class_that_never_occurs_is_left_out_of_the_mean() -> None:
    logits = torch.cat((LOGITS, torch.full((2, 4, 1, 2), -9.0)), 1)
    value = dense.mean_iou.value(dense.mean_iou.count(logits, LABELS))
    assert value == pytest.approx(100 * (1 / 2 + 0 + 1) / 3)


def test_losses_are_means_over_what_is_known_of_each_image() -> None:
    hit, miss = math.log(1 + 2 * math.exp(-9)), 9 + math.log(1 + 2 * math.exp(-9))
    losses = dense.segmentation_loss(LOGITS.double(), LABELS)
    assert losses.tolist() == pytest.approx([(hit + miss) / 2, hit])
    assert dense.depth_loss(OUTPUTS, DEPTHS).tolist() == [1, 1.5]


def test_an_image_of_which_nothing_is_known_costs_nothing_and_pulls_nowhere() -> None:
    logits, outputs = LOGITS.clone().requires_grad_(), OUTPUTS.clone().requires_grad_()
    losses = dense.segmentation_loss(logits, torch.full_like(LABELS, -1))
    losses = losses + dense.depth_loss(outputs, torch.zeros_like(DEPTHS))
    assert losses.tolist() == [0, 0]
    losses.sum().backward()
    assert not logits.grad.any()
    assert not outputs.grad.any()
