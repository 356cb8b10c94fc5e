"""How the T x T block of a layer comes from what a pull-back brings to it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from trajlab.measure.capture import Call
from trajlab.measure.graph import Graph

_CHUNK = 2**18  # coordinates of all tasks together; in float32 they fill 1 MiB of cache
_RUN = 2**12  # coordinates that are added in the gradients' own precision

Rows = Sequence[Tensor | None]
"""What each task's pull-back brought; None where it did not come."""


class Block(ABC):
    """Some parameters of one layer, and the formula for the inner products of their gradients.

    Attributes
    ----------
    layer : str
        The layer's name.
    parameters : tuple of str
        Names of the parameters it accounts for.
    """

    layer: str
    parameters: tuple[str, ...]

    @property
    @abstractmethod
    def edge(self) -> GradientEdge:
        """Where on the graph the gradient is caught."""

    @abstractmethod
    def gram(self, rows: Rows) -> Tensor:
        """Return the inner products, shape (task, task), from the gradients at `edge`."""


@dataclass(frozen=True, eq=False)
class WeightBlock(Block):
    """One parameter, by its gradients: exact for whatever uses it, however often."""

    layer: str
    parameters: tuple[str, ...]
    weight: Tensor

    @property
    def edge(self) -> GradientEdge:
        """The parameter itself."""
        return get_gradient_edge(self.weight)

    def gram(self, rows: Rows) -> Tensor:
        """Return the inner products of the gradients."""
        return inner_products(rows, self.weight.device)


@dataclass(frozen=True, eq=False)
class LinearBlock(Block):
    """Weight, and bias if it counts, of a Linear layer, without computing a weight gradient.

    With input A (rows x inputs) and output gradients B_t (rows x outputs) the weight gradients are
    B_tᵀ A, and their inner products ⟨B_s, (A Aᵀ) B_t⟩; the bias adds one to every entry of A Aᵀ.
    """

    layer: str
    parameters: tuple[str, ...]
    call: Call

    @property
    def edge(self) -> GradientEdge:
        """The layer's output."""
        return self.call.output

    def gram(self, rows: Rows) -> Tensor:
        """Return the inner products from the output gradients."""
        a = self.call.input.reshape(-1, self.call.input.shape[-1])
        present = [t for t, row in enumerate(rows) if row is not None]
        gram = torch.zeros(len(rows), len(rows), dtype=torch.float64, device=a.device)
        if not present:
            return gram
        b = torch.stack([row.reshape(len(a), -1) for row in rows if row is not None])
        a, b = _at_least_single(a), _at_least_single(b)
        kernel = a @ a.mT + float(len(self.parameters) == 2)
        found = b.flatten(1) @ (kernel @ b).flatten(1).mT
        if len(present) == len(rows):
            return found.double()
        index = torch.tensor(present, device=a.device)
        gram[index[:, None], index] = found.double()
        return gram


def inner_products(rows: Rows, device: torch.device) -> Tensor:
    """Return the inner products of gradients, some coordinates at a time to spare memory.

    Parameters
    ----------
    rows : sequence of Tensor or None
        A gradient a task, of one shape, dense or sparse, real or complex; None for zero.
    device : torch.device
        Where the result is needed.

    Returns
    -------
    Tensor
        float64, shape (task, task). Runs of some thousand coordinates are added in the gradients'
        own precision (at least float32), the runs in float64.
    """
    gram = torch.zeros(len(rows), len(rows), dtype=torch.float64, device=device)
    zero = next((torch.zeros_like(row) for row in rows if row is not None), None)
    if zero is None:
        return gram
    flat = [_coordinates(zero if row is None else row) for row in rows]
    length = max(_CHUNK // len(flat) // _RUN, 1) * _RUN
    for chunks in zip(*(torch.split(row, length) for row in flat), strict=True):
        chunk = _at_least_single(torch.stack(chunks))
        if chunk.shape[1] % _RUN and chunk.shape[1] > _RUN:
            chunk = nn.functional.pad(chunk, (0, -chunk.shape[1] % _RUN))
        runs = chunk.view(len(flat), -1, min(_RUN, chunk.shape[1])).transpose(0, 1)
        gram += (runs @ runs.mT).sum(0, dtype=torch.float64)
    return gram


def _coordinates(gradient: Tensor) -> Tensor:
    """Flatten a gradient into real numbers whose products are the inner products."""
    dense = gradient.detach().to_dense()  # nn.Embedding(sparse=True)
    return (torch.view_as_real(dense) if dense.is_complex() else dense).reshape(-1)


def _at_least_single(tensor: Tensor) -> Tensor:
    return tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.float()


def choose_blocks(
    layers: Mapping[str, Sequence[str]],
    parameters: Mapping[str, Tensor],
    calls: Mapping[str, Call],
    graph: Graph,
    tasks: int,
) -> list[Block]:
    """Choose for each layer the cheapest exact formula that its use on the graph allows.

    Parameters
    ----------
    layers : mapping of str to sequence of str
        The names of each layer's parameters.
    parameters : mapping of str to Tensor
        By name.
    calls : mapping of str to Call
        The captured calls of layers.
    graph : Graph
        Of the losses.
    tasks : int
        The number of losses.

    Returns
    -------
    list of Block
        Together they account for every parameter that needs a gradient, each once.
    """
    blocks: list[Block] = []
    for layer, names in layers.items():
        wanted = {name: parameters[name] for name in names if parameters[name].requires_grad}
        linear = _linear_block(layer, wanted, calls.get(layer), graph, tasks)
        if linear is not None:
            blocks.append(linear)
        blocks += [
            WeightBlock(layer, (name,), parameter)
            for name, parameter in wanted.items()
            if linear is None or name not in linear.parameters
        ]
    return blocks


def _linear_block(
    layer: str, wanted: Mapping[str, Tensor], call: Call | None, graph: Graph, tasks: int
) -> LinearBlock | None:
    """Return the kernel form, if it is right for this call and pays."""
    if call is None or type(call.module) is not nn.Linear or "forward" in vars(call.module):
        return None
    names = []
    for own in ("weight", "bias"):
        name = f"{layer}.{own}" if layer else own
        if (
            name in wanted
            and call.module._parameters.get(own) is wanted[name]
            and not wanted[name]._backward_hooks  # a user's hook may change the gradient
            and graph.used_only_in(wanted[name], call.output.node)
        ):
            names.append(name)
    if not names or not names[0].endswith("weight") or call.input.is_nested:
        return None
    inputs, outputs = call.input.shape[-1], call.shape[-1]
    r = prod(call.shape[:-1])
    kernel = r * r * inputs + tasks * r * r * outputs + tasks**2 * r * outputs
    gradients = tasks * r * inputs * outputs + tasks**2 * inputs * outputs
    return LinearBlock(layer, tuple(names), call) if kernel < gradients else None
