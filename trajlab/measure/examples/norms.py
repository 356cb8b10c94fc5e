"""Squared norm of every example's gradient."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.autograd.graph import get_gradient_edge

from trajlab.errors import TrajlabError
from trajlab.measure.examples.capture import Call
from trajlab.measure.examples.check import ExampleCheck, Names, squared_norm
from trajlab.measure.examples.formulas import layer_norms
from trajlab.measure.examples.isolation import only_way, output_gradients
from trajlab.measure.graph import Graph
from trajlab.measure.layers import group_by_layer


def sample_norms(
    losses: Tensor,
    parameters: Mapping[str, Tensor],
    calls: Mapping[str, Call] | None = None,
    *,
    check: ExampleCheck | None = None,
) -> Tensor:
    """Compute ‖∇ℓ_i‖² for every example i.

    A layer whose call was captured costs no backward pass of its own: its gradients follow from its
    input and its output's gradient. For a Linear layer not even the gradient is formed, where the
    products of the positions are the cheaper way. Parameters that are used elsewhere too (tied
    weights, a layer called twice, losses that hold a gradient), or whose layer does not keep
    examples apart along the first axis, are differentiated example by example: exact, one pass an
    example.

    Parameters
    ----------
    losses : Tensor
        One an example, shape (n,), with the graph. It is retained and no ``.grad`` is touched.
    parameters : mapping of str to Tensor
        What to differentiate for, by qualified name.
    calls : mapping of str to Call, optional
        The layers' calls in this graph, as `trajlab.measure.examples.capture.Capture` caught them.
    check : ExampleCheck, optional
        Compares a few examples with autograd at its first batch, and remembers what differed. By
        default nothing is compared.

    Returns
    -------
    Tensor
        float64, shape (n,).

    Raises
    ------
    TrajlabError
        If the graph goes through a reentrant checkpoint, which hides its parameters.
    """
    n = len(losses)
    total = torch.zeros(n, dtype=torch.float64, device=losses.device)
    if not losses.requires_grad or not n:
        return total
    graph = Graph([losses])
    left = {
        name: p
        for name, p in parameters.items()
        if p.requires_grad and get_gradient_edge(p).node in graph
    }
    refused = check.wrong if check else set()
    norms = _by_formulas(losses, left, calls or {}, graph, refused)
    if check is not None:
        for names in check.differing(losses, left, norms):
            del norms[names]
    for names, rows in norms.items():
        total += rows
        for name in names:
            del left[name]
    if check is not None:
        check.one_by_one |= left.keys()
    for i in range(n if left else 0):
        gradients = torch.autograd.grad(
            losses[i], list(left.values()), retain_graph=True, allow_unused=True
        )
        for gradient in gradients:
            if gradient is not None:
                total[i] += squared_norm(gradient)
    return total


def refuse_batch_statistics(model: nn.Module) -> None:
    """Raise if examples of a batch reach each other's loss through batch normalisation.

    Raises
    ------
    TrajlabError
        Naming the layer.
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and (
            module.training or module.running_mean is None
        ):
            raise TrajlabError(
                f"layer {name} normalises over the batch, so a single example has no gradient of "
                "its own; put the model into evaluation mode, with running statistics"
            )


def _by_formulas(
    losses: Tensor,
    parameters: Mapping[str, Tensor],
    calls: Mapping[str, Call],
    graph: Graph,
    refused: set[str],
) -> dict[Names, Tensor]:
    """Return squared norms (n,), by the names of the parameters that a formula is right for."""
    names_by_layer = group_by_layer(parameters)
    covered = {
        layer: names
        for layer, call in calls.items()
        if (names := _covered(layer, call, names_by_layer))
        and refused.isdisjoint(names)
        and call.shape[:1] == (len(losses),)
        and call.output.node in graph
        and not any(edge.node in graph for edge in call.further)
        and all(_can_be_told(call, parameters[name], graph) for name in names)
    }
    norms: dict[Names, Tensor] = {}
    gradients = output_gradients(losses, {layer: calls[layer] for layer in covered})
    for layer, gradient in gradients.items():
        inside = len(layer) + 1 if layer else 0
        chosen = {name[inside:]: parameters[name] for name in covered[layer]}
        rows = layer_norms(calls[layer], chosen, gradient)
        if rows is not None:
            norms[tuple(covered[layer])] = rows
    return norms


def _covered(layer: str, call: Call, names_by_layer: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the parameters that a call alone may use; attention projects its output itself."""
    names = list(names_by_layer.get(layer, []))
    if isinstance(call.module, nn.MultiheadAttention):
        return names + list(names_by_layer.get(f"{layer}.out_proj".lstrip("."), []))
    return [] if any(call.module.children()) else names


def _can_be_told(call: Call, parameter: Tensor, graph: Graph) -> bool:
    """Say whether a parameter's gradient comes from the call alone, and as autograd gives it."""
    return not parameter._backward_hooks and only_way(call, parameter, graph)
