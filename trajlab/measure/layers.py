"""Layers: the modules that own parameters, by name."""

from collections.abc import Iterable, Mapping

from torch import Tensor, nn


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
    names_by_layer: dict[str, list[str]] = {}
    for name in parameters:
        names_by_layer.setdefault(name.rpartition(".")[0], []).append(name)
    return names_by_layer


def modules_of(model: nn.Module, layers: Iterable[str]) -> dict[str, nn.Module]:
    """Return the modules of some layers.

    Parameters
    ----------
    model : nn.Module
        The model that owns them.
    layers : iterable of str
        Qualified names; ``""`` is the model itself.

    Returns
    -------
    dict of str to nn.Module
        Modules by name, in the given order.
    """
    return {layer: model.get_submodule(layer) for layer in layers}
