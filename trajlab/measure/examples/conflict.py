"""Conflict between gradients of single examples, or of a few, beside that between tasks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trajlab.errors import TrajlabError


@dataclass(frozen=True)
class Pairs:
    """How gradients of two kinds relate, over pairs of them; all float64, (size, task, task).

    Attributes
    ----------
    cosine : Tensor
        Mean cosine; NaN where no pair has two gradients that are not zero.
    negative : Tensor
        Share of the cosines that are negative.
    magnitude : Tensor
        Mean of 2‖a‖‖b‖ / (‖a‖² + ‖b‖²), 1 for equal norms.
    """

    cosine: Tensor
    negative: Tensor
    magnitude: Tensor


@dataclass(frozen=True)
class ExampleConflict:
    """What `relate` returns.

    Attributes
    ----------
    apart : Pairs
        Of different examples: of one task on the diagonal, of two tasks beside it.
    same : Pairs
        Of the same examples, in two tasks with shared inputs; NaN on the diagonal and without.
    zero : Tensor
        (size, task) gradients that are zero, and have no direction.
    """

    apart: Pairs
    same: Pairs
    zero: Tensor


def example_gradients(losses: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
    """Return the gradient of each example's loss, (n, parameter).

    One backward pass of the batch an example: give small batches.

    Parameters
    ----------
    losses : Tensor
        Shape (n,): losses of single examples, with their graph.
    parameters : mapping of str to Tensor
        What they are differentiated by; those that a loss does not reach have 0.
    """
    wanted = list(parameters.values())
    rows = []
    for loss in losses:
        found = torch.autograd.grad(loss, wanted, retain_graph=True, materialize_grads=True)
        rows.append(torch.cat([gradient.flatten() for gradient in found]))
    return torch.stack(rows).detach()


def relate(
    gradients: Sequence[Tensor | None], sizes: Sequence[int], *, aligned: bool
) -> ExampleConflict:
    """Relate gradients of different examples, of one task and of two, at equal batch sizes.

    Parameters
    ----------
    gradients : sequence of (n, parameter) Tensor or None
        One a task: gradients of single examples; None of a task without.
    sizes : sequence of int
        Examples of which the mean gradient is one; those left over are not used.
    aligned : bool
        Whether row i of every task is of the same example.

    Raises
    ------
    TrajlabError
        If a task has fewer than two gradients of some size.
    """
    tasks = len(gradients)
    shape = len(sizes), tasks, tasks
    nothing = torch.full(shape, torch.nan, dtype=torch.float64)
    apart, same = [nothing.clone() for _ in range(3)], [nothing.clone() for _ in range(3)]
    zero = torch.zeros(len(sizes), tasks, dtype=torch.int64)
    for place, size in enumerate(sizes):
        means = [None if own is None else _means(own, size) for own in gradients]
        norms = [None if own is None else own.norm(dim=1) for own in means]
        for a, (one, lengths) in enumerate(zip(means, norms, strict=True)):
            if one is None or lengths is None:
                continue
            zero[place, a] = int((lengths == 0).sum())
            for b in range(a, tasks):
                other, others = means[b], norms[b]
                if other is None or others is None:
                    continue
                paired = torch.zeros(len(one), len(other), dtype=torch.bool)
                if aligned or a == b:
                    paired.fill_diagonal_(True)
                product = lengths[:, None] * others
                cosines = (one @ other.T) / product
                magnitudes = 2 * product / (lengths[:, None] ** 2 + others**2)
                known = (product > 0).cpu()
                for table, chosen in ((apart, ~paired), (same, paired)):
                    if a == b and table is same:
                        continue
                    for column, values in zip(
                        table, (cosines, (cosines < 0).double(), magnitudes), strict=True
                    ):
                        column[place, a, b] = column[place, b, a] = _mean(values, chosen & known)
    return ExampleConflict(Pairs(*apart), Pairs(*same), zero)


def _mean(values: Tensor, chosen: Tensor) -> float:
    """Return the mean of the chosen entries, NaN of none."""
    return float(values.cpu()[chosen].double().mean()) if chosen.any() else torch.nan


def _means(rows: Tensor, size: int) -> Tensor:
    """Return the means of so many rows each."""
    count = len(rows) // size
    if count < 2:
        raise TrajlabError(
            f"{len(rows)} examples make {count} batches of {size}, and pairs need two; give more "
            "examples, or smaller sizes"
        )
    return rows[: count * size].reshape(count, size, -1).mean(1)
