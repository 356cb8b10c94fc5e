"""The recorder: attaches to a training loop and writes its trajectory."""

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

from trajlab.record import settings
from trajlab.record.attached import Attached
from trajlab.record.budget import Overhead
from trajlab.record.evaluations import Evaluations, Values
from trajlab.record.failures import Failures
from trajlab.record.loop.loop import Loop
from trajlab.record.loop.loss_scale import check_scaler
from trajlab.record.loop.losses import Weights, present_losses, weighted_sum
from trajlab.record.loop.setup import Setup, check_names
from trajlab.record.losses import Losses
from trajlab.record.measurements import Measurements, check_probes
from trajlab.record.moment import Moment, Predict, TaskLosses
from trajlab.record.probes.probe import Probe
from trajlab.record.recording import Recording, mark_rate, mark_shared, mark_skipped, opened
from trajlab.record.rows import Rows
from trajlab.record.sinks import Mirror, Sink, check_sinks
from trajlab.store import NullWriter, Trajectory
from trajlab.store.parts import exists, located


class Recorder(Recording):
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
        Advances the step and supplies the learning rate (of its first group), or the one that takes
        its place. Without it, every pass is a step. Of several, the shared parameters'.
    scaler : GradScaler, optional
        The one that scales the losses in mixed precision. `backward` then leaves what
        ``scaler.scale(total).backward()`` leaves; all that is recorded is without the scale, and
        updates that the scaler skips are marked.
    lower_is_better : sequence of str
        Metrics of which less is better; ``loss`` always is.
    probes : sequence of Probe
        What to measure beside the losses. Another run's recorder makes probes of its own alike.
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
        Resume although metadata differ from what was recorded, or shared parameters do by more than
        that some are frozen or not.
    strict : bool
        Raise what fails beside training: a probe, a sink, the disk. By default it is told once, a
        row holds the reason, and training goes on.
    overhead : float or path, optional
        The share of training time that probes may take together, such as 0.03: each has an equal
        part of it and leaves out what it cannot pay for; the table ``budget`` says what. Or a run
        that was recorded so, to measure at the same steps, as runs of matched seeds should.

    Raises
    ------
    TrajlabError
        If the file exists and `resume` is not set or cannot be written; if a setting is of another
        kind or out of range, a probe lacks what it needs, or a compiled model's graph is needed.

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
        strict: bool = False,
        overhead: Overhead | None = None,
    ) -> None:
        told = {"optimizer": optimizer, "task_losses": task_losses, "predict": predict}
        setup = Setup.of(model, tasks, shared, **told)
        self._tasks = setup.tasks
        check_probes(probes, setup, overhead)
        check_sinks(sinks)
        check_scaler(scaler)
        check_names("lower_is_better", lower_is_better)
        self._earlier = Trajectory(path) if resume and exists(located(path)) else None
        how = {"resume": resume, "from_step": from_step, "allow_changes": allow_changes}
        writer = opened(path, setup, metadata, **how)
        created = datetime.fromisoformat(writer.created).timestamp()
        loop = Loop(setup, scaler, created, self._complete)
        failures = Failures(strict)
        mirrors = () if isinstance(writer, NullWriter) else sinks
        rows = Rows(writer, Mirror(mirrors, failures), failures)
        super().__init__(writer, loop, rows)
        self._losses = Attached(Losses(loop.scale.active), self._rows, failures)
        placed = [probe.of(str(located(path))) for probe in probes]
        self._measurements = Measurements(placed, self._rows, failures, overhead)
        self._evaluations = Evaluations(self._tasks, lower_is_better, self._rows)
        if self._earlier is not None:
            loop.clock.resume(self._earlier, from_step)
            loop.shared.resume(self._earlier, loop.clock.step)
        self._look_if_due()

    def backward(
        self,
        losses: Mapping[str, Tensor | None],
        weights: Weights | None = None,
        *,
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
            If a task is not declared, a setting out of range, or no loss can be differentiated.
        """
        present = present_losses(losses, weights, self._tasks)
        moment = self._begin_pass(present, weights, accumulate, None)
        started = self._measurements.start(moment, self._loop.clock.boundary)
        total = weighted_sum(present, weights)
        if accumulate > 1:
            total = total / accumulate
        with self._measurements.watching(started):
            self._loop.scale.apply(total).backward()  # type: ignore[no-untyped-call]
        for attached, measurement in started:
            attached.finish(moment, measurement)
        self._end_pass(accumulate)

    def observe(
        self,
        losses: Mapping[str, Tensor | None],
        weights: Weights | None = None,
        step: int | None = None,
        *,
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
            As `backward` does.
        """
        present = present_losses(losses, weights, self._tasks)
        moment = self._begin_pass(present, weights, accumulate, step)
        self._measurements.observe(moment, self._loop.clock.boundary)
        self._end_pass(accumulate)

    def evaluate(
        self, split: str, values: Values, step: int | None = None, **clocks: float
    ) -> None:
        """Record an evaluation of the present weights.

        Parameters
        ----------
        split : str
            ``train``, ``validation`` or ``test``.
        values : mapping
            ``{task: {"loss": …, "accuracy": …}}``, in any unit, as they are to be stored. Beside
            the metrics ``"correct"`` takes a flag for each item of the data, in the same order
            each time: stored as bits, read back by `Trajectory.correct`. A loss measured on a part
            of the data may have its standard error beside it, as ``"loss_se"``: intervals at equal
            loss then hold it.
        step : int, optional
            Optimizer updates completed, if the recorder does not count them rightly by itself.
        **clocks : float
            What training has spent by now, for `trajlab gap --x`: ``tokens=``, ``samples=``,
            ``flops=``, or any sum of your own. Wall time is recorded anyway.

        Raises
        ------
        TrajlabError
            If the split or a task is unknown, or there is no value, or one of another kind.
        """
        settings.step(step)
        row = self._evaluations.row(split, values, clocks)
        mark_shared(self._loop, {}, step, self._rows, self._writer)
        moment = self._loop.evaluate(step)
        self._evaluations.record(split, row, moment, self._loop.clock.waiting)
        if moment.parameters:
            self._measurements.evaluate(moment, self._loop.clock.boundary)
        self._look_if_due()

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: D102 - as the base says
        super().load_state_dict(state)
        if self._earlier is not None:
            self._loop.shared.resume(self._earlier, state["step"])
        self._look_if_due()

    def _begin_pass(
        self,
        losses: Mapping[str, Tensor],
        weights: Weights | None,
        accumulate: int,
        step: int | None,
    ) -> Moment:
        """Record the losses of a pass, and return its moment."""
        self._loop.check_pass(accumulate, step)
        if mark_skipped(self._loop.scale, self._rows):
            self._loop.clock.retry()
        weights = weights or dict.fromkeys(losses, 1.0)
        clock = self._loop.clock
        due = self._measurements.due(clock.step if step is None else step, clock.boundary)
        if (due and clock.begins(step)) or self._loop.shared.parameters is None:
            mark_shared(self._loop, losses, step, self._rows, self._writer)
        moment = self._loop.begin_pass(losses, weights, accumulate, step)
        self._loop.scale.remember(self._losses.measure(moment), moment.first)
        return moment

    def _end_pass(self, accumulate: int) -> None:
        self._loop.clock.end_pass(accumulate)
        self._look_if_due(accumulate)

    def _complete(self) -> None:
        """Complete what was measured over the passes of the update that has just been made."""
        mark_rate(self._loop, self._rows)
        self._measurements.complete(self._loop.update)

    def _look_if_due(self, passes: int = 1) -> None:
        """Look at the next forward pass of a sharded model if it is to be measured."""
        if self._loop.shards.sharded:
            clock = self._loop.clock
            self._loop.look(self._measurements.needs_graph(clock.next_step(passes), clock.boundary))
