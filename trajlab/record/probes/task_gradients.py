"""The Gram matrix of the tasks' gradients."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from torch import Tensor

from trajlab.errors import TrajlabError
from trajlab.measure.layers import group_by_layer
from trajlab.measure.sums.processes import processes
from trajlab.record import settings
from trajlab.record.loop.setup import Setup
from trajlab.record.moment import Moment
from trajlab.record.probes.gradients.one_pass import OnePass
from trajlab.record.probes.gradients.one_update import OneUpdate
from trajlab.record.probes.gradients.representation import Representation
from trajlab.record.probes.gradients.scope import TABLES, Scope
from trajlab.record.probes.probe import Probe, Row, Started
from trajlab.record.schedule import Every
from trajlab.store import Table, standard

_logger = logging.getLogger("trajlab")


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
        Seed of the projections.

    Raises
    ------
    TrajlabError
        If an option has no such value; or, when the recorder is made, if a layer owns no parameter
        in scope.
    """

    needs_graph = True

    def __init__(
        self,
        every: Every = 1,
        *,
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
        settings.whole("TaskGradients: size", size, 2)  # one has no scatter to tell its error
        settings.whole("TaskGradients: memory", memory)
        settings.seed("TaskGradients: seed", seed)
        if scope not in TABLES:
            raise TrajlabError(
                f"TaskGradients(scope={scope!r}) is unknown; use one of {', '.join(TABLES)}"
            )
        if scope == "representation" and layers is not None:
            raise TrajlabError("the representation has no layers; leave layers= out")
        if scope != "parameters" and update:
            raise TrajlabError(
                "the gradient that the optimizer takes is recorded of the shared parameters alone; "
                "use scope='parameters'"
            )
        self._name = scope
        self._update = update
        self._projection = {"size": size, "seed": seed} if method == "projected" else {}
        self._scope = Scope(scope, layers)
        self._representation = Representation() if scope == "representation" else None
        self._one_pass = OnePass(self._scope, self._projection.get("size"), seed)
        self._one_update = OneUpdate(self._scope, memory=memory, update=update)

    @property
    def quantity(self) -> str:
        """Each scope has a table of its own."""
        return f"{type(self).__name__}(scope={self._name!r})"

    @property
    def survives_compilation(self) -> bool:
        """A compiled graph can be differentiated once more, if not twice."""
        return self._representation is None

    @property
    def survives_sharding(self) -> bool:
        """A sharded parameter is whole while its module is called."""
        return self._name == "parameters"

    def check(self, setup: Setup) -> None:
        """Raise if it cannot measure in this loop, or a layer is not there."""
        super().check(setup)
        if self._update and setup.optimizer is None:
            _logger.warning(
                "trajlab cannot know the gradient that the optimizer takes, and records NaN for "
                "update_dot and update_norm; pass optimizer= to the recorder"
            )
        if self._representation is None:
            self._scope.check(setup.inner, setup.parameters)

    def table(self, moment: Moment) -> Table:
        """Declare ``gradients``, ``all_gradients`` or ``representation_gradients``."""
        name = TABLES[self._name]
        if self._representation is not None:
            return self._representation.table(name, moment)
        layers = list(group_by_layer(self._scope.parameters(moment)))
        columns = ["gram", *(("update_dot", "update_norm") if self._update else ())]
        method, options = self._one_update.method, {}
        if self._projection and not self._one_update.used:
            method, options = "projected", self._projection
            columns.append("gram_se")
        complete = self._scope.complete(moment)
        attributes = {"method": method, "scope": self._name, "complete": complete, **options}
        table = standard("gradients", *columns, layer=layers, task=moment.tasks)
        return replace(table.only(*columns), name=name, attributes=attributes)

    def measure(self, moment: Moment) -> Row:
        """Return ``gram``, shape (layer, task, other_task)."""
        return (self._representation or self._one_pass).measure(moment)

    def start(self, moment: Moment) -> Started:
        """Pull back all tasks but the one that the training backward supplies."""
        return (self._representation or self._one_pass).start(moment)

    def adds_up(self, moment: Moment) -> bool:
        """Say whether gradients of several passes or processes make up the update."""
        return self._representation is None and (
            self._update
            or moment.passes > 1
            or processes() > 1
            or moment.leaves is not moment.parameters
            or self._one_update.used
        )

    def add(self, moment: Moment) -> None:
        """Add the gradients of one pass."""
        self._one_update.add(moment)

    def complete(self, moment: Moment, update: Mapping[str, Tensor]) -> Row:
        """Return ``gram``; with `update`, ``update_dot`` (task,) and ``update_norm`` too."""
        return self._one_update.complete(moment, update)
