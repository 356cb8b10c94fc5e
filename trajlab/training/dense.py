"""Losses and metrics of outputs that have one value a pixel, some of whose targets are unknown."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from trajlab.training.metrics import Metric, mean

UNLABELLED = -1


def segmentation_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return each image's mean cross-entropy over its labelled pixels ``(n,)``.

    Parameters
    ----------
    outputs
        Logits ``(n, class, height, width)``.
    targets
        Classes ``(n, height, width)``, -1 where there is no label.
    """
    losses = cross_entropy(outputs, targets, ignore_index=UNLABELLED, reduction="none")
    return _image_means(losses, targets != UNLABELLED)


def depth_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return each image's mean absolute error over the pixels whose depth is known ``(n,)``.

    Parameters
    ----------
    outputs, targets
        Of shape ``(n, height, width)``; targets are 0 where nothing is known.
    """
    return _image_means((outputs - targets).abs(), targets > 0)


def _image_means(losses: Tensor, known: Tensor) -> Tensor:
    return (losses * known).flatten(1).sum(1) / known.flatten(1).sum(1).clamp(min=1)


def _hits(outputs: Tensor, targets: Tensor) -> Tensor:
    known = targets != UNLABELLED
    return (outputs.argmax(1)[known] == targets[known]).double() * 100


def _errors(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets).abs()[targets > 0]


def _relative_errors(outputs: Tensor, targets: Tensor) -> Tensor:
    return _errors(outputs, targets) / targets[targets > 0] * 100


def _confusion(outputs: Tensor, targets: Tensor) -> Tensor:
    """Count pixels (true class, predicted class)."""
    classes, known = outputs.shape[1], targets != UNLABELLED
    pairs = targets[known] * classes + outputs.argmax(1)[known]
    return torch.bincount(pairs, minlength=classes**2).reshape(classes, classes).double()


def _mean_overlap(confusion: Tensor) -> float:
    union = confusion.sum(0) + confusion.sum(1) - confusion.diag()
    present = union > 0
    return float((confusion.diag()[present] / union[present]).mean() * 100)


pixel_accuracy = mean(_hits)
"""Share of labelled pixels whose largest logit is the target's, in percent."""

mean_iou = Metric(_confusion, _mean_overlap)
"""Intersection over union of a class's labelled pixels over the whole split, in percent: the mean
of the classes that occur in prediction or truth."""

depth_error = mean(_errors, higher_is_better=False)
"""Mean absolute error over all pixels whose depth is known."""

relative_depth_error = mean(_relative_errors, higher_is_better=False)
"""Mean over the same pixels of the error's share in the truth, in percent."""
