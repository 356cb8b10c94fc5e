"""What needs a GPU: the tests on CUDA, and what recording costs there (``make gpu-check``).

Elsewhere it says so and ends well.
"""

import statistics
import subprocess
import sys
from importlib.util import find_spec

LIMIT = 240  # seconds, for one of the commands


def missing() -> str:
    """Return why there is nothing to measure here; empty where a GPU can be used."""
    if find_spec("torch") is None:
        return f"{sys.executable} has no torch; set PYTHON to a Python whose torch has CUDA"
    import torch

    if torch.cuda.is_available():
        return ""
    return f"torch {torch.__version__} of {sys.executable} sees no CUDA device"


def curvature(tasks: int = 3, rounds: int = 15) -> None:
    """Print what a product with the Hessian costs in the solver, and by two backward passes."""
    import torch

    from benchmarks.clock import now
    from benchmarks.workloads import WORKLOADS
    from trajlab.measure import top_eigenvalue

    print("| workload | products | ms a product | two backward passes, ms | ratio |")
    print("|---|---|---|---|---|")
    for workload, make in WORKLOADS.items():
        torch.manual_seed(0)
        model, x = make(tasks)
        y = torch.randint(0, 10, (tasks, len(x)))
        parameters = dict(model.trunk.named_parameters())
        vector = [torch.randn_like(p) for p in parameters.values()]
        ours, plain, products = [], [], 0
        for _ in range(rounds):
            began = now()
            found = top_eigenvalue(sum(model.losses(x, y)[1]), parameters)
            ours.append((now() - began) / found.products)
            products = found.products
            began = now()
            loss = sum(model.losses(x, y)[1])
            slopes = torch.autograd.grad(loss, parameters.values(), create_graph=True)
            torch.autograd.grad(slopes, parameters.values(), vector)
            plain.append(now() - began)
        ratio = statistics.median(a / b for a, b in zip(ours, plain, strict=True))
        times = f"{1e3 * statistics.median(ours):.2f} | {1e3 * statistics.median(plain):.2f}"
        print(f"| {workload} | {products} | {times} | {ratio:.2f} |", flush=True)


def main() -> None:
    """Run all of it on the GPU, or say why not."""
    if why := missing():
        print(f"Skipped, for it needs a GPU: {why}.")
        return
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}", flush=True)
    commands = (
        ("pytest", "-q", "tests/gpu"),
        ("benchmarks.gram", "--quick", "--device", "cuda"),
        ("benchmarks.light", "--quick", "--device", "cuda"),
    )
    ended = [
        subprocess.run([sys.executable, "-m", *command], timeout=LIMIT).returncode
        for command in commands
    ]
    torch.set_default_device("cuda")
    with sdpa_kernel(SDPBackend.MATH):  # fused attention has no second derivative
        curvature()
    sys.exit(any(ended))


if __name__ == "__main__":
    main()
