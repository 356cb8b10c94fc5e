"""Which layers keep the examples of a batch apart."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor
from torch.autograd.graph import Node, get_gradient_edge

from trajlab.measure.examples.capture import Call
from trajlab.measure.graph import Graph


def only_way(call: Call, parameter: Tensor, graph: Graph) -> bool:
    """Say whether gradients come to a parameter through one call's output alone.

    Not where it is tied, where its layer is called twice, nor where the loss holds a gradient that
    was taken through the layer, for the backward pass then is another use.

    Parameters
    ----------
    call : Call
        The call.
    parameter : Tensor
        A leaf that the call may use.
    graph : Graph
        Graph of the losses.
    """
    output = call.output.node
    inside = {output}
    stack: list[Node] = [output]
    while stack:
        for following, _ in stack.pop().next_functions:
            if following is not None and following not in inside | call.inputs:
                inside.add(following)
                stack.append(following)
    above = [get_gradient_edge(parameter).node]
    if above[0] not in inside:
        return False
    seen = set(above)
    while above:
        node = above.pop()
        if node is output:
            continue
        for user in graph.users(node):
            if user not in inside:
                return False
            if user not in seen:
                seen.add(user)
                above.append(user)
    return True


def output_gradients(losses: Tensor, calls: Mapping[str, Call]) -> dict[str, Tensor]:
    """Return ∂ Σ ℓ / ∂ output of the calls in which each example's output serves its loss alone.

    The losses are differentiated once as they are and once more multiplied by powers of two: only
    where each row of the gradient follows its own loss's factor does no other loss reach it. Powers
    of two multiply without rounding. Two examples differ in the factor of at least one such pass.

    Parameters
    ----------
    losses : Tensor
        Losses, one an example, shape (n,), with their graph, which is retained.
    calls : mapping of str to Call
        Calls of n examples each, on this graph.

    Returns
    -------
    dict of str to Tensor
        Gradients (n, …), by the name of the call.
    """
    if not calls:
        return {}
    edges = [call.output for call in calls.values()]

    def differentiate(factors: Tensor) -> dict[str, Tensor]:
        gradients = torch.autograd.grad(
            losses, edges, factors, retain_graph=True, materialize_grads=False
        )
        pairs = zip(calls, gradients, strict=True)
        return {name: gradient for name, gradient in pairs if gradient is not None}

    plain = differentiate(torch.ones_like(losses))
    narrow = any(gradient.dtype == torch.float16 for gradient in plain.values())
    for factors in _factors(len(losses), 8 if narrow else 64):
        for name, gradient in differentiate(factors.to(losses)).items():
            if name in plain and not _follows(gradient, plain[name], factors):
                del plain[name]
    return plain


def _factors(n: int, base: int) -> Iterator[Tensor]:
    """Yield powers of two, so that any two of n examples differ in one of them."""
    order = torch.randperm(n, generator=torch.Generator().manual_seed(0))
    while True:
        yield 2.0 ** (order % base - base // 2).double()
        order = order // base
        if not order.any():
            return


def _follows(gradient: Tensor, plain: Tensor, factors: Tensor) -> bool:
    rows, expected = gradient.flatten(1), plain.flatten(1)
    scale = factors.to(device=rows.device, dtype=rows.dtype)[:, None]
    if torch.equal(rows, expected * scale):  # as a rule; what follows is slower
        return True
    largest = expected.abs().amax(1, keepdim=True) if expected.numel() else expected
    near = (rows / scale - expected).abs() <= torch.finfo(rows.dtype).eps ** 0.75 * largest
    broken = ~rows.isfinite().all(1) & ~expected.isfinite().all(1)  # an example's loss is NaN
    return bool((near.all(1) | broken).all())
