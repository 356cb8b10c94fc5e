"""Accuracy of curvature estimates against products and time: trajlab, PyHessian, curvlinops.

Top eigenvalue and trace of Hessians that are known exactly. Run ``make bench-curvature``, or
``python -m benchmarks.curvature [--quick] [--only PROBLEM] [--json FILE] [--figure FILE]``.
"""

import argparse
import json
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

warnings.filterwarnings("ignore")  # of the peers' dependencies

import curvlinops  # noqa: E402
import pyhessian  # noqa: E402
from pyhessian.utils import hessian_vector_product  # noqa: E402
from scipy.sparse.linalg import LinearOperator, eigsh  # noqa: E402
from torch.nn.attention import SDPBackend, sdpa_kernel  # noqa: E402

from benchmarks.curvature_problems import Problem, problems  # noqa: E402
from trajlab.measure import hessian_trace, top_eigenvalue  # noqa: E402
from trajlab.measure.curvature.lanczos import lanczos  # noqa: E402

PROBES = 12
BOUND = "bound: Krylov space, stopped by the truth"
COUNTS = (3, 4, 5, 6, 8, 10, 15, 20, 30, 50)  # of products, in the figure
Estimate = Callable[[Problem, int], tuple[float, int]]  # problem, seed → value, products


def ours(tolerance: float = 1e-3, limit: int = 50) -> Estimate:
    """Lanczos as shipped."""

    def estimate(problem: Problem, seed: int) -> tuple[float, int]:
        parameters = dict(problem.model.named_parameters())
        found = top_eigenvalue(
            problem.loss(), parameters, seed=seed, tolerance=tolerance, limit=limit
        )
        return found.value, found.products

    return estimate


def power(tolerance: float = 1e-3, limit: int = 300) -> Estimate:
    """PyHessian's power iteration."""
    return lambda problem, seed: _pyhessian(
        problem,
        seed,
        lambda found: found.eigenvalues(maxIter=limit, tol=tolerance, top_n=1)[0][0],
    )


def power_trace(problem: Problem, seed: int) -> tuple[float, int]:
    """PyHessian's trace, kept from stopping early."""
    return _pyhessian(
        problem, seed, lambda found: float(np.mean(found.trace(maxIter=PROBES, tol=0.0)))
    )


def _pyhessian(problem: Problem, seed: int, method: Callable[[Any], float]) -> tuple[float, int]:
    used = 0

    def counted(*arguments: Any) -> Any:
        nonlocal used
        used += 1
        return hessian_vector_product(*arguments)

    sys.modules["pyhessian.hessian"].hessian_vector_product = counted  # type: ignore[attr-defined]
    torch.manual_seed(seed)  # it draws from the global stream
    problem.model.zero_grad()
    data = (problem.x, problem.y)
    value = method(pyhessian.hessian(problem.model, problem.criterion, data=data, cuda=False))
    problem.model.zero_grad()
    return value, used


def least(problem: Problem, seed: int) -> tuple[float, int]:
    """Return the value at the fewest products after which the Krylov space holds it to 1e-3.

    Only the truth tells when; knowing products alone, no method can do with fewer from the
    same start.
    """
    top = torch.linalg.eigvalsh(problem.hessian)[-1].item()
    start = torch.randn(
        len(problem.hessian),
        dtype=torch.float64,
        generator=torch.Generator().manual_seed(seed),
    )
    for products in range(1, len(problem.hessian)):
        found = lanczos(lambda v: problem.hessian @ v, start, tolerance=0.0, limit=products)
        if abs(found.top.value - top) <= 1e-3 * abs(top):
            break
    return found.top.value, products


def scipy_top(problem: Problem, seed: int) -> tuple[float, int]:
    """SciPy's eigsh on curvlinops' operator."""
    linear = _curvlinops(problem).to_scipy()
    used = 0

    def counted(vector: Any) -> Any:
        nonlocal used
        used += 1
        return linear.matvec(vector)

    start = np.random.default_rng(seed).standard_normal(linear.shape[0]).astype(linear.dtype)
    wrapped = LinearOperator(linear.shape, matvec=counted, dtype=linear.dtype)
    values = eigsh(wrapped, k=1, which="LA", tol=1e-3, v0=start, return_eigenvectors=False)
    return float(values[0]), used


def curvlinops_trace(problem: Problem, seed: int) -> tuple[float, int]:
    """Hutchinson's estimator of curvlinops."""
    torch.manual_seed(seed)
    return float(curvlinops.hutchinson_trace(_curvlinops(problem), num_matvecs=PROBES)), PROBES


def _curvlinops(problem: Problem) -> Any:
    return curvlinops.HessianLinearOperator(
        problem.model,
        problem.criterion,
        list(problem.model.parameters()),
        [(problem.x, problem.y)],
        check_deterministic=False,
    )


def trace(krylov: bool) -> Estimate:
    """Hutchinson's estimator, outside the space of the eigenvalue's products or not."""
    found: dict[str, Any] = {}

    def estimate(problem: Problem, seed: int) -> tuple[float, int]:
        parameters = dict(problem.model.named_parameters())
        if krylov and problem.name not in found:  # its products are the eigenvalue's
            found[problem.name] = top_eigenvalue(problem.loss(), parameters).krylov
        result = hessian_trace(
            problem.loss(), parameters, probes=PROBES, krylov=found.get(problem.name), seed=seed
        )
        return result.value, result.products

    return estimate


TOP: dict[str, Estimate] = {
    "trajlab": ours(),
    "PyHessian": power(),
    "PyHessian, tol=1e-4": power(1e-4),
    "eigsh on curvlinops": scipy_top,
    BOUND: least,
}
TRACE: dict[str, Estimate] = {
    "trajlab, beside the eigenvalue": trace(True),
    "trajlab, alone": trace(False),
    "PyHessian": power_trace,
    "curvlinops": curvlinops_trace,
}


def run(estimate: Estimate, problem: Problem, truth: float, seeds: Iterable[int]) -> dict[str, Any]:
    """Return errors, products and milliseconds of process time, one a seed."""
    found: dict[str, list[float]] = {"error": [], "products": [], "milliseconds": []}
    for seed in seeds:
        start = time.process_time()
        value, products = estimate(problem, seed)
        found["milliseconds"].append(1e3 * (time.process_time() - start))
        found["products"].append(products)
        found["error"].append(value - truth)
    return found


def measure(problem: Problem, seeds: int) -> dict[str, Any]:
    """Return what each method finds on one problem."""
    top = torch.linalg.eigvalsh(problem.hessian)[-1].item()
    diagonal = problem.hessian.diagonal()
    off = problem.hessian - torch.diag(diagonal)
    few = min(seeds, 15)  # curvlinops takes ten times as long
    searches = {"trajlab": lambda k: ours(0.0, k), "PyHessian": lambda k: power(0.0, k)}
    return {
        "problem": problem.name,
        "top": {
            name: run(estimate, problem, top, range(few if "curv" in name else seeds))
            for name, estimate in TOP.items()
        },
        "trace": {
            name: run(estimate, problem, diagonal.sum().item(), range(seeds))
            for name, estimate in TRACE.items()
            if "curv" not in name
        }
        | {"curvlinops": run(curvlinops_trace, problem, diagonal.sum().item(), range(few))},
        "curves": {
            name: [run(search(k), problem, top, range(few)) for k in COUNTS]
            for name, search in searches.items()
        },
        "largest": top,
        "diagonal": diagonal.abs().sum().item(),
        # Hutchinson's standard deviation with Rademacher probes, in closed form
        "hutchinson": (2 * off.square().sum() / PROBES).sqrt().item(),
    }


def fewer(problem: Problem, seeds: int) -> dict[str, float]:
    """Return median products to 1e-3, and ours over PyHessian's from the same seeds.

    PyHessian's at the loosest tolerance that attains it; the bound is over PyHessian's, too.
    """
    top = torch.linalg.eigvalsh(problem.hessian)[-1].item()
    shown = {
        name: run(TOP[name], problem, top, range(seeds))
        for name in ("trajlab", "PyHessian, tol=1e-4", BOUND)
    }
    ours, theirs, least = (np.array(found["products"]) for found in shown.values())
    worst = [np.abs(found["error"]).max() / abs(top) for found in shown.values()]
    return {
        "ratio": float(np.median(ours / theirs)),
        "bound": float(np.median(least / theirs)),
        "products": float(np.median(ours)),
        "PyHessian": float(np.median(theirs)),
        "worst error": float(worst[0]),
    }


def print_tables(results: list[dict[str, Any]]) -> None:
    """Print both tables as Markdown."""
    print(
        "| problem | method | products, median (most) | median error | worst | within 1e-3 | ms |"
    )
    print("|---|---|---|---|---|---|---|")
    for result in results:
        for name, found in result["top"].items():
            errors = np.abs(found["error"]) / result["largest"]
            products = np.array(found["products"])
            print(
                f"| {result['problem']} | {name} | {np.median(products):g} ({products.max():g}) | "
                f"{np.median(errors):.0e} | {errors.max():.0e} | "
                f"{(errors <= 1e-3).sum()} of {len(errors)} | {_quartiles(found)} |"
            )
    print("\n| problem | method | products | RMS error ± its standard error | ms |")
    print("|---|---|---|---|---|")
    for result in results:
        for name, found in result["trace"].items():
            squares = (np.array(found["error"]) / result["diagonal"]) ** 2
            rms = squares.mean() ** 0.5
            se = squares.std(ddof=1) / len(squares) ** 0.5 / (2 * rms)
            print(
                f"| {result['problem']} | {name} | {np.median(found['products']):g} | "
                f"{rms:.4f} ± {se:.4f} | {_quartiles(found)} |"
            )
        exact = result["hutchinson"] / result["diagonal"]
        print(f"| {result['problem']} | Hutchinson, in closed form | {PROBES} | {exact:.4f} | |")


def _quartiles(found: dict[str, Any]) -> str:
    low, middle, high = np.quantile(found["milliseconds"], [0.25, 0.5, 0.75])
    return f"{middle:.0f} ({low:.0f}–{high:.0f})"


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="5 seeds instead of 50")
    parser.add_argument("--only", default="", metavar="PROBLEM", help="those whose name holds it")
    parser.add_argument("--json", metavar="FILE", help="go on with the problems that it lacks")
    parser.add_argument("--figure", metavar="FILE")
    options = parser.parse_args()
    torch.set_num_threads(1)
    file = Path(options.json) if options.json else None
    results = json.loads(file.read_text()) if file and file.exists() else []
    done = [result["problem"] for result in results]
    with sdpa_kernel(SDPBackend.MATH):
        for problem in problems(options.only, done):
            results.append(measure(problem, 5 if options.quick else 50))
            print(problem.name, file=sys.stderr)
            if file:
                file.write_text(json.dumps(results))
    print_tables(results)
    if options.figure:
        from benchmarks.curvature_figure import draw

        draw(results, options.figure)


if __name__ == "__main__":
    main()
