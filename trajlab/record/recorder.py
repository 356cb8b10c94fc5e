"""The recorder: attaches to a training loop and writes its trajectory."""

import atexit
import logging
import operator
import os
import time
import weakref
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from functools import reduce
from math import nan
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch.distributed as dist
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

from trajlab.errors import TrajlabError
from trajlab.measure.sums.processes import processes
from trajlab.record.attached import Attached
from trajlab.record.evaluations import Value, evaluation_row, evaluation_table
from trajlab.record.loop.clock import Clock
from trajlab.record.loop.loss_scale import LossScale
from trajlab.record.loop.losses import Weights, present_losses
from trajlab.record.loop.shards import Shards
from trajlab.record.loop.shared import discover_shared, name_shared
from trajlab.record.loop.wrappers import has_compiled_graph, is_sharded, refuse_compiled, unwrap
from trajlab.record.probes.losses import Losses
from trajlab.record.probes.probe import Moment, Predict, Probe, Started, TaskLosses
from trajlab.record.provenance import provenance
from trajlab.record.rows import Rows
from trajlab.record.sinks import Mirror, Sink
from trajlab.store import NullWriter, Trajectory, Writer
from trajlab.store.parts import exists

_logger = logging.getLogger("trajlab")


class Recorder:
    """Records a training run without changing it.

    Weights, optimizer state, random streams, buffers and train/eval flags are what they would be
    without it, bit for bit. Training losses are always recorded; `probes` add quantities.

    Parameters
    ----------
    path : path
        The trajectory file to make, ending in ``.h5``.
    model : nn.Module
        The model that is trained.
    tasks : sequence of str
        Task names, in the order of every task axis.
    shared : nn.Module or iterable of nn.Parameter, optional
        The part of the model that the tasks share. By default it is found from the graph on the
        first step: the parameters that two or more losses reach.
    optimizer : Optimizer, optional
        Advances the step and supplies the learning rate (of its first group). Without it, every
        `backward` or `observe` is one step. Of several optimizers, the shared parameters'.
    scaler : GradScaler, optional
        The one that scales the losses in mixed precision. `backward` then leaves what
        ``scaler.scale(total).backward()`` leaves; all that is recorded is without the scale, and
        updates that the scaler skips are marked.
    lower_is_better : sequence of str
        Metrics of which less is better; ``loss`` always is.
    probes : sequence of Probe
        What to measure beside the losses.
    metadata : mapping, optional
        What tells runs apart: setting, condition, method, seed, ….
    sinks : sequence of Sink
        Where numbers are mirrored to as well: `trajlab.record.sinks.TensorBoard` or ``WandB``.
    task_losses : callable, optional
        ``fn(model, batch) -> {task: per-example losses (n,)}``, for probes that measure on data of
        their own. Where the loss is not their mean (class weights, ignored entries), a pair of
        losses and denominators, both (n,): the loss is the sum of one by the sum of the other.
    predict : callable, optional
        ``fn(model, batch) -> {task: class logits}``, for `probes.FisherTrace`; other targets as
        `probes.Bernoulli`, `probes.Gaussian` or `probes.Categorical`.
    resume : bool
        Go on with the run at `path`; if there is none yet, start it.
    from_step : int, optional
        The step of the checkpoint that training resumes from; what was recorded from there on is
        superseded. By default, and without `load_state_dict`, after the last step recorded.
    allow_changes : bool
        Resume although metadata or shared parameters differ from what was recorded.

    Raises
    ------
    TrajlabError
        If the file exists and `resume` is not set or cannot be written; if task names are not
        distinct, `shared` is not part of the model, a probe lacks what it needs, or the model is
        compiled and a graph of it is needed.

    Notes
    -----
    Under ``torch.distributed`` rank 0 writes; the others measure along, for measuring may
    communicate, and write nothing. SIGTERM writes what is buffered, then does what it would have
    done without. A recorder that is not closed seals its file, with the status ``recording``, when
    the last reference to it goes or the process ends.

    Examples
    --------
    >>> with Recorder("run.h5", model, tasks=["left", "right"], optimizer=optimizer) as recorder:
    ...     for x, y in loader:
    ...         left, right = model(x)
    ...         recorder.backward({"left": ce(left, y[:, 0]), "right": ce(right, y[:, 1])})
    ...         optimizer.step()
    ...         optimizer.zero_grad()
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        model: nn.Module,
        *,
        tasks: Sequence[str],
        shared: nn.Module | Iterable[nn.Parameter] | None = None,
        optimizer: Optimizer | None = None,
        scaler: GradScaler | None = None,
        lower_is_better: Sequence[str] = (),
        probes: Sequence[Probe] = (),
        metadata: Mapping[str, Any] | None = None,
        sinks: Sequence[Sink] = (),
        task_losses: TaskLosses | None = None,
        predict: Predict | None = None,
        resume: bool = False,
        from_step: int | None = None,
        allow_changes: bool = False,
    ) -> None:
        if not tasks or isinstance(tasks, str) or len(set(tasks)) < len(tasks):
            raise TrajlabError(f"tasks={tasks!r} must be a list of distinct names")
        if shared is None:
            refuse_compiled(model, "its graph hides what the tasks share", "pass shared=")
        if shared is None and is_sharded(model):
            raise TrajlabError("a sharded model's graph hides what the tasks share; pass shared=")
        quantities = [probe.quantity for probe in probes]
        for probe in probes:
            kind = type(probe).__name__
            if quantities.count(probe.quantity) > 1:
                raise TrajlabError(f"two {kind} probes would write one table; give one")
            if not probe.survives_compilation:
                refuse_compiled(
                    model if probe.needs_graph else unwrap(model),
                    f"{kind} cannot measure that",
                    "leave the probe out, or train the model uncompiled",
                )
            if is_sharded(model) and not probe.survives_sharding:
                raise TrajlabError(
                    f"{kind} cannot measure a model given to fully_shard; leave the probe out"
                )
            if processes() > 1 and probe.needs_graph and probe.schedule.every == "epoch":
                raise TrajlabError(
                    f"{kind}(every='epoch') would wait for processes that do not evaluate; give a "
                    "number of steps"
                )
            if probe.needs_task_losses and task_losses is None:
                raise TrajlabError(
                    f"{kind} measures on data of its own and needs to know the "
                    "losses there; pass task_losses=fn to the recorder"
                )
            if probe.needs_predict and predict is None:
                raise TrajlabError(
                    f"{kind} samples targets from the model's predictions; pass predict=fn to the "
                    "recorder"
                )
        self._shards = Shards(model)
        self._model = unwrap(model)
        self._tasks = tuple(tasks)
        self._parameters = None if shared is None else name_shared(self._model, shared)
        self._optimizer = optimizer
        self._lower_is_better = tuple(lower_is_better)
        self._task_losses = task_losses
        self._predict = predict
        earlier = Trajectory(path) if resume and exists(Path(path)) else None
        self._writer = (
            NullWriter(path)
            if _is_beside()
            else Writer(
                path,
                self._tasks,
                list(self._parameters or ()),
                metadata,
                provenance(self._model),
                resume=resume,
                from_step=from_step,
                allow_changes=allow_changes,
            )
        )
        self._created = datetime.fromisoformat(self._writer.created).timestamp()
        self._rows = Rows(self._writer, Mirror(() if _is_beside() else sinks))
        self._said = False
        self._scale = LossScale(scaler)
        self._losses = Attached(Losses(self._scale.active), self._rows)
        self._probes = [Attached(probe, self._rows) for probe in probes]
        self._clock = Clock(optimizer, self._complete)
        parts = (self._clock, self._shards, self._scale, self._rows)  # none holds the recorder
        self._unclosed = weakref.finalize(self, _abandon, os.getpid(), self._writer.path, *parts)
        self._unclosed.atexit = False  # too late: h5py has put its converters away by then
        atexit.register(self._unclosed)
        if earlier is not None:
            self._clock.resume(earlier, from_step)
        self._look_if_due(self.step)

    @property
    def step(self) -> int:
        """Optimizer updates completed."""
        return self._clock.step

    @property
    def epoch(self) -> int:
        """Epochs completed: counted at evaluations, unless it is set."""
        return self._clock.epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self._clock.set_epoch(epoch)

    def backward(
        self,
        losses: Mapping[str, Tensor | None],
        weights: Weights | None = None,
        accumulate: int = 1,
    ) -> None:
        """Record, then leave in ``.grad`` what ``sum(w * loss).backward()`` leaves, bit for bit.

        Parameters
        ----------
        losses : mapping of str to Tensor or None
            The scalar loss of each task; one left out, or None, is omitted.
        weights : mapping of str to float or Tensor, optional
            The weight of each loss, 1 by default. Gradients flow into those that are tensors.
        accumulate : int
            The number of backward passes that the optimizer's next update is made of. The total is
            divided by it, and task gradients are those of all these micro-batches together.

        Raises
        ------
        TrajlabError
            If a task is not declared, or the losses cannot be differentiated.
        """
        present = present_losses(losses, weights, self._tasks)
        self._begin_pass(None)
        moment = self._recorded(present, weights or dict.fromkeys(present, 1.0), accumulate)
        started = self._start(moment)
        if weights is None:
            total = reduce(operator.add, present.values())
        else:
            total = reduce(operator.add, (weights[task] * loss for task, loss in present.items()))
        if accumulate > 1:
            total = total / accumulate
        with ExitStack() as watching:
            for _, measurement in started:
                watching.enter_context(measurement.watching)
            self._scale.apply(total).backward()  # type: ignore[no-untyped-call]
        for attached, measurement in started:
            attached.finish(moment, measurement)
        self._end_pass(accumulate)

    def observe(
        self,
        losses: Mapping[str, Tensor | None],
        weights: Weights | None = None,
        step: int | None = None,
        accumulate: int = 1,
    ) -> None:
        """Record without touching ``.grad``; the graph stays usable.

        For loops that own their backward, and for totals other than a weighted sum.

        Parameters
        ----------
        losses : mapping of str to Tensor or None
            The scalar loss of each task; one left out, or None, is omitted.
        weights : mapping of str to float or Tensor, optional
            Recorded beside the losses, 1 by default.
        step : int, optional
            Optimizer updates completed, if the recorder does not count them rightly by itself.
        accumulate : int
            The number of backward passes that the optimizer's next update is made of; task
            gradients are those of the mean over these micro-batches.

        Raises
        ------
        TrajlabError
            If a task is not declared, or the losses cannot be differentiated.
        """
        present = present_losses(losses, weights, self._tasks)
        self._begin_pass(step)
        moment = self._recorded(present, weights or dict.fromkeys(present, 1.0), accumulate)
        for attached in self._probes:
            if attached.probe.adds_up(moment):
                attached.add_if_due(moment, self._clock.boundary)
            elif moment.first:
                attached.measure_if_due(moment, self._clock.boundary)
            else:
                self._miss(attached, moment)
        self._end_pass(accumulate)

    def evaluate(
        self,
        split: str,
        values: Mapping[str, Mapping[str, Value]],
        step: int | None = None,
    ) -> None:
        """Record an evaluation of the present weights.

        Parameters
        ----------
        split : str
            ``train``, ``validation`` or ``test``.
        values : mapping
            ``{task: {"loss": …, "accuracy": …}}``, in any unit, as they are to be stored. Beside
            the metrics ``"correct"`` takes a flag for each item of the data, in the same order
            each time: stored as bits, read back by `Trajectory.correct`.
        step : int, optional
            Optimizer updates completed, if the recorder does not count them rightly by itself.

        Raises
        ------
        TrajlabError
            If the split or a task is unknown, a value is not a number, or ``"correct"`` not a
            flat array of flags.
        """
        self._shards.close()
        if step is not None:
            self._clock.step = step
        row = evaluation_row(values, self._tasks)
        table = evaluation_table(split, self._tasks, row, self._lower_is_better)
        self._rows.declare(table)
        self._clock.evaluated()
        self._rows.append(table.name, {"step": self.step, "epoch": self.epoch, **row})
        if self._parameters is not None:
            moment = self._moment({}, {})
            for attached in self._probes:
                if attached.probe.schedule.every == "epoch" and not attached.probe.needs_graph:
                    attached.measure_if_due(moment, self._clock.boundary)
        self._look_if_due(self.step)

    def flush(self) -> None:
        """Write what is buffered: when this returns it survives a power loss.

        Raises
        ------
        TrajlabError
            If the disk refuses; nothing is lost, and the next flush tries again.
        """
        self._rows.flush()

    def close(self, status: str = "complete") -> None:
        """Seal the file; a second time this does nothing.

        Parameters
        ----------
        status : str
            ``complete``, or ``recording`` for a run that is to be resumed.

        Raises
        ------
        TrajlabError
            If the disk refuses; nothing is lost, and `close` can be called again.
        """
        _seal(self._clock, self._shards, self._scale, self._rows, status)
        self._unclosed.detach()
        atexit.unregister(self._unclosed)

    def state_dict(self) -> dict[str, Any]:
        """Flush, and return what a checkpoint must hold to resume from here."""
        self.flush()
        return self._clock.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint; what was recorded from its step on is superseded.

        Raises
        ------
        TrajlabError
            If this recorder has recorded already.
        """
        self._rows.hand_over()
        self._writer.rewind(state["step"])
        self._clock.load_state_dict(state)
        self._look_if_due(self.step)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
            return
        try:
            self.close("recording")
        except Exception as failure:  # must not take the place of the user's own error
            _logger.error("trajlab could not seal %s: %s", self._writer.path, failure)

    def _begin_pass(self, step: int | None) -> None:
        if _mark_skipped(self._scale, self._rows):
            self._clock.retry()
        self._clock.begin_pass(step)

    def _recorded(self, losses: Mapping[str, Tensor], weights: Weights, accumulate: int) -> Moment:
        """Record the losses of this pass, and return the moment for the probes."""
        if accumulate < 1:
            raise TrajlabError(f"accumulate={accumulate} is no number of passes; give 1 or more")
        self._shards.close()
        if self._parameters is None:
            if has_compiled_graph(losses.values()):
                raise TrajlabError(
                    "the losses come from a compiled graph, which hides what the tasks share; pass "
                    "shared="
                )
            self._parameters = discover_shared(self._model, self._tasks, losses)
            self._writer.shared = list(self._parameters)
        moment = self._moment(losses, weights, accumulate)
        self._scale.remember(self._losses.measure(moment), moment.first)
        return moment

    def _start(self, moment: Moment) -> list[tuple[Attached, Started]]:
        """Let the probes that are due measure what comes before the training backward."""
        started = []
        for attached in self._probes:
            if attached.probe.adds_up(moment):
                attached.add_if_due(moment, self._clock.boundary)
            elif moment.first:
                started.append((attached, attached.start_if_due(moment, self._clock.boundary)))
            else:
                self._miss(attached, moment)
        return [(attached, s) for attached, s in started if s is not None]

    def _miss(self, attached: Attached, moment: Moment) -> None:
        """Say once that passes are accumulated without the recorder knowing."""
        if (
            moment.passes == 1
            and not self._said
            and attached.probe.needs_graph
            and attached.due(moment.step, self._clock.boundary)
        ):
            self._said = True
            _logger.warning(
                "trajlab measures the first of several backward passes of step %d only; pass "
                "accumulate= to measure them together",
                moment.step,
            )

    def _end_pass(self, accumulate: int) -> None:
        self._clock.end_pass(accumulate)
        self._look_if_due(self._clock.next_step(accumulate))

    def _complete(self) -> None:
        """Complete what was measured over the passes of the update that has just been made."""
        gradients = {name: p.grad for name, p in (self._parameters or {}).items()}
        update = {name: g for name, g in gradients.items() if g is not None and self._optimizer}
        for attached in self._probes:
            attached.complete(update)

    def _look_if_due(self, step: int) -> None:
        """Look for a sharded model's parameters in the forward pass of a step that is measured."""
        self._shards.clear()
        if self._parameters is not None and any(
            attached.probe.needs_graph and attached.due(step, self._clock.boundary)
            for attached in self._probes
        ):
            self._shards.open(self._parameters)

    def _moment(
        self, losses: Mapping[str, Tensor], weights: Weights, accumulate: int = 1
    ) -> Moment:
        parameters = self._parameters or {}
        return Moment(
            step=self._clock.step,
            micro_step=self._clock.micro_step,
            passes=accumulate,
            first=self._clock.first,
            loss_scale=self._scale.value,
            epoch=self._clock.epoch,
            wall_time=time.time() - self._created,
            learning_rate=float(self._optimizer.param_groups[0]["lr"]) if self._optimizer else nan,
            model=self._model,
            tasks=self._tasks,
            parameters=parameters,
            leaves=self._shards.leaves(parameters),
            losses=losses,
            weights=weights,
            task_losses=self._task_losses,
            predict=self._predict,
        )


def _mark_skipped(scale: LossScale, rows: Rows) -> bool:
    """Mark the passes of the last update if the loss scaler skipped it."""
    skipped = scale.skipped()
    for row in skipped:
        rows.append("losses", {**row, "skipped": True})  # in the place of the former row
    return bool(skipped)


def _seal(clock: Clock, shards: Shards, scale: LossScale, rows: Rows, status: str) -> None:
    """Watch no more, and seal the file."""
    clock.stop()
    shards.close()
    shards.clear()
    try:
        _mark_skipped(scale, rows)
    finally:
        rows.close(status)


def _abandon(
    pid: int, path: Path, clock: Clock, shards: Shards, scale: LossScale, rows: Rows
) -> None:
    """Seal the file of a recorder that nobody holds any more, or as the process ends."""
    if os.getpid() != pid:  # a forked process's copy of it
        return
    try:
        _seal(clock, shards, scale, rows, "recording")
        _logger.warning("trajlab sealed %s, whose recorder was not closed; call close()", path)
    except Exception as failure:  # there is nobody to raise it to
        _logger.error("trajlab could not seal %s: %s", path, failure)


def _is_beside() -> bool:
    """Tell whether another rank of a distributed training is the one that writes."""
    return dist.is_available() and dist.is_initialized() and dist.get_rank() > 0
