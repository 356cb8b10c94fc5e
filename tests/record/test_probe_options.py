"""What a probe is told reaches what measures, and stands beside the numbers."""

from functools import partial
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from tests.models import TwoHeads
from tests.record.loops import TASKS, batches, recorder_of
from trajlab import TrajlabError, probes
from trajlab.measure.curvature.density import spectral_density
from trajlab.measure.curvature.sharpness import average_sharpness, sharpness
from trajlab.measure.curvature.top_eigenvalue import top_eigenvalue
from trajlab.measure.curvature.trace import hessian_trace
from trajlab.measure.gram.projection import Projection
from trajlab.measure.gram.task_gram import task_gram
from trajlab.record.sample import Sample
from trajlab.store import Trajectory

RATE = 0.3  # the optimizer's
DATA = [(x.double(), y) for x, y in batches(4, size=5)]


def task_losses(model: nn.Module, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
    x, y = batch
    return {
        task: cross_entropy(output, y[:, k], reduction="none")
        for k, (task, output) in enumerate(zip(TASKS, model(x), strict=True))
    }


@pytest.fixture
def model() -> TwoHeads:
    return TwoHeads(4).double()


def record(path: Path, model: TwoHeads, *chosen: probes.Probe, steps: int = 1) -> Trajectory:
    """Record with the weights as they are: they do not move."""
    optimizer = torch.optim.SGD(model.parameters(), RATE)
    with recorder_of(
        path,
        model,
        optimizer,
        *chosen,
        task_losses=task_losses,
        predict=lambda model, batch: dict(zip(TASKS, model(batch[0]), strict=True)),
        strict=True,
    ) as recorder:
        for step in range(steps):
            found = task_losses(model, DATA[step % len(DATA)])
            recorder.observe({task: loss.mean() for task, loss in found.items()}, step=step)
    return Trajectory(path)


def trunk(model: TwoHeads) -> dict[str, Tensor]:
    return {f"trunk.{name}": p for name, p in model.trunk.named_parameters()}


def whole_losses(model: TwoHeads) -> dict[str, Tensor]:
    x, y = (torch.cat(parts) for parts in zip(*DATA, strict=True))
    return {task: loss.mean() for task, loss in task_losses(model, (x, y)).items()}


def test_sharpness_takes_its_method_steps_radii_and_seed(path: Path, model: TwoHeads) -> None:
    rho = (0.05, 0.2)
    functions = Sample(DATA, TASKS, 0).loss_functions(model, task_losses)
    for method, options in (("worst-case", {}), ("average-case", {"seed": 5})):
        probe = probes.Sharpness(1, DATA, rho=rho, method=method, iterations=3, **options)  # type: ignore[arg-type]
        own = path.with_name(f"{method}.h5")
        table = record(own, model, probe).table("sharpness")
        for k, task in enumerate(TASKS):
            if options:
                wanted = average_sharpness(functions[task], trunk(model), rho, draws=3, seed=5)
            else:
                wanted = sharpness(functions[task], trunk(model), rho, iterations=3)
            np.testing.assert_allclose(table["value"][0, k], wanted.value, rtol=1e-9)
            np.testing.assert_allclose(table["se"][0, k], wanted.se, rtol=1e-9)
        assert table["rho"].tolist() == list(rho)
        told = {"method": method, "iterations": 3, "seed": options.get("seed", 0)}
        assert told.items() <= table.attributes.items()


def test_the_density_takes_its_runs_nodes_and_seed(path: Path, model: TwoHeads) -> None:
    probe = probes.HessianDensity(1, DATA, runs=2, nodes=3, seed=5)
    table = record(path, model, probe).table("hessian_density")
    assert table["eigenvalue"].shape == table["weight"].shape == (1, 2, 2, 3)
    for k, loss in enumerate(whole_losses(model).values()):
        wanted = spectral_density(loss, trunk(model), runs=2, nodes=3, seed=5)
        np.testing.assert_allclose(table["eigenvalue"][0, k], wanted.values, rtol=1e-6)
        np.testing.assert_allclose(table["weight"][0, k], wanted.weights, rtol=1e-6)
    assert table["reason"].tolist() == [["", ""]]


@pytest.mark.parametrize("both", [False, True])
def test_the_hessian_s_ends_and_trace_take_their_options(
    path: Path, model: TwoHeads, both: bool
) -> None:
    probe = probes.HessianTop(1, DATA, seed=5, trace_probes=4, both_ends=both)
    table = record(path, model, probe).table("hessian")
    for k, loss in enumerate(whole_losses(model).values()):
        ends = top_eigenvalue(loss, trunk(model), seed=5, both_ends=both)
        trace = hessian_trace(loss, trunk(model), probes=4, krylov=ends.krylov, seed=5)
        assert table["top"][0, k] == pytest.approx(ends.value, rel=1e-6)
        assert table["bottom"][0, k] == pytest.approx(ends.bottom, rel=1e-5, nan_ok=True)
        assert table["products"][0, k] == ends.products + trace.products
        assert table["trace"][0, k] == pytest.approx(trace.value, rel=1e-6)
        assert table["trace_se"][0, k] == pytest.approx(trace.se, rel=1e-5)
    told = {"estimator": "lanczos, hutchinson deflated", "trace_probes": 4, "warm_start": False}
    assert told.items() <= table.attributes.items()
    assert "layer_top" not in table


def test_a_population_corrects_the_noise_of_single_examples(path: Path, model: TwoHeads) -> None:
    """Two equations of two batch sizes: examples alone, and 20 out of 50."""
    table = record(path, model, probes.GradientNoise(1, DATA, population=50)).table("noise")
    x, y = (torch.cat(parts) for parts in zip(*DATA, strict=True))
    for k, loss in enumerate(task_losses(model, (x, y)).values()):
        rows = torch.stack(
            [
                torch.cat(
                    [
                        g.flatten()
                        for g in torch.autograd.grad(
                            each, list(trunk(model).values()), retain_graph=True
                        )
                    ]
                )
                for each in loss
            ]
        )
        small, large = rows.square().sum(1).mean().item(), rows.mean(0).square().sum().item()
        trace = (small - large) / (1 - (50 - 20) / 49 / 20)
        norm_sq = small - trace
        assert table["covariance_trace"][0, k] == pytest.approx(trace, rel=1e-9)
        assert table["gradient_norm_sq"][0, k] == pytest.approx(norm_sq, rel=1e-9)
        scale = trace / norm_sq if norm_sq > 0 else np.nan
        assert table["noise_scale"][0, k] == pytest.approx(scale, rel=1e-9, nan_ok=True)
    assert table.attributes["population"] == 50


@pytest.mark.parametrize("given", [None, 0.1])
def test_affinity_takes_the_optimizer_s_rate_or_its_own(
    path: Path, model: TwoHeads, given: float | None
) -> None:
    probe = probes.TaskAffinity(1, DATA, learning_rate=given)
    table = record(path, model, probe).table("affinity")
    assert table.attributes["learning_rate"] == (given or "optimizer")
    before = whole_losses(model)
    slopes = torch.autograd.grad(before["left"], list(trunk(model).values()))
    with torch.no_grad():
        for p, slope in zip(trunk(model).values(), slopes, strict=True):
            p -= (given or RATE) * slope
        after = whole_losses(model)
    wanted = [1 - (after[task] / before[task]).item() for task in TASKS]
    assert table["affinity"][0, 0] == pytest.approx(wanted, rel=1e-9)


MADE: dict[str, tuple[Any, str]] = {
    "sharpness": (probes.Sharpness, "apgd"),
    "noise": (probes.GradientNoise, "per-example gradients"),
    "fisher": (probes.FisherTrace, "per-example gradients"),
    "similarity": (probes.GradientSimilarity, "cross-batch"),
    "hessian": (probes.HessianTop, "lanczos"),
    "hessian_density": (probes.HessianDensity, "stochastic lanczos quadrature"),
    "affinity": (probes.TaskAffinity, "look-ahead"),
    "example_conflict": (
        partial(probes.ExampleConflict, sizes=(1, 3)),
        "gradients of single examples",
    ),
}


def test_every_sampled_table_says_its_seed_sample_and_estimator(
    path: Path, model: TwoHeads
) -> None:
    run = record(path, model, *(kind(1, DATA, seed=5) for kind, _ in MADE.values()))
    (digest,) = {*Sample(DATA, TASKS, 5).identity["sample_sha256"]}
    for name, (_, estimator) in MADE.items():
        told = {
            "estimator": estimator,
            "parameters": "shared",
            "mode": "evaluation",
            "seed": 5,
            "sample_seed": 5,
            "sample_sha256": [digest] * 2,
        }
        found = run.table(name).attributes
        assert {key: found[key] for key in told} == told, name
    assert run.table("example_conflict")["size"].tolist() == [1, 3]


def test_each_step_draws_signs_of_its_own_and_each_seed(path: Path, model: TwoHeads) -> None:
    """The same ones whenever a step is trained: weights and batch are the same ones here."""
    x, y = DATA[0]
    found = task_losses(model, (x, y))
    losses = {task: loss.mean() for task, loss in found.items()}
    probe = probes.TaskGradients(method="projected", size=2, seed=3)
    with recorder_of(path, model, None, probe, strict=True) as recorder:
        for step in (0, 5, 6):
            recorder.observe(losses, step=step)
    table = Trajectory(path).table("gradients")
    for row, step in enumerate(table["step"].tolist()):
        signs = Projection(2, torch.Generator().manual_seed(3 * 2**32 + step))
        expected = task_gram(list(losses.values()), trunk(model), projection=signs)
        np.testing.assert_allclose(table["gram"][row], expected.gram, rtol=1e-12)
        np.testing.assert_allclose(table["gram_se"][row], expected.standard_error, rtol=1e-12)
    assert len(np.unique(table["gram"][:, 0, 0, 0])) == 3


def test_two_probes_of_one_table_are_told_apart_from_two_of_two(
    path: Path, model: TwoHeads
) -> None:
    both = [probes.TaskGradients(), probes.Parameters(), probes.TaskGradients(scope="all")]
    run = record(path, model, *both)
    assert {"gradients", "all_gradients", "parameters"} <= {*run.tables}
    other = path.with_name("other.h5")
    for twice in (probes.Parameters(5), probes.TaskGradients(7)):
        name = type(twice).__name__
        with pytest.raises(TrajlabError, match=f"two {name} probes would write one table; give"):
            record(other, model, *both, twice)
    assert not other.exists()


def test_the_paper_s_set_is_as_its_docstring_says(path: Path, model: TwoHeads) -> None:
    chance = dict.fromkeys(TASKS, log(3))
    run = record(path, model, *probes.paper(DATA, every=[0, 3], chance=chance), steps=12)
    assert run.table("gradients")["step"].tolist() == [0, 10]
    for name in ("sharpness", "noise", "fisher", "similarity", "hessian"):
        assert run.table(name)["step"].tolist() == [0, 3], name
    assert run.table("sharpness")["rho"].tolist() == [1e-3, 5e-3, 1e-2]
    assert run.table("sharpness").attributes["iterations"] == 20
    assert "saturated" in run.table("sharpness")
    assert run.table("hessian").attributes["trace_probes"] == 12
    assert run.table("hessian").attributes["estimator"] == "lanczos, hutchinson deflated"
    assert not {"parameters", "affinity", "hessian_density"} & {*run.tables}


def test_the_full_set_adds_layers_ends_density_affinity_and_distances(
    path: Path, model: TwoHeads
) -> None:
    chance = dict.fromkeys(TASKS, log(3))
    run = record(path, model, *probes.full(DATA, every=[1], chance=chance), steps=3)
    for name in ("gradients", "parameters"):
        assert run.table(name)["step"].tolist() == [0, 1, 2], name
    sampled = {*MADE} - {"example_conflict"}
    for name in sampled:
        assert run.table(name)["step"].tolist() == [1], name
    assert {"layer_distance_from_start", "layer_update_norm"} <= {*run.table("parameters")}
    assert {"layer_top", "trace", "bottom"} <= {*run.table("hessian")}
    assert np.isfinite(run.table("hessian")["bottom"]).all()
    assert "saturated" in run.table("sharpness")
    silent = [
        f"{name}.{column.name}"
        for name in run.tables
        for column in run.table(name).declared.columns
        if not column.description
    ]
    assert silent == []


def test_the_light_set_measures_often_at_first_and_rarely_after(
    path: Path, model: TwoHeads
) -> None:
    for probe in probes.light():
        due = [step for step in range(305) if probe.schedule.due(step, False)]
        assert due == [0, 1, 2, 5, 10, 22, 46, 100, 200, 300]
    assert [type(probe).__name__ for probe in probes.light()] == ["TaskGradients", "Parameters"]


@pytest.mark.parametrize(
    ("make", "least", "wrong", "sentence"),
    [
        (lambda n: probes.GradientNoise(1, DATA, population=n), 1, 0, "GradientNoise: population"),
        (lambda n: probes.Sharpness(1, DATA, iterations=n), 1, 0, "Sharpness: iterations"),
        (lambda n: probes.Sharpness(1, DATA, rho=[n]), 1e-9, 0.0, "Sharpness: rho"),
        (lambda n: probes.Sharpness(1, DATA, rho=[1, n]), 2, 1, "has a number twice"),
        (lambda n: probes.Sharpness(1, DATA, chance={"left": n}), np.inf, np.nan, "at chance"),
        (lambda n: probes.HessianTop(1, DATA, trace_probes=n), 2, 1, "has no scatter"),
        (lambda n: probes.HessianTop(1, DATA, trace_probes=n), 0, -1, "HessianTop: trace_probes"),
        (lambda n: probes.HessianDensity(1, DATA, runs=n), 1, 0, "HessianDensity: runs"),
        (lambda n: probes.HessianDensity(1, DATA, nodes=n), 1, 0, "HessianDensity: nodes"),
        (lambda n: probes.TaskAffinity(1, DATA, learning_rate=n), 1e-9, 0, "TaskAffinity: learn"),
        (lambda n: probes.ExampleConflict(1, DATA, sizes=[n]), 1, 0, "ExampleConflict: sizes"),
        (lambda n: probes.GradientSketch(size=n), 1, 0, "GradientSketch: size"),
        (lambda n: probes.GradientSketch(seed=n), 0, -1, "GradientSketch: seed"),
        (lambda n: probes.TaskGradients(size=n), 2, 1, "TaskGradients: size"),
        (lambda n: probes.TaskGradients(memory=n), 0, -1, "TaskGradients: memory"),
        (lambda n: probes.TaskGradients(seed=n), 0, -1, "TaskGradients: seed"),
        (lambda s: probes.TaskGradients(scope=s), "all", "heads", "is unknown; use one of"),
        (lambda s: probes.TaskGradients(scope=s, layers=["a"]), "all", "representation", "layers="),
        (lambda s: probes.TaskGradients(scope=s, update=True), "parameters", "all", "scope='par"),
        (lambda n: probes.FisherTrace(1, DATA, seed=n), 2**32 - 1, 2**32, "FisherTrace: seed"),
        (lambda d: probes.FisherTrace(1, d), DATA, None, "measures on data of its own"),
        (lambda d: probes.FisherTrace(1, d), DATA, "file", "holds no batches"),
        (lambda d: probes.FisherTrace(1, d), DATA, 3, "holds no batches"),
        (lambda s: probes.Parameters(start=s), {}, [], "start=.* is a list; give the weights"),
    ],
)
def test_an_option_is_checked_where_it_is_given(
    make: Any, least: Any, wrong: Any, sentence: str
) -> None:
    assert isinstance(make(least), probes.Probe)
    with pytest.raises(TrajlabError, match=sentence):
        make(wrong)


def test_what_a_probe_lacks_is_told_when_the_recorder_is_made(path: Path, model: TwoHeads) -> None:
    for number, enough in ((2, False), (3, True)):
        own = path.with_name(f"{number}.h5")
        if enough:
            record(own, model, probes.GradientSimilarity(1, DATA[:number]))
            continue
        with pytest.raises(TrajlabError, match="data= holds 2 of task 'left'; give 3 or more"):
            record(own, model, probes.GradientSimilarity(1, DATA[:number]))
        assert not own.exists()
    for probe, sentence in (
        (probes.Sharpness(1, DATA, chance={"left": 1.0}), "chance= lacks task 'right'"),
        (probes.FisherTrace(1, {"top": DATA}), "batches of task 'top', which is not declared"),
        (probes.FisherTrace(1, []), "holds no batch; give a loader"),
        (probes.FisherTrace(1, {"left": [], "right": []}), "holds no batch; give a loader"),
    ):
        with pytest.raises(TrajlabError, match=sentence):
            record(path, model, probe)
    record(path, model, probes.FisherTrace(1, {"left": [], "right": DATA}))
