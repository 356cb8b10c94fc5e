"""Where the weights are: distances along a run, and the barrier between two points."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor

from trajlab.measure.layers import group_by_layer

_RUN = 2**16  # coordinates whose difference stays in a CPU's cache


def layer_distances(here: Mapping[str, Tensor], there: Mapping[str, Tensor]) -> dict[str, float]:
    """Compute the Euclidean distance between two sets of weights, layer by layer.

    Parameters
    ----------
    here, there : mapping of str to Tensor
        Weights by qualified name.

    Returns
    -------
    dict of str to float
        Distances by layer; the root of their summed squares is the distance of the whole.
    """
    squares = {name: _squared_distance(weight, there[name]) for name, weight in here.items()}
    layers = group_by_layer(here)
    sums = [sum(squares[name].cpu() for name in names) for names in layers.values()]
    return {layer: sqrt(total) for layer, total in zip(layers, sums, strict=True)}


def _squared_distance(here: Tensor, there: Tensor) -> Tensor:
    """Return ‖here - there‖² in float64, in which no difference of two weights is lost."""
    total = torch.zeros((), dtype=torch.float64, device=here.device)
    a, b = _coordinates(here), _coordinates(there)
    length = _RUN if a.device.type == "cpu" else max(len(a), 1)
    for part, other in zip(a.split(length), b.split(length), strict=True):  # type: ignore[no-untyped-call]
        difference = part.to(torch.float64, copy=True).sub_(other)
        total += torch.dot(difference, difference)
    return total


def _coordinates(weight: Tensor) -> Tensor:
    weight = weight.detach()
    return (torch.view_as_real(weight) if weight.is_complex() else weight).reshape(-1)


@dataclass(frozen=True)
class Barrier:
    """Loss on the straight line between two sets of weights.

    Attributes
    ----------
    height : float
        Largest rise of the loss above the line that joins the two ends' losses; 0 at least.
    position : float
        Position of that rise: 0 at the first end, 1 at the second.
    positions, losses : tuple of float
        The points that were evaluated.
    """

    height: float
    position: float
    positions: tuple[float, ...]
    losses: tuple[float, ...]


def interpolation_barrier(
    loss: Callable[[Mapping[str, Tensor]], Tensor],
    start: Mapping[str, Tensor],
    end: Mapping[str, Tensor],
    *,
    points: int = 11,
) -> Barrier:
    """Find the loss barrier on the straight line between two checkpoints.

    Parameters
    ----------
    loss : callable
        Maps weights by name to a scalar loss. With batch normalisation its statistics belong to
        neither point between; renew them in `loss`.
    start, end : mapping of str to Tensor
        Weights by name.
    points : int
        Number of evenly spaced points, both ends included.

    Returns
    -------
    Barrier

    References
    ----------
    J. Frankle et al., *Linear Mode Connectivity and the Lottery Ticket Hypothesis* (2020),
    arXiv:1912.05671.
    """
    positions = torch.linspace(0, 1, points, dtype=torch.float64).tolist()
    losses = [
        loss(
            {name: torch.lerp(w.detach(), end[name].detach(), a) for name, w in start.items()}
        ).item()
        for a in positions
    ]
    rises = [
        value - (1 - a) * losses[0] - a * losses[-1]
        for a, value in zip(positions, losses, strict=True)
    ]
    highest = max(range(points), key=rises.__getitem__)
    return Barrier(max(rises[highest], 0.0), positions[highest], tuple(positions), tuple(losses))
