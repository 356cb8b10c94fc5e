"""Ways to the Gram matrix of task gradients, each of which trains a copy of one model."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.clock import now
from benchmarks.workloads import Model
from trajlab import Recorder, probes

Losses = Callable[[], tuple[Tensor, list[Tensor]]]  # of the representation and the losses
Method = Callable[[Model, Losses], None]


def inner_products(gradients: list[list[Tensor]]) -> Tensor:
    """Return the Gram matrix of gradients given as lists of tensors."""
    flat = torch.stack([torch.cat([g.flatten() for g in row]) for row in gradients])
    return flat @ flat.T


def plain(model: Model, losses: Losses) -> None:
    """Train on the sum alone."""
    sum(losses()[1]).backward()


def naive(model: Model, losses: Losses) -> None:
    """One autograd pass a task, then the training backward."""
    values = losses()[1]
    shared = list(model.trunk.parameters())
    inner_products([list(torch.autograd.grad(v, shared, retain_graph=True)) for v in values])
    sum(values).backward()


def pull_backs(model: Model, losses: Losses) -> None:
    """Pull all tasks but one back through the trunk, and measure nothing: a bound, no way to it."""
    values = losses()[1]
    lowest = next(p for name, p in model.trunk.named_parameters() if name.endswith("bias"))
    for value in values[1:]:  # the last gradient can be had as a difference
        torch.autograd.grad(value, lowest, retain_graph=True)
    sum(values).backward()


def libmtl(model: Model, losses: Losses) -> None:
    """Backward a task, gradients copied out of .grad into one matrix; its mean is applied."""
    values = losses()[1]
    shared = list(model.trunk.parameters())
    matrix = torch.zeros(len(values), sum(p.numel() for p in shared))
    for row, value in zip(matrix, values, strict=True):
        value.backward(retain_graph=True)
        row.copy_(torch.cat([p.grad.flatten() for p in shared]))
        for p in shared:
            p.grad.zero_()
    matrix @ matrix.T
    total = matrix.sum(0)
    for p, part in zip(shared, total.split([p.numel() for p in shared]), strict=True):
        p.grad.copy_(part.view_as(p))


def torchjd_mtl(chunk: int | None) -> Method:
    """Return TorchJD's way, that many tasks at once."""

    def method(model: Model, losses: Losses) -> None:
        from torchjd.autojac import mtl_backward

        z, values = losses()
        mtl_backward(values, features=z, parallel_chunk_size=chunk)
        gram = torch.zeros(len(values), len(values))
        for p in model.trunk.parameters():
            jacobian = p.jac.flatten(1)
            gram += jacobian @ jacobian.T
            p.grad = p.jac.sum(0)
            del p.jac

    return method


class Lane:
    """One method on its own copy of the model."""

    def __init__(self, name: str, model: Model, x: Tensor, folder: str, own: bool) -> None:
        self.model = copy.deepcopy(model)
        self.optimizer = torch.optim.SGD(self.model.parameters(), 0.01)
        tasks = len(model.heads)
        y = torch.randint(
            0, 10, (tasks, len(x)), generator=torch.Generator(x.device).manual_seed(0)
        )
        produce = self.model.own_losses if own else self.model.losses
        self._losses = lambda: produce(x, y)
        self.seconds: list[float] = []
        self._recorder: Recorder | None = None
        if name.startswith("trajlab"):
            self._names = [f"task {t}" for t in range(tasks)]
            every = {"trajlab, every 10 steps": 10, "trajlab, off schedule": 10**9}.get(name, 1)
            options = {
                "trajlab, representation": {"scope": "representation"},
                "trajlab, projected": {"method": "projected"},
            }.get(name, {})
            self._recorder = Recorder(
                f"{folder}/{name}.h5",
                self.model,
                tasks=self._names,
                shared=self.model.trunk,
                optimizer=self.optimizer,
                probes=[probes.TaskGradients(every, **options)],
            )
        elif name == "TorchJD autogram":
            from torchjd.autogram import Engine

            self._engine = Engine(self.model.trunk, batch_dim=None)
        self._name = name

    def step(self) -> None:
        """Train one step and note its process time."""
        started = now()
        if self._recorder is not None:
            values = self._losses()[1]
            self._recorder.backward(dict(zip(self._names, values, strict=True)))
        elif self._name == "TorchJD autogram":
            values = self._losses()[1]
            self._engine.compute_gramian(torch.stack(values))
            sum(values).backward()
        else:
            METHODS[self._name](self.model, self._losses)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.seconds.append(now() - started)

    def close(self) -> None:
        """Close the recorder, if there is one."""
        if self._recorder is not None:
            self._recorder.close()


METHODS = {
    "plain": plain,
    "pull-backs alone": pull_backs,
    "naive autograd": naive,
    "LibMTL's way": libmtl,
    "TorchJD mtl_backward": torchjd_mtl(None),
    "TorchJD, chunk 1": torchjd_mtl(1),
}
