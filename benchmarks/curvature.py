"""Accuracy of curvature estimates against products and time: trajlab, PyHessian, curvlinops.

Top eigenvalue and trace of the Hessian of small networks whose exact spectrum is computed first.
Run ``python benchmarks/curvature.py [--quick] [--json] [--figure FILE]``.
"""

import argparse
import json
import sys
import time
import warnings
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

warnings.filterwarnings("ignore")  # of the peers' dependencies

import curvlinops  # noqa: E402
import pyhessian  # noqa: E402
from pyhessian.utils import hessian_vector_product  # noqa: E402
from scipy.sparse.linalg import eigsh  # noqa: E402

from trajlab.measure import hessian_trace, top_eigenvalue  # noqa: E402

pyhessian_module = sys.modules["pyhessian.hessian"]  # its name is taken by the class
WITHIN = 1e-3  # the error at which products are compared

Estimate = tuple[float, int, float]  # value, products, seconds


def problems(quick: bool) -> dict[str, tuple[nn.Module, Tensor, Tensor, Callable[..., Tensor]]]:
    """Networks at initialisation and trained, and one with an indefinite loss."""
    torch.manual_seed(0)
    x, y = torch.randn(128, 16), torch.randint(0, 4, (128,))
    images = torch.randn(64, 1, 8, 8)
    found = {}
    for name, make, data, epochs in (
        ("mlp, start", mlp, x, 0),
        ("mlp, trained", mlp, x, 60),
        ("cnn, trained", cnn, images, 30),
    ):
        model, target = make(), y[: len(data)]
        optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
        for _ in range(epochs):
            optimizer.zero_grad()
            cross_entropy(model(data), target).backward()
            optimizer.step()
        optimizer.zero_grad()
        found[name] = (model, data, target, nn.CrossEntropyLoss())
    found["mlp, indefinite"] = (mlp(), x, y, Indefinite())
    return dict(list(found.items())[:2] + list(found.items())[3:]) if quick else found


def mlp() -> nn.Module:
    """Return a small MLP."""
    return nn.Sequential(nn.Linear(16, 24), nn.Tanh(), nn.Linear(24, 4))


def cnn() -> nn.Module:
    """Return a small CNN."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2),
        nn.Tanh(),
        nn.Conv2d(8, 8, 2),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(32, 4),
    )


class Indefinite(nn.Module):
    """A loss whose Hessian has two ends of almost equal magnitude."""

    reduction = "mean"

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the loss."""
        return output[:, 0].pow(2).mean() - 1.01 * output[:, 1].pow(2).mean()


def exact_hessian(model: nn.Module, loss: Tensor) -> Tensor:
    """Compute the Hessian row by row."""
    parameters = list(model.parameters())
    slopes = torch.autograd.grad(loss, parameters, create_graph=True, materialize_grads=True)
    gradients = torch.cat([(g + 0 * p).flatten() for g, p in zip(slopes, parameters, strict=True)])
    rows = [torch.autograd.grad(g, parameters, retain_graph=True) for g in gradients]
    return torch.stack([torch.cat([r.flatten() for r in row]) for row in rows]).double()


class Counted:
    """PyHessian's product, counted."""

    def __init__(self) -> None:
        self.used = 0

    def __call__(self, *arguments: Any) -> Any:
        """Return the product."""
        self.used += 1
        return hessian_vector_product(*arguments)


def timed(estimate: Callable[[], tuple[float, int]]) -> Estimate:
    """Run an estimate, and take its process time."""
    start = time.process_time()
    value, products = estimate()
    return value, products, time.process_time() - start


def pyhessian_run(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    criterion: Any,
    what: str,
    k: int,
    limit: int = 100,
    tolerance: float = 1e-3,
) -> Any:
    """Run PyHessian, and count its products."""
    counted = Counted()
    pyhessian_module.hessian_vector_product = counted
    model.zero_grad()
    found = pyhessian.hessian(model, criterion, data=(x, y), cuda=False)
    if what == "top":
        value = found.eigenvalues(maxIter=limit, tol=tolerance, top_n=1)[0][0]
    else:
        value = float(np.mean(found.trace(maxIter=k, tol=0.0)))
    model.zero_grad()
    return value, counted.used


def estimators(model: nn.Module, x: Tensor, y: Tensor, criterion: Any, seed: int) -> Any:
    """Name → estimate, for the top eigenvalue and for the trace at 12 random probes."""
    parameters = dict(model.named_parameters())
    torch.manual_seed(seed)  # PyHessian draws from the global stream
    np.random.seed(seed)  # noqa: NPY002

    def ours_top() -> tuple[float, int]:
        found = top_eigenvalue(criterion(model(x), y), parameters, seed=seed)
        return found.value, found.products

    def ours_trace(krylov: Any = None) -> tuple[float, int]:
        loss = criterion(model(x), y)
        found = hessian_trace(loss, parameters, probes=12, krylov=krylov, seed=seed)
        return found.value, found.products

    def ours_deflated() -> tuple[float, int]:  # the eigenvalue's products are paid for already
        return ours_trace(krylovs[0])

    def operator() -> Any:
        return curvlinops.HessianLinearOperator(
            model, criterion, list(parameters.values()), [(x, y)], check_deterministic=False
        )

    def curvlinops_top() -> tuple[float, int]:
        linear = operator().to_scipy()
        used = 0
        product = linear._matvec if hasattr(linear, "_matvec") else linear.matvec

        def counted(vector: Any) -> Any:
            nonlocal used
            used += 1
            return product(vector)

        from scipy.sparse.linalg import LinearOperator

        wrapped = LinearOperator(linear.shape, matvec=counted, dtype=linear.dtype)
        start = np.random.default_rng(seed).standard_normal(linear.shape[0])
        values = eigsh(
            wrapped,
            k=1,
            which="LA",
            tol=1e-3,
            v0=start.astype(linear.dtype),
            return_eigenvectors=False,
        )
        return float(values[0]), used

    def curvlinops_trace() -> tuple[float, int]:
        value = curvlinops.hutchinson_trace(operator(), num_matvecs=12)
        return float(value), 12

    krylovs = [top_eigenvalue(criterion(model(x), y), parameters, seed=seed).krylov]
    run = lambda what, k: pyhessian_run(model, x, y, criterion, what, k)  # noqa: E731
    return {
        "top": {
            "trajlab": ours_top,
            "PyHessian": lambda: run("top", 0),
            "curvlinops + eigsh": curvlinops_top,
        },
        "trace": {
            "trajlab": ours_trace,
            "trajlab, deflated": ours_deflated,
            "PyHessian": lambda: run("trace", 12),
            "curvlinops": curvlinops_trace,
        },
    }


def searches(model: nn.Module, x: Tensor, y: Tensor, criterion: Any) -> Any:
    """Name → top eigenvalue after a number of products, from a seeded start."""
    parameters = dict(model.named_parameters())

    def ours(seed: int, k: int) -> float:
        loss = criterion(model(x), y)
        return top_eigenvalue(loss, parameters, seed=seed, limit=k, tolerance=0.0).value

    def power(seed: int, k: int) -> float:
        torch.manual_seed(seed)
        return float(pyhessian_run(model, x, y, criterion, "top", 0, limit=k, tolerance=0.0)[0])

    return {"trajlab": ours, "PyHessian": power}


def products_to(search: Any, truth: float, seeds: Any, most: int = 200) -> dict[str, Any]:
    """Count the products after which the value is within `WITHIN`; `most` if it never does."""
    counts = []
    for seed in seeds:
        k = 2
        while k < most and abs(search(seed, k) / truth - 1) > WITHIN:
            k += 1 + k // 20
        counts.append(min(k, most))
    return {"products": median(counts), "most_products": max(counts)}


def measure(quick: bool) -> list[dict[str, Any]]:
    """Return one row a quantity, problem and method."""
    rows = []
    seeds = range(5 if quick else 15)
    for problem, (model, x, y, criterion) in problems(quick).items():
        hessian = exact_hessian(model, criterion(model(x), y))
        truth = {
            "top": torch.linalg.eigvalsh(hessian)[-1].item(),
            "trace": hessian.trace().item(),
        }
        samples: dict[tuple[str, str], list[Estimate]] = {}
        for seed in seeds:
            for quantity, named in estimators(model, x, y, criterion, seed).items():
                for name, estimate in named.items():
                    samples.setdefault((quantity, name), []).append(timed(estimate))
        rows += [
            {"quantity": "products to 1e-3", "problem": problem, "method": name}
            | products_to(search, truth["top"], seeds)
            for name, search in searches(model, x, y, criterion).items()
        ]
        for (quantity, name), found in samples.items():
            scale = abs(truth[quantity]) if quantity == "top" else hessian.diagonal().abs().sum()
            errors = [abs(value - truth[quantity]) / float(scale) for value, _, _ in found]
            seconds = [s for _, _, s in found]
            rows.append(
                {
                    "quantity": quantity,
                    "problem": problem,
                    "method": name,
                    "products": median(p for _, p, _ in found),
                    "median_error": median(errors),
                    "worst_error": max(errors),
                    "milliseconds": 1e3 * median(seconds),
                    "milliseconds_quartiles": [1e3 * q for q in np.quantile(seconds, [0.25, 0.75])],
                }
            )
    return rows


def draw(rows: list[dict[str, Any]], file: str) -> None:
    """Draw error against cost."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(8, 6), layout="constrained")
    rows = [r for r in rows if "median_error" in r]
    markers = dict(zip(dict.fromkeys(r["method"] for r in rows), "os^vD", strict=False))
    for line, quantity in zip(axes, ("top", "trace"), strict=True):
        for ax, cost in zip(line, ("products", "milliseconds"), strict=True):
            for method, marker in markers.items():
                chosen = [r for r in rows if (r["quantity"], r["method"]) == (quantity, method)]
                ax.plot(
                    [r[cost] for r in chosen],
                    [max(r["median_error"], 1e-8) for r in chosen],
                    marker,
                    fillstyle="none",
                    label=method,
                )
            ax.set(xscale="log", yscale="log", xlabel=cost, ylabel=f"relative error, {quantity}")
    axes[1, 0].legend()
    figure.savefig(file, dpi=150)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--figure", metavar="FILE")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = measure(options.quick)
    if options.figure:
        draw(rows, options.figure)
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    print(
        "| quantity | problem | method | products | median error | worst error | ms (quartiles) |"
    )
    print("|---|---|---|---|---|---|---|")
    for r in rows:
        if "most_products" in r:
            print(
                f"| {r['quantity']} | {r['problem']} | {r['method']} | {r['products']:g} "
                f"(most {r['most_products']:g}) | | | |"
            )
            continue
        low, high = r["milliseconds_quartiles"]
        print(
            f"| {r['quantity']} | {r['problem']} | {r['method']} | {r['products']:g} | "
            f"{r['median_error']:.1e} | {r['worst_error']:.1e} | "
            f"{r['milliseconds']:.0f} ({low:.0f}–{high:.0f}) |"
        )


if __name__ == "__main__":
    main()
