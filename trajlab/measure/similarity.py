"""Similarity of the tasks' full gradients, estimated from mini-batches without their noise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trajlab.errors import TrajlabError


@dataclass(frozen=True)
class Similarity:
    """Noise-corrected similarity of task gradients; all float64.

    Attributes
    ----------
    cosine : Tensor
        Shape (task, task): cosine of the full gradients. NaN where noise dominates either.
    se : Tensor
        Shape (task, task): jackknife standard error of the cosine over groups of batches.
    ceiling : Tensor
        Shape (task,): cosine that two batches of the same task have on average; a cosine of
        mini-batches cannot exceed it by much.
    noise_dominated : Tensor
        bool, shape (task,): the task's squared gradient norm is not above twice its standard error.
    cosine_to_update : Tensor
        Shape (task,): mean cosine of the task's gradient with the sum of all tasks' gradients of
        the same batch, uncorrected (equation 6 of Mueller et al.).
    batches : int
        Number of batches that were used.
    reasons : tuple of str
        Why a task's cosines are NaN, one text a task; empty where they are numbers.
    """

    cosine: Tensor
    se: Tensor
    ceiling: Tensor
    noise_dominated: Tensor
    cosine_to_update: Tensor
    batches: int
    reasons: tuple[str, ...]


class CrossBatchSimilarity:
    """Accumulates task gradients batch by batch, and relates those of different batches.

    Noise of different batches is independent, so inner products across batches have no bias:
    S_ij = Σ_{a≠b} ⟨g_i^a, g_j^b⟩ / Σ_{a≠b} d_i^a d_j^b, where g is the gradient of a batch's summed
    loss and d its denominator, and the cosine is S_ij / √(S_ii S_jj). The jackknife leaves out one
    group of batches at a time; memory is (groups + 1) × tasks × parameters.

    Parameters
    ----------
    tasks : int
        Number of tasks.
    groups : int
        Number of groups of batches for the standard error; batch a falls into group a mod
        `groups`.
    """

    def __init__(self, tasks: int, *, groups: int = 10) -> None:
        self._tasks = tasks
        self._sums: list[list[Tensor | None]] = [[None] * tasks for _ in range(groups)]
        self._within = torch.zeros(groups, tasks, tasks, dtype=torch.float64)
        self._counts = torch.zeros(groups, tasks, dtype=torch.float64)
        self._counts_within = torch.zeros(groups, tasks, tasks, dtype=torch.float64)
        self._to_update: list[Tensor] = []
        self._norms_sq = torch.zeros(tasks, dtype=torch.float64)
        self._seen = torch.zeros(tasks, dtype=torch.float64)
        self._batches = 0

    def add(
        self, losses: Sequence[tuple[Tensor, float] | None], parameters: Mapping[str, Tensor]
    ) -> None:
        """Take one batch.

        Parameters
        ----------
        losses : sequence of (Tensor, float) or None
            For each task the summed loss with its graph and its denominator; None where the task
            has no such batch.
        parameters : mapping of str to Tensor
            What to differentiate for.
        """
        chosen = list(parameters.values())
        rows = [None if loss is None else _gradient(loss[0], chosen) for loss in losses]
        counts = torch.tensor([0.0 if loss is None else loss[1] for loss in losses]).double()
        gram = torch.zeros(self._tasks, self._tasks, dtype=torch.float64)
        for i, left in enumerate(rows):
            for j, right in enumerate(rows[: i + 1]):
                if left is not None and right is not None:
                    gram[i, j] = gram[j, i] = _dot(left, right)
        group = self._batches % len(self._sums)
        for t, row in enumerate(rows):
            total = self._sums[group][t]
            if row is not None:
                self._sums[group][t] = row if total is None else total.add_(row)
        self._within[group] += gram
        self._counts[group] += counts
        self._counts_within[group] += torch.outer(counts, counts)
        self._batches += 1
        present = counts > 0
        mean = gram / torch.outer(counts, counts).where(torch.outer(present, present), torch.inf)
        self._norms_sq += mean.diagonal()
        self._seen += present
        self._to_update.append(
            torch.where(present, mean.sum(1) / (mean.diagonal() * mean.sum()).sqrt(), torch.nan)
        )

    def result(self) -> Similarity:
        """Relate the batches taken so far.

        Raises
        ------
        TrajlabError
            If there are fewer than three, for a jackknife leaves one out.
        """
        if self._batches < 3:
            raise TrajlabError(
                f"similarity relates different batches and was given {self._batches}; give three "
                "or more, of at least 256 examples each"
            )
        across = self._products_of_groups()
        inner = self._inner(across, list(range(len(across))))
        used = list(range(min(self._batches, len(across))))
        left_out = torch.stack(
            [self._inner(across, [k for k in used if k != gone]) for gone in used]
        )
        self_se = _jackknife(left_out.diagonal(dim1=1, dim2=2))
        dominated = inner.diagonal() <= 2 * self_se
        cosine, cosines = _cosine(inner), _cosine(left_out)
        unknown = dominated[:, None] | dominated[None, :]
        return Similarity(
            cosine.where(~unknown, torch.nan),
            _jackknife(cosines).where(~unknown, torch.nan),
            inner.diagonal() * self._seen / self._norms_sq,
            dominated,
            torch.stack(self._to_update).nanmean(0),
            self._batches,
            tuple(map(self._reason, range(self._tasks), inner.diagonal(), dominated)),
        )

    def _reason(self, task: int, inner: Tensor, dominated: Tensor) -> str:
        """Say why a task's cosines are NaN."""
        if not self._seen[task]:
            return "no data of this task was given"
        if not self._norms_sq[task].isfinite():
            return "its gradient is not finite"
        if not self._norms_sq[task]:
            return "its gradient is zero"
        if inner.isnan():
            return "it has one batch alone"
        return "noise-dominated" if dominated else ""

    def _products_of_groups(self) -> Tensor:
        """Return ⟨Σ g_i over group k, Σ g_j over group l⟩, shape (k, l, i, j)."""
        n = len(self._sums)
        products = torch.zeros(n, n, self._tasks, self._tasks, dtype=torch.float64)
        for k, lefts in enumerate(self._sums):
            for m, rights in enumerate(self._sums[: k + 1]):
                for i, left in enumerate(lefts):
                    for j, right in enumerate(rights):
                        if left is not None and right is not None:
                            products[k, m, i, j] = products[m, k, j, i] = _dot(left, right)
        return products

    def _inner(self, across: Tensor, groups: Sequence[int]) -> Tensor:
        """Return S from the batches of some groups, shape (task, task)."""
        chosen = torch.tensor(groups)
        product = across[chosen][:, chosen].sum((0, 1)) - self._within[chosen].sum(0)
        counts = self._counts[chosen].sum(0)
        return product / (torch.outer(counts, counts) - self._counts_within[chosen].sum(0))


def _gradient(loss: Tensor, parameters: Sequence[Tensor]) -> Tensor:
    if not loss.requires_grad:
        return torch.zeros(sum(p.numel() for p in parameters), device=loss.device)
    gradients = torch.autograd.grad(loss, parameters, retain_graph=True, materialize_grads=True)
    return torch.cat([g.detach().to_dense().reshape(-1) for g in gradients])


def _dot(left: Tensor, right: Tensor) -> float:
    """Return the inner product, accumulated in float64 some coordinates at a time."""
    pairs = zip(torch.split(left, 2**16), torch.split(right, 2**16), strict=True)
    return float(sum(torch.dot(a.double(), b.double()).item() for a, b in pairs))


def _cosine(inner: Tensor) -> Tensor:
    norms = inner.diagonal(dim1=-2, dim2=-1).sqrt()  # NaN where negative
    return inner / (norms[..., :, None] * norms[..., None, :])


def _jackknife(left_out: Tensor) -> Tensor:
    n = len(left_out)
    return ((n - 1) / n * (left_out - left_out.mean(0)).square().sum(0)).sqrt()
