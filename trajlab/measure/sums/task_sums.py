"""What is linear in the tasks' gradients, added up over micro-batches and over processes."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from trajlab.measure.graph import refuse_reentrant
from trajlab.measure.sums.processes import processes, sum_over_processes

Named = Mapping[str, Tensor]


class TaskSums:
    """Adds up each task's gradients, or what is linear in them, over the passes of one update.

    Parameters
    ----------
    tasks : int
        Number of tasks.
    zeros : mapping of str to Tensor
        What is kept of a task that no loss reaches, by name.
    keep : callable
        From the gradients of one pass, by the parameters' names, to what is kept of them: some of
        the names of `zeros`; it has to be linear.
    together : bool
        Whether processes exchange all tasks in one message; one after the other takes less memory.

    Attributes
    ----------
    rows : list of dict of str to Tensor
        What was added up, a task; what is missing is zero.
    present : list of bool
        Which tasks had a loss in any pass.
    """

    def __init__(
        self, tasks: int, zeros: Named, keep: Callable[[Named], Named], *, together: bool
    ) -> None:
        self._tasks = tasks
        self._zeros = zeros
        self._keep = keep
        self._together = together
        self.clear()

    def clear(self) -> None:
        """Begin another sum."""
        self.rows: list[dict[str, Tensor]] = [{} for _ in range(self._tasks)]
        self.present = [False] * self._tasks

    def add(
        self,
        losses: Sequence[Tensor | None],
        parameters: Named,
        *,
        share: float = 1.0,
        loss_scale: float = 1.0,
    ) -> None:
        """Add the gradients of one pass; its graph is retained.

        Parameters
        ----------
        losses : sequence of Tensor or None
            One scalar a task; None for an omitted one.
        parameters : mapping of str to Tensor
            The leaves of this graph, by the names of the parameters; some may be missing.
        share : float
            What the gradients are multiplied by.
        loss_scale : float
            What the losses are multiplied by while they are differentiated.

        Raises
        ------
        TrajlabError
            If a reentrant checkpoint hides parameters.
        """
        refuse_reentrant(losses)
        for task, loss in enumerate(losses):
            if loss is None:
                continue
            self.present[task] = True
            gradients = task_gradient(loss, parameters, share=share, loss_scale=loss_scale)
            if not gradients:
                continue
            row = self.rows[task]
            for name, value in self._keep(gradients).items():
                row[name] = row[name] + value if name in row else value

    def average(self) -> None:
        """Replace the sums by their mean over all processes, which all have to call this.

        A task that a process omits counts as zero there, as in the averaged training gradient.
        """
        if processes() == 1:
            return
        device = next(iter(self._zeros.values())).device
        tasks = range(self._tasks)
        for some in [tasks] if self._together else [tasks[t : t + 1] for t in tasks]:
            present = torch.tensor([float(self.present[task]) for task in some], device=device)
            kept = [
                self.rows[task].get(n, zero) for task in some for n, zero in self._zeros.items()
            ]
            summed = iter(sum_over_processes([present, *kept]))
            for task, anywhere in zip(some, next(summed), strict=True):
                self.present[task] = bool(anywhere != 0)
                self.rows[task] = {name: next(summed) / processes() for name in self._zeros}

    @property
    def reached(self) -> list[int]:
        """The tasks, by position, of which anything was added up, here or in another process."""
        return [task for task, row in enumerate(self.rows) if row]

    def stacked(self, name: str) -> Tensor:
        """Return what was added up under a name, shape (task, …); NaN of omitted tasks."""
        rows = [row.get(name, self._zeros[name]) for row in self.rows]
        absent = [0.0 if present else torch.nan for present in self.present]
        return torch.stack([row + nan for row, nan in zip(rows, absent, strict=True)])


def task_gradient(
    loss: Tensor, parameters: Named, *, share: float = 1.0, loss_scale: float = 1.0
) -> dict[str, Tensor]:
    """Return the gradients of a loss, times a share; its graph is retained.

    Parameters
    ----------
    loss : Tensor
        A scalar.
    parameters : mapping of str to Tensor
        The leaves of its graph, by name.
    share : float
        What the gradients are multiplied by.
    loss_scale : float
        What the loss is multiplied by while it is differentiated, so that gradients of low
        precision do not vanish; what is returned is without it.

    Returns
    -------
    dict of str to Tensor
        Dense, at least float32; without the parameters that are frozen or that it does not reach.
    """
    wanted = {name: p for name, p in parameters.items() if p.requires_grad}
    if not loss.requires_grad or not wanted:
        return {}
    gradients = torch.autograd.grad(
        loss,
        list(wanted.values()),
        grad_outputs=torch.full_like(loss, loss_scale),
        retain_graph=True,
        allow_unused=True,
    )
    return {
        name: dense_gradient(gradient) * (share / loss_scale)
        for name, gradient in zip(wanted, gradients, strict=True)
        if gradient is not None
    }


def dense_gradient(gradient: Tensor) -> Tensor:
    """Return a gradient detached and dense, in float32 if its precision is less."""
    dense = gradient.detach().to_dense()
    return dense.float() if dense.dtype in (torch.float16, torch.bfloat16) else dense
