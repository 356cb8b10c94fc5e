"""The exact Gram matrix of task gradients: one pull-back a task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trajlab.measure.blocks import Block, WeightBlock, choose_blocks
from trajlab.measure.capture import Call
from trajlab.measure.graph import Graph


@dataclass(frozen=True)
class TaskGram:
    """Inner products of task gradients, layer by layer.

    Attributes
    ----------
    layers : tuple of str
        Qualified names of the modules that directly own the parameters, in the parameters' order.
    gram : Tensor
        float64, shape (layer, task, task): ``gram[l, s, t]`` is the inner product of the gradients
        of tasks s and t with respect to the parameters of layer l. The sum over layers is the Gram
        matrix of the whole. An omitted task's row and column are NaN.
    from_gradients : tuple of str
        The layers of which at least one parameter took the general way, by its gradients; the
        others took a formula that computes none.
    """

    layers: tuple[str, ...]
    gram: Tensor
    from_gradients: tuple[str, ...]


def group_by_layer(parameters: Mapping[str, Tensor]) -> dict[str, list[str]]:
    """Group parameters by the layer that owns them.

    A layer is a module that directly owns parameters. Its qualified name is the parameter's without
    the last part, and the model itself is ``""``. ``named_parameters`` names a tied parameter once,
    where it first occurs, so it counts there.

    Parameters
    ----------
    parameters : mapping of str to Tensor
        Parameters by qualified name, as ``Module.named_parameters`` gives them.

    Returns
    -------
    dict of str to list of str
        The names of each layer's parameters, in the given order.
    """
    layers: dict[str, list[str]] = {}
    for name in parameters:
        layers.setdefault(name.rpartition(".")[0], []).append(name)
    return layers


def task_gram(
    losses: Sequence[Tensor | None],
    parameters: Mapping[str, Tensor],
    calls: Mapping[str, Call] | None = None,
) -> TaskGram:
    """Compute the Gram matrix of the losses' gradients for each layer.

    The graph of the losses is retained and stays usable; no ``.grad`` is touched. Where the losses
    are about to be trained on, `TrainingGram` costs one pull-back less.

    Parameters
    ----------
    losses : sequence of Tensor or None
        One scalar a task, on one graph or several. None for an omitted task; a loss that needs no
        gradient has the gradient zero.
    parameters : mapping of str to Tensor
        The parameters to differentiate for, by qualified name. One that a loss does not reach, or
        that is frozen, has the gradient zero.
    calls : mapping of str to Call, optional
        What `Capture` caught of the layers in the forward pass. A Linear layer in it may need no
        weight gradient.

    Returns
    -------
    TaskGram
        Accumulated in float64; products in the parameters' own precision, at least float32.

    Raises
    ------
    TrajlabError
        If the graph goes through a reentrant checkpoint.
    """
    layers = group_by_layer(parameters)
    blocks = choose_blocks(layers, parameters, calls or {}, Graph(losses), len(losses))
    rows = [pull_back(loss, blocks) for loss in losses]
    sums = BlockSums(layers, losses, parameters)
    for number, block in enumerate(blocks):
        sums.add(block, [row[number] for row in rows])
    return sums.result()


class BlockSums:
    """Adds up blocks to the Gram matrix of each layer.

    Parameters
    ----------
    layers : mapping of str to sequence of str
        The names of each layer's parameters.
    losses : sequence of Tensor or None
        One a task.
    parameters : mapping of str to Tensor
        The first one tells the device of the result.
    """

    def __init__(
        self,
        layers: Mapping[str, Sequence[str]],
        losses: Sequence[Tensor | None],
        parameters: Mapping[str, Tensor],
    ) -> None:
        device = next((p.device for p in parameters.values()), torch.device("cpu"))
        shape = (len(layers), len(losses), len(losses))
        self._gram = torch.zeros(shape, dtype=torch.float64, device=device)
        self._positions = {layer: position for position, layer in enumerate(layers)}
        self._omitted = [t for t, loss in enumerate(losses) if loss is None]
        self._from_gradients: set[str] = set()

    def add(self, block: Block, rows: Sequence[Tensor | None]) -> None:
        """Add what the tasks' gradients at one block amount to."""
        if any(row is not None for row in rows):
            found = block.gram(rows)
            self._gram[self._positions[block.layer]] += found.to(self._gram.device)
        if isinstance(block, WeightBlock):
            self._from_gradients.add(block.layer)

    def result(self) -> TaskGram:
        """Return the sums: symmetric, omitted tasks NaN."""
        gram = (self._gram + self._gram.mT) / 2  # a product may round its triangles differently
        if self._omitted:
            gram[:, self._omitted, :] = gram[:, :, self._omitted] = torch.nan
        layers = tuple(self._positions)
        return TaskGram(layers, gram, tuple(x for x in layers if x in self._from_gradients))


def pull_back(loss: Tensor | None, blocks: Sequence[Block]) -> list[Tensor | None]:
    """Return the gradient of one loss at each block; None where it does not reach."""
    if loss is None or not loss.requires_grad or not blocks:
        return [None] * len(blocks)
    edges = [block.edge for block in blocks]
    found = torch.autograd.grad([loss], edges, retain_graph=True, allow_unused=True)
    return [None if row is None else row.to_dense() for row in found]
