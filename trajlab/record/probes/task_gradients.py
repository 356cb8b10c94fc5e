"""The Gram matrix of the tasks' gradients."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from trajlab.errors import TrajlabError
from trajlab.measure.gram.layer_sums import BlockSums, TaskGram
from trajlab.measure.gram.projection import Projection
from trajlab.measure.gram.representation import representation_gram, watch_representation
from trajlab.measure.gram.task_gram import group_by_layer, task_gram
from trajlab.measure.gram.training_gram import TrainingGram
from trajlab.measure.sums.gradient_sums import GradientSums
from trajlab.measure.sums.processes import processes
from trajlab.record.probes.probe import Moment, Probe, Row, Started
from trajlab.record.schedule import Every
from trajlab.store import Column, Table, standard

_logger = logging.getLogger("trajlab")

_UPDATE = (
    Column(
        "update_dot",
        ("step", "task"),
        description="inner product with the gradient that the optimizer took",
    ),
    Column("update_norm", description="norm of the gradient that the optimizer took"),
)

_STANDARD_ERROR = Column(
    "gram_se",
    ("step", "layer", "task", "other_task"),
    description="standard error of gram; over layers, the root of the sum of squares",
)


_TABLES = {
    "parameters": "gradients",
    "all": "all_gradients",
    "representation": "representation_gradients",
}


class TaskGradients(Probe):
    """Inner products of the unweighted task gradients of the training graph, layer by layer.

    Norms, cosines and the total over layers follow from them. They are gradients of the batch as it
    was trained on (training mode, dropout drawn), before any clipping and without a loss scale.
    Where an update is made of several backward passes, or by several processes, they are those of
    the whole batch: each task's gradients are added up, which takes a pull-back a task and pass
    and room for a gradient a task.

    Parameters
    ----------
    every : int, "epoch", sequence of int or callable
        When to measure.
    method : "exact" or "projected"
        Exact products, by the cheapest formula that each layer allows; or unbiased estimates with
        their standard errors in ``gram_se``, where that is cheaper: of the weights of Linear layers
        and convolutions with large inputs, of which random projections are drawn at each step. For
        updates of several passes or processes every product is exact.
    layers : sequence of str, optional
        The layers to measure, by qualified name; nothing below the lowest one is computed. By
        default all that own shared parameters; a subset has no total, and the table says so.
    scope : "parameters", "all" or "representation"
        With respect to the shared parameters; to all parameters of the model, each task's head too;
        or to the last tensor on which all losses depend, usually the trunk's output: nearly free,
        but another quantity, of the first backward pass, in the process that records. Each scope
        has a table of its own.
    update : bool
        Record beside them the gradient that the optimizer takes, after clipping: its norm, and its
        inner product with each task's gradient. Takes a pull-back and a gradient a task.
    memory : int
        Bytes that added gradients may take; beyond, sketches of them are added, and the products
        have errors of about 1/64 of the norms. The table's ``method`` says which.
    size : int
        Columns of a random projection; the errors fall with its square root.
    seed : int
        Of the projections.

    Raises
    ------
    TrajlabError
        If an option has a value that there is not; or, when it measures, if a layer owns no
        parameter in scope or the losses leave no common tensor.
    """

    needs_graph = True

    def __init__(
        self,
        every: Every = 1,
        method: str = "exact",
        layers: Sequence[str] | None = None,
        scope: str = "parameters",
        update: bool = False,
        memory: int = 2**30,
        size: int = 32,
        seed: int = 0,
    ) -> None:
        super().__init__(every)
        if method not in ("exact", "projected"):
            raise TrajlabError(
                f"TaskGradients(method={method!r}) is unknown; use 'exact' or 'projected'"
            )
        if method == "projected" and scope == "representation":
            raise TrajlabError("gradients of the representation are exact; leave method= out")
        if size < 2:
            raise TrajlabError(
                f"TaskGradients(size={size}) has no scatter to tell its error; give 2 or more"
            )
        if scope not in _TABLES:
            raise TrajlabError(
                f"TaskGradients(scope={scope!r}) is unknown; use one of {', '.join(_TABLES)}"
            )
        if scope == "representation" and layers is not None:
            raise TrajlabError("the representation has no layers; leave layers= out")
        if scope != "parameters" and update:
            raise TrajlabError(
                "the gradient that the optimizer takes is recorded of the shared parameters alone; "
                "use scope='parameters'"
            )
        self._update = update
        self._memory = memory
        self._projected = method == "projected"
        self._size = size
        self._seed = seed
        self._sums: GradientSums | None = None
        self._scope = scope
        self._layers = None if layers is None else tuple(layers)
        self._shared: Mapping[str, nn.Parameter] | None = None
        self._chosen: dict[str, nn.Parameter] = {}
        self._meter: TrainingGram | None = None
        self._said = False
        self._donated = False

    @property
    def quantity(self) -> str:
        """Each scope has a table of its own."""
        return f"{type(self).__name__}(scope={self._scope!r})"

    @property
    def survives_compilation(self) -> bool:
        """A compiled graph can be differentiated once more, if not twice."""
        return self._scope != "representation"

    @property
    def survives_sharding(self) -> bool:
        """A sharded parameter is whole while its module is called."""
        return self._scope == "parameters"

    def table(self, moment: Moment) -> Table:
        """Declare ``gradients``, ``all_gradients`` or ``representation_gradients``."""
        tasks = list(moment.tasks)
        if self._scope == "representation":
            return Table(
                _TABLES[self._scope],
                (
                    Column(
                        "gram",
                        ("step", "task", "other_task"),
                        description="inner products of the task gradients at the representation",
                    ),
                ),
                {"task": tasks, "other_task": tasks},
                {"method": "exact", "scope": "representation"},
            )
        layers = list(group_by_layer(self._wanted(moment)))
        table = standard("gradients", layer=layers, task=tasks).only("gram")
        if self._update:
            table = replace(table, columns=(*table.columns, *_UPDATE))
        method = "sketch" if self._sums is not None and self._sums.sketched else "exact"
        projection: dict[str, int] = {}
        if self._projected and self._sums is None:
            method = "projected"
            projection = {"size": self._size, "seed": self._seed}
            table = replace(table, columns=(*table.columns, _STANDARD_ERROR))
        complete = self._layers is None or len(layers) == len(
            group_by_layer(self._in_scope(moment))
        )
        attributes = {"method": method, "scope": self._scope, "complete": complete, **projection}
        return replace(table, name=_TABLES[self._scope], attributes=attributes)

    def measure(self, moment: Moment) -> Row:
        """Return ``gram``, shape (layer, task, other_task)."""
        losses = _scaled(moment)
        if self._scope == "representation":
            return {"gram": representation_gram(losses) / moment.loss_scale**2}
        projection = self._projection(moment)
        found = task_gram(losses, self._wanted(moment), projection)
        self._say(found.from_gradients)
        scale = moment.loss_scale**2
        return self._estimates(found, scale) if self._projected else {"gram": found.gram / scale}

    def start(self, moment: Moment) -> Started:
        """Pull back all tasks but the one that the training backward supplies."""
        losses = _scaled(moment)
        weights = [moment.weights.get(task, 1.0) for task in moment.tasks]
        if self._scope == "representation":
            watch = watch_representation(moment.model, losses, weights)
            return Started(lambda: self._row(moment, watch.sums), watch)
        wanted = self._wanted(moment)
        if self._meter is None or self._meter.parameters is not wanted:
            self._meter = TrainingGram(moment.model, wanted)
        try:
            watch = self._meter.start(losses, weights, self._projection(moment))
        except RuntimeError as error:
            self._say_donated(error)
            shape = (len(group_by_layer(wanted)), len(losses), len(losses))
            return Started(lambda: {"gram": torch.full(shape, torch.nan)})
        return Started(lambda: self._row(moment, watch.sums), watch)

    def adds_up(self, moment: Moment) -> bool:
        """Say whether gradients of several passes or processes make up the update."""
        return self._scope != "representation" and (
            self._update
            or moment.passes > 1
            or processes() > 1
            or moment.leaves is not moment.parameters
            or self._sums is not None
        )

    def add(self, moment: Moment) -> None:
        """Add the gradients of one pass."""
        wanted = self._wanted(moment)
        if self._sums is None:
            self._sums = GradientSums(wanted, len(moment.tasks), self._memory)
        if moment.first:
            self._sums.clear()
        try:
            self._sums.add(
                [moment.losses.get(task) for task in moment.tasks],
                {name: moment.leaves.get(name, wanted[name]) for name in wanted},
                1 / moment.passes,
                moment.loss_scale,
            )
        except RuntimeError as error:
            self._say_donated(error)
            self._sums.clear()  # and its Gram matrix is NaN

    def complete(self, moment: Moment, update: Mapping[str, Tensor]) -> Row:
        """Return ``gram``; with `update`, ``update_dot`` (task,) and ``update_norm`` too."""
        assert self._sums is not None
        self._sums.average()
        row: dict[str, Tensor] = {"gram": self._sums.gram()}
        if self._update and update:
            taken = {n: _whole(update[n]) for n in self._wanted(moment) if n in update}
            row["update_dot"] = self._sums.dot(taken)
            row["update_norm"] = torch.stack([g.double().norm() for g in taken.values()]).norm()
        self._sums.clear()
        return row

    def _say_donated(self, error: RuntimeError) -> None:
        """Say once that a compiled backward gives its buffers away; raise other errors."""
        if "donated buffer" not in str(error):
            raise error
        if not self._donated:
            self._donated = True
            _logger.warning(
                "trajlab cannot take task gradients from a compiled graph that reuses its buffers, "
                "and records NaN; set torch._functorch.config.donated_buffer = False before it is "
                "compiled"
            )

    def _wanted(self, moment: Moment) -> Mapping[str, nn.Parameter]:
        """Return the parameters of the chosen layers; the same object for the same shared ones."""
        if self._shared is not moment.parameters:
            parameters = self._in_scope(moment)
            found = group_by_layer(parameters)
            for layer in self._layers or ():
                if layer not in found:
                    raise TrajlabError(
                        f"layer {layer!r} owns no parameter in scope {self._scope!r}; choose among "
                        f"{', '.join(found)}"
                    )
            self._shared = moment.parameters
            self._chosen = {
                name: parameters[name]
                for layer, names in found.items()
                if self._layers is None or layer in self._layers
                for name in names
            }
        return self._chosen

    def _in_scope(self, moment: Moment) -> Mapping[str, nn.Parameter]:
        """Return the parameters in scope."""
        if self._scope == "parameters":
            return moment.parameters
        return {n: p for n, p in moment.model.named_parameters() if p.requires_grad}

    def _row(self, moment: Moment, sums: BlockSums) -> Row:
        """Return the row; exact products are finished when it is written."""
        scale = moment.loss_scale**2
        if self._scope == "representation":
            return {"gram": lambda: sums.result().gram[0] / scale}
        self._say(sums.from_gradients)
        return (
            self._estimates(sums.result(), scale)
            if self._projected
            else {"gram": lambda: sums.result().gram / scale}
        )

    def _estimates(self, found: TaskGram, scale: float) -> Row:
        error = found.standard_error
        error = torch.zeros_like(found.gram) if error is None else error
        return {"gram": found.gram / scale, "gram_se": error / scale}

    def _projection(self, moment: Moment) -> Projection | None:
        """Return the random signs of this step, the same ones whenever it is trained."""
        if not self._projected:
            return None
        generator = torch.Generator().manual_seed((self._seed << 32) + moment.step)
        return Projection(self._size, generator)

    def _say(self, from_gradients: Sequence[str]) -> None:
        if from_gradients and not self._said:
            self._said = True
            _logger.info(
                "trajlab takes the task gradients' products from weight gradients in the layers "
                "%s; where a formula needs none, it is used",
                ", ".join(repr(layer) for layer in from_gradients),
            )


def _whole(gradient: Tensor) -> Tensor:
    """Return a gradient with the shards of all processes, if it is a DTensor."""
    return gradient.full_tensor() if hasattr(gradient, "full_tensor") else gradient


def _scaled(moment: Moment) -> list[Tensor | None]:
    """Return the tasks' losses as they are to be differentiated; None for an omitted one."""
    losses = (moment.losses.get(task) for task in moment.tasks)
    if moment.loss_scale == 1.0:
        return list(losses)
    return [None if loss is None else loss * moment.loss_scale for loss in losses]
