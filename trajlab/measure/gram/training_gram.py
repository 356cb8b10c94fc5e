"""Gram matrices around the training backward, which supplies what pull-backs then need not."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from math import isfinite, isnan

import torch
from torch import Tensor, nn

from trajlab.measure.gram.blocks import Block, gradient_block
from trajlab.measure.gram.formulas import choose_blocks
from trajlab.measure.gram.interference import Interference
from trajlab.measure.gram.layer_sums import BlockSums
from trajlab.measure.gram.projection import Projection
from trajlab.measure.gram.segments import Segment, split
from trajlab.measure.gram.watch import Arrivals, Watch
from trajlab.measure.gram.watch_separate import Contributions
from trajlab.measure.gram.watch_total import Total
from trajlab.measure.gram.weights import Weight, is_one, is_zero, vector
from trajlab.measure.graph import Graph
from trajlab.measure.guard import autograd_modes, guard
from trajlab.measure.layers import group_by_layer

_NEGLIGIBLE = 1e-4  # of the largest norm: below it, total - rest leaves rounding in float32
_REREAD = 100  # measurements; on a device, reading the norms waits for all work that is queued


class TrainingGram:
    """Measures the Gram matrix of one training run's task gradients, step after step.

    The training backward of Σ w_t L_t runs as it would without: hooks only look at the gradients
    that pass. Where the tasks share inputs, all tasks but one are pulled back, and the last one's
    gradient is (total - Σ others) / w; it is the task whose share was the largest one at the last
    measurement, for the difference cancels where it is small. Where no task's graph meets another's
    (each has inputs of its own), nothing is pulled back at all.

    The difference needs a total that is the weighted sum. Hooks, functions in Python and other code
    of the user's may prevent it, at one step and not at another; so all tasks are pulled back, and
    under guard, where such code is not excluded. So they are at the first measurement, which tells
    whether the precision is good enough for differences; and where a loss is NaN or infinite, for
    then the total is. (On other devices than the CPU that is not known in time, and the one task
    that was to be derived is NaN too.)

    Parameters
    ----------
    model : nn.Module
        The model that is trained; pull-backs leave it as it is.
    parameters : mapping of str to Tensor
        The parameters to differentiate for, by qualified name.
    sums : callable
        Makes what the gradients' blocks are added up to, in the place of a Gram matrix.

    Attributes
    ----------
    parameters : mapping of str to Tensor
    """

    def __init__(
        self,
        model: nn.Module,
        parameters: Mapping[str, Tensor],
        sums: Callable[..., BlockSums] = BlockSums,
    ) -> None:
        self.parameters = parameters
        self._sums = sums
        self._guarded = partial(guard, model)
        self._names_by_layer = group_by_layer(parameters)
        self._device = next((p.device for p in parameters.values()), torch.device("cpu"))
        self._on_one_device = len({p.device for p in model.parameters()}) == 1
        self._linear: bool | None = None  # whether the total is the weighted sum; None: not known
        self._shares: Tensor | None = None  # (task,), squared norms of w_t g_t
        self._ranking: list[float] = []  # the shares as last read
        self._age = 0
        self._interference = Interference()

    def start(
        self,
        losses: Sequence[Tensor | None],
        weights: Sequence[Weight],
        *,
        projection: Projection | None = None,
    ) -> Watch:
        """Measure what has to be measured before the training backward.

        Parameters
        ----------
        losses : sequence of Tensor or None
            Scalars, one a task; None for an omitted one.
        weights : sequence of float or Tensor
            Weights of the losses in the total; of omitted tasks, anything.
        projection : Projection, optional
            Estimate what is cheaper to estimate; by default everything is exact.

        Returns
        -------
        Watch
            A context to be entered around ``sum(w * loss).backward()``; its sums are then the Gram
            matrix.

        Raises
        ------
        TrajlabError
            If the graph goes through a reentrant checkpoint.
        """
        graph = Graph(losses)
        active = [t for t, loss in enumerate(losses) if loss is not None and loss.requires_grad]
        sums = self._sums(self._names_by_layer, losses, self._device)
        own = self._interference.excluded(graph, losses)
        guarded = autograd_modes if own and not _dispatched() else self._guarded
        looks_in = own or all(
            is_one(w) for w, loss in zip(weights, losses, strict=True) if loss is not None
        )
        apart = self._arrivals(graph) if len(active) > 1 and looks_in else None
        if apart is not None:
            return Contributions(apart, losses, weights, sums, guarded)
        blocks = (
            [*self._gradient_blocks()]
            if sums.needs_gradients
            else choose_blocks(
                self._names_by_layer, self.parameters, graph, len(losses), projection=projection
            )
        )
        # Elsewhere nothing is pulled back in the midst of the training backward: another device's
        # thread may be accumulating gradients, and a compiled graph may refuse to be retained.
        segments = (
            split(graph, blocks, len(losses))
            if self._on_one_device and not graph.compiled
            else [Segment(None, tuple(blocks), None)]
        )
        derived = self._choose(active, losses, weights) if own else None
        return Total(
            graph,
            segments,
            losses,
            weights,
            sums,
            guarded,
            derived=derived,
            looks_in=looks_in,
            checks=self._linear is None,
            conclude=None if self._linear is False else self._conclude,
        )

    def _arrivals(self, graph: Graph) -> dict[Block, Arrivals] | None:
        """Return what arrives at each parameter if all of it can be told apart."""
        arrivals: dict[Block, Arrivals] = {}
        for block in self._gradient_blocks():
            arrivals[block] = Arrivals(graph, block.edge)
            hooked = any(self.parameters[name]._backward_hooks for name in block.parameters)
            if hooked or not arrivals[block].separable:
                return None
        return arrivals

    def _gradient_blocks(self) -> Iterator[Block]:
        for layer, names in self._names_by_layer.items():
            for name in names:
                if self.parameters[name].requires_grad:
                    yield gradient_block(layer, name, self.parameters[name])

    def _choose(
        self, active: Sequence[int], losses: Sequence[Tensor | None], weights: Sequence[Weight]
    ) -> int | None:
        """Return the task whose gradient can be derived from the total, if there is one."""
        if not self._linear or self._shares is None or not _finite(losses):
            return None
        if self._device.type != "cpu":
            if self._age % _REREAD == 0:
                self._ranking = self._shares.tolist()
            self._age += 1
        if any(isnan(self._ranking[t]) for t in active):
            return None  # the total holds a task's NaN, and would hand it on
        known = [t for t in active if self._ranking[t] > 0 and not is_zero(weights[t])]
        return max(known, key=lambda t: self._ranking[t], default=None)

    def _conclude(self, total: Total) -> None:
        """Check that the difference, or the precision that it needs, is sound."""
        shares = total.sums.squared_norms()
        if not all(map(is_one, total.weights)):
            shares = shares * vector(total.weights, torch.float64).to(self._device).square()
        self._shares = shares
        if self._device.type == "cpu":
            self._ranking = shares.tolist()
            known = [share for share in self._ranking if not isnan(share)]  # an omitted task's is
            negligible: float | Tensor = max(known, default=0.0) * _NEGLIGIBLE**2
        else:
            negligible = shares.nan_to_num().amax() * _NEGLIGIBLE**2
        if total.derived is not None:
            total.sums.lose(total.derived, shares[total.derived] < negligible)
        elif self._linear is None and isfinite(residual := float(total.residual)):
            self._linear = residual <= float(negligible)


def _dispatched() -> bool:
    """Say whether a mode hands torch's operations to code in Python."""
    return bool(torch._C._len_torch_dispatch_stack())


def _finite(losses: Sequence[Tensor | None]) -> bool:
    """Say whether no loss is NaN or infinite, as far as that can be told without waiting."""
    return all(
        loss is None or loss.device.type != "cpu" or isfinite(loss.item()) for loss in losses
    )
