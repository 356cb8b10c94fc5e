"""Where the shared weights are."""

from collections.abc import Mapping
from dataclasses import replace
from math import nan, sqrt
from typing import Any

from torch import Tensor

from trajlab.errors import TrajlabError
from trajlab.measure.geometry import layer_distances
from trajlab.measure.layers import group_by_layer
from trajlab.record.moment import Moment
from trajlab.record.probes.probe import Probe
from trajlab.record.schedule import Every
from trajlab.store import Table, standard


class Parameters(Probe):
    """Distance of the shared weights from the start, norm of the last update, and path length.

    Holds two copies of the weights. In a resumed run, give the start's.

    Parameters
    ----------
    every : int, "epoch", sequence of int or callable
        When to measure. The norm of the last update is NaN unless the step before was measured too,
        and the path length is that of the polygon through the measured points: exact with 1, too
        short otherwise.
    start : mapping of str to Tensor, optional
        Weights at step 0 by name, such as a checkpoint's ``state_dict``. By default those at the
        first measurement, if it is at step 0; otherwise the distance is NaN. The path length is NaN
        where the run's first steps were not seen.
    by_layer : bool
        Whether to record each layer's distance and update norm too.
    """

    def __init__(
        self,
        every: Every = 1,
        *,
        start: Mapping[str, Tensor] | None = None,
        by_layer: bool = False,
    ) -> None:
        super().__init__(every)
        if not isinstance(start, Mapping | None):
            raise TrajlabError(
                f"Parameters(start=…) is a {type(start).__name__}; give the weights by name, such "
                "as a state_dict"
            )
        self._given = self._start = start
        self._by_layer = by_layer
        self._last: dict[str, Tensor] = {}
        self._last_step = -1
        self._path = nan

    def table(self, moment: Moment) -> Table:
        """Declare ``parameters``."""
        columns = ["distance_from_start", "update_norm", "path_length"]
        labels = {}
        if self._by_layer:
            columns += ["layer_distance_from_start", "layer_update_norm"]
            labels = {"layer": list(group_by_layer(self._last or moment.parameters))}
        table = standard("parameters", *columns, **labels).only(*columns)
        return replace(table, attributes={"parameters": "shared"})

    def measure(self, moment: Moment) -> Mapping[str, Any]:
        """Return ``distance_from_start``, ``update_norm`` and ``path_length``."""
        here = self._weights(moment)
        if not here:
            raise TrajlabError("none of the shared parameters is in the model any more")
        if moment.step == 0:  # where training begins, perhaps once more
            self._start, self._last, self._path = self._given or _copied(here, {}), {}, 0.0
        self._complete_start(here)
        nothing = dict.fromkeys(group_by_layer(here), nan)
        distances = layer_distances(here, self._start) if self._start else nothing
        moved = layer_distances(here, self._last) if self._last else nothing
        if self._last:
            self._path += _total(moved)
        if moment.step != self._last_step + 1:
            moved = nothing
        self._last, self._last_step = _copied(here, self._last), moment.step
        row: dict[str, Any] = {
            "distance_from_start": _total(distances),
            "update_norm": _total(moved),
            "path_length": self._path,
        }
        if self._by_layer:
            row["layer_distance_from_start"] = list(distances.values())
            row["layer_update_norm"] = list(moved.values())
        return row

    def _weights(self, moment: Moment) -> dict[str, Tensor]:
        """Return all weights that were shared so far, frozen ones too."""
        known = {*self._last, *moment.parameters}
        present = moment.model.named_parameters()
        return {name: p.detach() for name, p in present if name in known}

    def _complete_start(self, here: Mapping[str, Tensor]) -> None:
        """Let what is shared only now, or has another shape, begin where it is."""
        if self._start is not None:
            new = [name for name, weight in here.items() if not _fits(self._start, name, weight)]
            if new and not self._last:
                raise TrajlabError(f"start= lacks the weights of {new[0]}; give all of step 0")
            self._start = {**self._start, **{name: here[name].clone() for name in new}}
        if self._last:
            self._last = {
                name: self._last[name] if _fits(self._last, name, weight) else weight.clone()
                for name, weight in here.items()
            }


def _copied(weights: Mapping[str, Tensor], into: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return copies, in the room of former ones where these are of the same kind."""
    return {
        name: into[name].copy_(weight)
        if name in into and into[name].dtype == weight.dtype and into[name].device == weight.device
        else weight.clone()
        for name, weight in weights.items()
    }


def _fits(weights: Mapping[str, Tensor], name: str, weight: Tensor) -> bool:
    return name in weights and weights[name].shape == weight.shape


def _total(norms: Mapping[str, float]) -> float:
    return sqrt(sum(norm**2 for norm in norms.values()))
