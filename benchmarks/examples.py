"""What squared gradient norms of single examples cost, and what checking a few of them adds.

Ratios of process time to a plain step of training (forward and backward pass of the mean loss),
methods interleaved in random order.
"""

import random
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.workloads import WORKLOADS
from trajlab.measure.examples.capture import Capture
from trajlab.measure.examples.check import ExampleCheck
from trajlab.measure.examples.norms import sample_norms
from trajlab.measure.layers import group_by_layer, modules_of

ROUNDS = 5


def methods(trunk: nn.Module, head: nn.Module, x: Tensor) -> dict[str, Callable[[], object]]:
    """Return what is compared, ready to be called."""
    parameters = dict(trunk.named_parameters())
    modules = modules_of(trunk, group_by_layer(parameters))
    target = torch.arange(len(x)) % 10
    checked = ExampleCheck()

    def losses() -> Tensor:
        return nn.functional.cross_entropy(head(trunk(x)), target, reduction="none")

    def norms(check: ExampleCheck | None) -> Tensor:
        with Capture(modules) as capture:
            rows = losses()
        return sample_norms(rows, parameters, capture.calls, check=check)

    norms(checked)
    return {
        "plain step": lambda: torch.autograd.grad(losses().mean(), list(parameters.values())),
        "first measurement": lambda: norms(ExampleCheck()),
        "later measurement": lambda: norms(checked),
        "one by one": lambda: sample_norms(losses(), parameters),
    }


def main() -> None:
    """Print one row a workload and method."""
    torch.set_num_threads(1)
    order = random.Random(0)
    for workload, make in WORKLOADS.items():
        torch.manual_seed(0)
        model, x = make(1)
        model.eval()
        functions = methods(model.trunk, model.heads[0], x)
        seconds: dict[str, list[float]] = {name: [] for name in functions}
        for _ in range(ROUNDS):
            for name in order.sample(list(functions), len(functions)):
                started = time.process_time()
                functions[name]()
                seconds[name].append(time.process_time() - started)
        plain = seconds.pop("plain step")
        for name, taken in seconds.items():
            ratios = [a / b for a, b in zip(taken, plain, strict=True)]
            low, middle, high = statistics.quantiles(ratios, n=4)
            print(
                f"{workload:<4} n = {len(x):<3} {name:<18} {middle:6.2f} ({low:.2f}–{high:.2f})",
                flush=True,
            )


if __name__ == "__main__":
    main()
