"""Gram matrices around the training backward, which supplies what pull-backs then need not."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self

import torch
from torch import Tensor
from torch.autograd.graph import Node, get_gradient_edge
from torch.utils.hooks import RemovableHandle

from trajlab.measure.blocks import Block, choose_blocks
from trajlab.measure.capture import Call
from trajlab.measure.graph import Graph
from trajlab.measure.task_gram import BlockSums, TaskGram, group_by_layer, pull_back

Weight = float | Tensor
Gradients = tuple[Tensor | None, ...]

_NEGLIGIBLE = 1e-4  # of the largest norm: below it, total - rest leaves rounding in float32
_REREAD = 100  # measurements; on a device, reading the norms waits for all work that is queued


class TrainingGram:
    """Measures the Gram matrix of one training run's task gradients, step after step.

    The training backward of Σ w_t L_t runs as it would without: hooks only look at the gradients
    that pass. Where the tasks share inputs, all tasks but one are pulled back first, and the last
    one's gradient is (total - Σ others) / w; it is the task whose share was the largest one at the
    last measurement, for the difference cancels where it is small. Where no task's graph meets
    another's (each has inputs of its own), nothing is pulled back at all.

    The first measurement pulls back all tasks, and takes later differences only if the total is
    their weighted sum: hooks that clip, or a low precision, may prevent it.

    Parameters
    ----------
    parameters : mapping of str to Tensor
        The parameters to differentiate for, by qualified name.

    Attributes
    ----------
    parameters : mapping of str to Tensor
    """

    def __init__(self, parameters: Mapping[str, Tensor]) -> None:
        self.parameters = parameters
        self._layers = group_by_layer(parameters)
        self._linear: bool | None = None  # whether the total is the weighted sum; None: not known
        self._shares: Tensor | None = None  # (task,), squared norms of w_t g_t
        self._ranking: list[float] = []  # the shares as last read
        self._age = 0

    def start(
        self,
        losses: Sequence[Tensor | None],
        weights: Sequence[Weight],
        calls: Mapping[str, Call],
    ) -> "Watch":
        """Measure what has to be measured before the training backward.

        Parameters
        ----------
        losses : sequence of Tensor or None
            One scalar a task; None for an omitted one.
        weights : sequence of float or Tensor
            Their weights in the total; of omitted tasks, anything.
        calls : mapping of str to Call
            What was captured of the layers in the forward pass.

        Returns
        -------
        Watch
            To be entered around ``sum(w * loss).backward()``; then it gives the Gram matrix.

        Raises
        ------
        TrajlabError
            If the graph goes through a reentrant checkpoint.
        """
        graph = Graph(losses)
        active = [t for t, loss in enumerate(losses) if loss is not None and loss.requires_grad]
        separate = len(active) > 1 and self._separate(graph)
        calls = {} if separate else calls
        blocks = choose_blocks(self._layers, self.parameters, calls, graph, len(losses))
        sums = BlockSums(self._layers, losses, self.parameters)
        if separate:
            return _Contributions(graph, blocks, losses, weights, sums)
        derived = self._choose(active, weights)
        return _Total(graph, blocks, losses, weights, sums, derived, self._conclude)

    def _separate(self, graph: Graph) -> bool:
        """Say whether each gradient that arrives at a parameter belongs to one task alone."""
        return all(
            len(graph.reached_by(user)) == 1
            for parameter in self.parameters.values()
            if parameter.requires_grad
            for user in graph.users(get_gradient_edge(parameter).node)
        ) and not any(p._backward_hooks for p in self.parameters.values())

    def _choose(self, active: Sequence[int], weights: Sequence[Weight]) -> int | None:
        """Return the task whose gradient can be derived from the total, if there is one."""
        if not self._linear or self._shares is None:
            return None
        if self._age % _REREAD == 0 or self._shares.device.type == "cpu":
            self._ranking = self._shares.tolist()
        self._age += 1
        known = [t for t in active if self._ranking[t] > 0 and not _is_zero(weights[t])]
        return max(known, key=lambda t: self._ranking[t], default=None)

    def _conclude(self, total: "_Total", gram: Tensor) -> None:
        """Check that the difference, or the linearity that it needs, is sound."""
        diagonal = gram.sum(0).diagonal()
        shares = _vector(total.weights, diagonal).square() * diagonal
        largest = shares.nan_to_num().amax()  # an omitted task has none
        if total.derived is not None:
            lost = shares[total.derived] < _NEGLIGIBLE**2 * largest
            for entries in (
                gram[:, total.derived],
                gram[:, :, total.derived],
                shares[total.derived : total.derived + 1],
            ):
                entries.masked_fill_(lost, torch.nan)
        elif self._linear is None:
            self._linear = bool(total.residual <= _NEGLIGIBLE**2 * largest)
        self._shares = shares


class Watch(ABC):
    """Looks at the gradients that pass in one training backward; they pass unchanged.

    Use it as a context manager around that backward, and nothing but it.
    """

    def __init__(self) -> None:
        self._handles: list[RemovableHandle] = []

    @abstractmethod
    def _hooks(self) -> Iterator[RemovableHandle]:
        """Register the hooks."""

    @abstractmethod
    def result(self) -> TaskGram:
        """Return the Gram matrix; once, after the backward."""

    def __enter__(self) -> Self:
        self._handles = list(self._hooks())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for handle in self._handles:
            handle.remove()


class _Total(Watch):
    """Pulls back all tasks but one, and completes each block when the total passes it."""

    def __init__(
        self,
        graph: Graph,
        blocks: Sequence[Block],
        losses: Sequence[Tensor | None],
        weights: Sequence[Weight],
        sums: BlockSums,
        derived: int | None,
        conclude: Callable[["_Total", Tensor], None],
    ) -> None:
        super().__init__()
        self.weights = weights
        self.derived = derived
        self.residual: Tensor | float = 0.0  # squared norm of total - Σ w g, where none is derived
        self._sums = sums
        self._conclude = conclude
        pulled = [
            pull_back(None if t == derived else loss, blocks) for t, loss in enumerate(losses)
        ]
        self._waiting = {
            block: [rows[number] for rows in pulled] for number, block in enumerate(blocks)
        }
        self._derivable = {
            block for block in blocks if derived in graph.reached_by(block.edge.node)
        }

    def result(self) -> TaskGram:
        """Add the blocks that the total did not come to, and return the Gram matrix."""
        for block in list(self._waiting):
            self._sums.add(block, self._waiting.pop(block))
        found = self._sums.result()
        self._conclude(self, found.gram)
        return found

    def _hooks(self) -> Iterator[RemovableHandle]:
        for block in self._waiting:
            yield block.edge.node.register_prehook(
                lambda passed, block=block: self._pass(block, passed)
            )

    def _pass(self, block: Block, passed: Gradients) -> None:
        """Complete one block by the total that passes it."""
        total = passed[block.edge.output_nr]
        if total is None:
            return
        rows = self._waiting.pop(block)
        if self.derived is None:
            rest = _subtract(total, self.weights, rows)
            self.residual = self.residual + rest.abs().square().sum()
        elif block in self._derivable:
            rows[self.derived] = _subtract(total, self.weights, rows).div_(
                _plain(self.weights[self.derived])
            )
        self._sums.add(block, rows)


class _Contributions(Watch):
    """Tells apart what each task contributes to a parameter's gradient in the one backward."""

    def __init__(
        self,
        graph: Graph,
        blocks: Sequence[Block],
        losses: Sequence[Tensor | None],
        weights: Sequence[Weight],
        sums: BlockSums,
    ) -> None:
        super().__init__()
        self._graph = graph
        self._sums = sums
        self._lost = [_is_zero(weight) for weight in weights]  # no gradient of theirs comes by
        self._weights = [1.0 if _is_zero(weight) else weight for weight in weights]
        pulled = [
            pull_back(loss if lost else None, blocks)
            for loss, lost in zip(losses, self._lost, strict=True)
        ]
        self._waiting = {
            block: [rows[number] for rows in pulled] for number, block in enumerate(blocks)
        }

    def result(self) -> TaskGram:
        """Add the blocks that the backward did not come to, and return the Gram matrix."""
        for block in list(self._waiting):
            self._complete(block)
        found = self._sums.result()
        w = _vector(self._weights, found.gram)
        found.gram.div_(w * w[:, None])
        return found

    def _hooks(self) -> Iterator[RemovableHandle]:
        for block in self._waiting:
            parameter = block.edge.node
            for user in self._graph.users(parameter):
                (task,) = self._graph.reached_by(user)
                if not self._lost[task]:
                    yield user.register_hook(self._adds(block, task, user))
            yield parameter.register_prehook(lambda _, block=block: self._complete(block))

    def _adds(self, block: Block, task: int, user: Node) -> Callable[[Gradients, Gradients], None]:
        """Return a hook that adds what the user passes on to the block's parameter."""
        parameter = block.edge.node
        slots = [i for i, (node, _) in enumerate(user.next_functions) if node is parameter]

        def hook(passed: Gradients, _: Gradients) -> None:
            rows = self._waiting[block]
            for gradient in (passed[slot] for slot in slots):
                row = rows[task]
                rows[task] = gradient if row is None or gradient is None else row + gradient

        return hook

    def _complete(self, block: Block) -> None:
        self._sums.add(block, self._waiting.pop(block))


def _subtract(total: Tensor, weights: Sequence[Weight], rows: Sequence[Tensor | None]) -> Tensor:
    """Return total - Σ w g as a new tensor."""
    rest = total.to_dense().clone()
    for weight, row in zip(weights, rows, strict=True):
        if row is not None:
            rest.sub_(row * _plain(weight))
    return rest


def _plain(weight: Weight) -> Weight:
    return weight.detach() if isinstance(weight, Tensor) else weight


def _is_zero(weight: Weight) -> bool:
    """Say whether a weight is zero, if that can be told without waiting for a device."""
    if isinstance(weight, Tensor):
        return weight.device.type == "cpu" and not weight.detach().any()
    return weight == 0


def _vector(weights: Sequence[Weight], like: Tensor) -> Tensor:
    """Return the weights as one tensor of the type and on the device of another."""
    return torch.stack([torch.as_tensor(_plain(w)).to(like).reshape(()) for w in weights])
