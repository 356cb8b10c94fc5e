"""With respect to what task gradients are taken."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from trajlab.errors import TrajlabError
from trajlab.measure.layers import group_by_layer
from trajlab.record.moment import Moment

TABLES = {
    "parameters": "gradients",
    "all": "all_gradients",
    "representation": "representation_gradients",
}


class Scope:
    """The parameters that task gradients are taken with respect to.

    Parameters
    ----------
    name : "parameters" or "all"
        The shared parameters, or all parameters of the model.
    layers : sequence of str, optional
        The layers to measure, by qualified name; all by default.
    """

    def __init__(self, name: str, layers: Sequence[str] | None) -> None:
        self.name = name
        self._layers = None if layers is None else tuple(layers)
        self._shared: Mapping[str, nn.Parameter] | None = None
        self._chosen: dict[str, nn.Parameter] = {}
        self._complete = True

    def check(self, model: nn.Module, shared: Mapping[str, nn.Parameter] | None) -> None:
        """Raise if a layer that was asked for owns no parameter in scope.

        Parameters
        ----------
        model : nn.Module
            The model.
        shared : mapping of str to nn.Parameter, or None
            Its shared parameters, if they are known.

        Raises
        ------
        TrajlabError
            Naming the layers there are.
        """
        if shared is not None or self.name == "all":
            self._choose(self._in_scope(model, shared or {}))

    def parameters(self, moment: Moment) -> Mapping[str, nn.Parameter]:
        """Return the parameters of the chosen layers; the same object for the same shared ones.

        Raises
        ------
        TrajlabError
            As `check`.
        """
        if self._shared is not moment.parameters:
            every = self._in_scope(moment.model, moment.parameters)
            self._chosen = self._choose(every)
            self._complete = len(self._chosen) == len(every)
            self._shared = moment.parameters
        return self._chosen

    def complete(self, moment: Moment) -> bool:
        """Say whether no layer is left out, so that the sum over layers is a total."""
        self.parameters(moment)
        return self._complete

    def _in_scope(
        self, model: nn.Module, shared: Mapping[str, nn.Parameter]
    ) -> Mapping[str, nn.Parameter]:
        if self.name == "parameters":
            return shared
        return {n: p for n, p in model.named_parameters() if p.requires_grad}

    def _choose(self, every: Mapping[str, nn.Parameter]) -> dict[str, nn.Parameter]:
        grouped = group_by_layer(every)
        for layer in self._layers or ():
            if layer not in grouped:
                raise TrajlabError(
                    f"layer {layer!r} owns no parameter in scope {self.name!r}; choose among "
                    f"{', '.join(grouped)}"
                )
        return {
            name: every[name]
            for layer, names in grouped.items()
            if self._layers is None or layer in self._layers
            for name in names
        }


def scaled_losses(moment: Moment) -> list[Tensor | None]:
    """Return the tasks' losses as they are to be differentiated; None for an omitted one."""
    losses = (moment.losses.get(task) for task in moment.tasks)
    if moment.loss_scale == 1.0:
        return list(losses)
    return [None if loss is None else loss * moment.loss_scale for loss in losses]


def weights(moment: Moment) -> list[float | Tensor]:
    """Return the tasks' weights in the total; 1 for an omitted one."""
    return [moment.weights.get(task, 1.0) for task in moment.tasks]
