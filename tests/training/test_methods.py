"""Methods against closed forms and the originals' definitions."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from trajlab import Recorder, load
from trajlab.errors import TrajlabError
from trajlab.record.probes import TaskGradients
from trajlab.training.methods import AGGREGATORS, METHODS, Method, method
from trajlab.training.methods.update import implied_weights
from trajlab.training.setting import MultiTaskModel

TASKS = ("a", "b", "c")
PAIR = ("a", "b")


class Record:
    """A recorder's `backward` and `observe`, remembering the weights."""

    def __init__(self) -> None:
        self.weights: dict[str, float] = {}

    def backward(self, losses: Any, weights: Any = None) -> None:
        weights = weights or dict.fromkeys(losses, 1.0)
        self.weights = {
            task: float(torch.as_tensor(weight).detach()) for task, weight in weights.items()
        }
        sum(weights[task] * loss for task, loss in losses.items()).backward()

    def observe(self, losses: Any, weights: Any) -> None:
        self.weights = dict(weights)


class Linear(nn.Module):
    """A trunk whose gradients are the rows given."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, size, dtype=torch.float64))


def model_with(tasks: tuple[str, ...], size: int) -> MultiTaskModel:
    heads = {task: nn.Linear(1, 1, dtype=torch.float64) for task in tasks}
    for head in heads.values():
        nn.init.zeros_(head.bias)
    return MultiTaskModel(Linear(size), heads)


def losses_with(model: MultiTaskModel, rows: Tensor, values: Any) -> dict[str, Tensor]:
    """Return losses of the given values, task k's with row k as its gradient in the trunk."""
    return {
        task: (row * model.trunk.weight).sum()
        + value
        + 0 * model.heads[task].weight.sum()
        + 3 * model.heads[task].bias.sum()
        for task, row, value in zip(model.heads, rows, values, strict=True)
    }


def step(made: Method, rows: Tensor, offset: float = 1.0) -> tuple[Tensor, dict[str, float]]:
    """Return the trunk's update where task k's gradient is row k, and the weights."""
    model = model_with(made.tasks, rows.shape[1])
    losses = losses_with(model, rows, [offset] * len(rows))
    seen = Record()
    made.backward(seen, losses, model)  # type: ignore[arg-type]
    if type(made).__name__ == "Aggregation":
        # heads follow their own task, unweighted
        assert all(float(model.heads[task].bias.grad) == 3 for task in made.tasks)
    return model.trunk.weight.grad.flatten(), seen.weights


ROWS = torch.tensor([[1.0, 0.0, 2.0], [-1.0, 3.0, 0.0], [0.5, 1.0, 1.0]], dtype=torch.float64)


@pytest.mark.parametrize(
    ("name", "options", "weights"),
    [
        ("uniform", {}, [1, 1, 1]),
        ("uniform", {"C": "K"}, [1 / 3] * 3),
        ("static", {"weights": [0.2, 0.3, 0.5]}, [0.2, 0.3, 0.5]),
        ("static", {"weights": [0, 2, 0.5]}, [0, 2, 0.5]),  # taken as they are
        ("dwa", {}, [1, 1, 1]),
        ("gradnorm", {}, [1, 1, 1]),
        ("uncertainty", {}, [1, 1, 1]),
        ("imtl-l", {}, [1, 1, 1]),
        ("famo", {}, [1 / 3] * 3),
    ],
)
def test_the_update_is_the_weighted_sum(
    name: str, options: dict[str, Any], weights: list[float]
) -> None:
    update, seen = step(method(name, TASKS, 0, options), ROWS)
    assert list(seen.values()) == pytest.approx(weights)
    torch.testing.assert_close(update, torch.tensor(weights, dtype=torch.float64) @ ROWS)


def test_random_weights_are_as_lin_et_al_draw_them() -> None:
    # a component of Dir(1, 1, 1) has variance 1/18; that of a softmax by Gauss-Hermite quadrature
    nodes, masses = np.polynomial.hermite_e.hermegauss(30)
    exponentials = np.exp(np.stack(np.meshgrid(nodes, nodes, nodes)))
    mass = np.einsum("i,j,k->ijk", masses, masses, masses) / (2 * np.pi) ** 1.5
    normal = (mass * (exponentials[0] / exponentials.sum(0) - 1 / 3) ** 2).sum()
    for distribution, spread in (("normal", normal), ("dirichlet", 1 / 18)):
        made = method("random", TASKS, 1, {"distribution": distribution})
        drawn = np.array([list(made.weights({}, None).values()) for _ in range(4000)])
        np.testing.assert_allclose(drawn.sum(1), 1, atol=1e-6)
        np.testing.assert_allclose(drawn.mean(0), 1 / 3, atol=0.02)
        np.testing.assert_allclose(drawn.var(0), spread, rtol=0.1)
    again = method("random", TASKS, 1, {})
    assert again.weights({}, None) == method("random", TASKS, 1, {}).weights({}, None)


def test_sampling_draws_one_task_with_its_probability() -> None:
    made = method("sampling", TASKS, 0, {"weights": [1, 2, 1]})
    drawn = [made.draw() for _ in range(4000)]
    assert {len(tasks) for tasks in drawn} == {1}
    shares = [sum(task in tasks for tasks in drawn) / 4000 for task in TASKS]
    np.testing.assert_allclose(shares, [0.25, 0.5, 0.25], atol=0.03)


def test_a_method_draws_by_its_seed() -> None:
    for seed in (3, 4):
        weights = method("random", TASKS, seed, {}).weights({}, None)  # type: ignore[arg-type]
        wanted = torch.randn(3, generator=torch.Generator().manual_seed(seed)).softmax(0)
        assert weights == dict(zip(TASKS, wanted.tolist(), strict=True))
        made, stream = method("sampling", TASKS, seed, {}), torch.Generator().manual_seed(seed)
        drawn = [torch.multinomial(torch.ones(3), 1, generator=stream).item() for _ in range(20)]
        assert [made.draw() for _ in range(20)] == [(TASKS[int(index)],) for index in drawn]


def test_an_option_of_an_aggregation_stands_before_the_paper_s() -> None:
    """CAGrad's c is how far it leaves the mean: not at all, or by half its norm."""
    means = ROWS.mean(0)
    for c in (0.0, 0.25, 0.5):
        update, _ = step(method("cagrad", TASKS, 0, {"c": c}), ROWS)
        apart = (update - means).norm() / means.norm()
        assert float(apart) == pytest.approx(c, abs=1e-3)


@pytest.mark.parametrize(("name", "optimum"), [("uncertainty", 8.0), ("imtl-l", 4.0)])
def test_learned_weights_descend_their_loss(name: str, optimum: float) -> None:
    """The optimum of L/σ² + log σ is σ² = 2 L, that of exp(s) L − s is exp(−s) = L."""
    made = method(name, PAIR, 0, {})
    (learned,) = made.parameters
    optimizer = torch.optim.SGD([learned], lr=0.1)
    rows = torch.ones(2, 2, dtype=torch.float64)
    for _ in range(500):
        optimizer.zero_grad()
        step(made, rows, offset=4.0)
        optimizer.step()
    np.testing.assert_allclose(learned.detach().exp(), [optimum, optimum], rtol=1e-3)


def test_imtl_aggregates_impartially_what_it_balances() -> None:
    """The scale of a loss is learned as by IMTL-L and moves its head; the trunk's direction is G's.

    IMTL-G has equal products with all unit gradients, which no scale of a loss changes.
    """
    made = method("imtl", PAIR, 0, {})
    (learned,) = made.parameters
    learned.data = torch.tensor([math.log(2.0), math.log(0.5)])
    rows = torch.tensor([[2.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    model = model_with(PAIR, 2)
    losses = losses_with(model, rows, [4.0, 4.0])
    seen = Record()
    made.backward(seen, losses, model)  # type: ignore[arg-type]
    update = model.trunk.weight.grad.flatten()
    products = (rows / rows.norm(dim=1, keepdim=True)) @ update
    torch.testing.assert_close(products[0], products[1])
    weights = torch.tensor(list(seen.weights.values()), dtype=torch.float64)
    torch.testing.assert_close(weights @ rows, update)
    assert [float(model.heads[task].bias.grad) for task in PAIR] == pytest.approx([6.0, 1.5])
    assert learned.grad.tolist() == pytest.approx([2 * 4 - 1, 0.5 * 4 - 1])


def test_famo_follows_its_first_two_steps_written_out() -> None:
    """Algorithm 1 of Liu et al. (2023); Adam's first step is its rate, in the sign's direction."""
    made = method("famo", PAIR, 0, {"learning_rate": 0.1, "gamma": 0.0})
    before = {"a": torch.tensor(2.0), "b": torch.tensor(0.5)}
    first = made.weights(before, None)  # type: ignore[arg-type]
    assert first == pytest.approx({"a": 0.2, "b": 0.8})  # in proportion to 1 / L
    made.after_update(lambda: {"a": torch.tensor(1.0), "b": torch.tensor(0.5)})
    # only a's loss fell: its ξ descends, b's ascends
    z = torch.tensor([-0.1, 0.1]).softmax(0)
    wanted = z / torch.tensor([1.0, 0.5])
    second = made.weights({"a": torch.tensor(1.0), "b": torch.tensor(0.5)}, None)  # type: ignore[arg-type]
    np.testing.assert_allclose(list(second.values()), wanted / wanted.sum(), rtol=1e-5)


def test_famo_descends_anew_at_each_update_and_decays_its_logits() -> None:
    """Adam written out over three updates, with the gradient of each alone and ξ's decay in it."""
    rate, decay, logits = 0.1, 0.5, np.zeros(2)
    made = method("famo", PAIR, 0, {"learning_rate": rate, "gamma": decay})
    first, second = np.zeros(2), np.zeros(2)
    now = np.array([2.0, 0.5])
    for t, then in enumerate(([1.0, 0.5], [1.5, 0.1], [1e-12, 0.1]), 1):
        shares = np.exp(logits) / now
        weights = made.weights(dict(zip(PAIR, torch.tensor(now), strict=True)), None)
        np.testing.assert_allclose(list(weights.values()), shares / shares.sum(), rtol=1e-4)
        made.after_update(lambda then=then: dict(zip(PAIR, torch.tensor(then), strict=True)))
        # a loss counts as 1e-8 at least, as 0 has no logarithm
        then = np.maximum(then, 1e-8)
        z = np.exp(logits) / np.exp(logits).sum()
        fallen = np.log(now / then)
        slope = z * (fallen - z @ fallen) + decay * logits
        first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
        unbiased = np.sqrt(second / (1 - 0.999**t)) + 1e-8
        logits = logits - rate * first / (1 - 0.9**t) / unbiased
        now = then


def test_dwa_weighs_by_the_ratio_of_the_last_two_epochs() -> None:
    made = method("dwa", PAIR, 0, {"temperature": 3.0})
    epochs = [(2.0, 4.0), (1.0, 4.0), (0.9, 1.0)]
    for end, (a, b) in enumerate(epochs):
        made.end_epoch({"b": b, "a": a})
        weights = made.weights({}, None)
        if end == 0:  # one epoch has no ratio
            assert weights == {"a": 1.0, "b": 1.0}
            continue
        ratios = [now / before for now, before in zip(epochs[end], epochs[end - 1], strict=True)]
        a, b = (math.exp(ratio / 3) for ratio in ratios)
        assert weights == pytest.approx({"a": 2 * a / (a + b), "b": 2 * b / (a + b)})


def test_gradnorm_follows_the_gradient_of_its_loss() -> None:
    """Against autograd through algorithm 1 of Chen et al., two steps on."""
    alpha, rate = 1.5, 0.025
    made = method("gradnorm", TASKS, 0, {"alpha": alpha, "learning_rate": rate})
    step(made, ROWS, offset=1.0)
    _, second = step(made, ROWS, offset=1.0)
    weights = torch.ones(3, dtype=torch.float64, requires_grad=True)
    norms = (weights[:, None] * ROWS).norm(dim=1)
    target = norms.mean().detach()  # all rates are 1
    (gradient,) = torch.autograd.grad((norms - target).abs().sum(), weights)
    moved = weights.detach() - rate * gradient
    expected = 3 * moved / moved.sum()
    assert list(second.values()) == pytest.approx(expected.tolist())


def test_gradnorm_favours_tasks_that_lag_behind_their_first_loss() -> None:
    """Three steps on, of losses that fall unlike: against autograd through its loss in float64."""
    alpha, rate = 0.7, 0.05
    made = method("gradnorm", TASKS, 0, {"alpha": alpha, "learning_rate": rate})
    model = model_with(TASKS, 3)
    losses = [[2.0, 1.0, 4.0], [1.0, 0.9, 1.0], [0.2, 0.8, 5.0]]
    expected = torch.ones(3, dtype=torch.float64)
    for values in losses:
        weights = made.weights(losses_with(model, ROWS, values), model)
        assert weights is not None
        assert list(weights.values()) == pytest.approx(expected.tolist())
        own = expected.clone().requires_grad_()
        norms = (own[:, None] * ROWS).norm(dim=1)
        rates = torch.tensor(values, dtype=torch.float64) / torch.tensor(losses[0])
        target = (norms.mean() * (rates / rates.mean()) ** alpha).detach()
        (gradient,) = torch.autograd.grad((norms - target).abs().sum(), own)
        moved = own.detach() - rate * gradient
        expected = 3 * moved / moved.sum()


def test_gradnorm_turns_no_task_around() -> None:
    made = method("gradnorm", PAIR, 0, {"learning_rate": 1.0})
    rows = torch.tensor([[2.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    step(made, rows)
    _, weights = step(made, rows)  # 1 - 2, which is held at 1e-6, and 1 + 1
    assert weights == pytest.approx({"a": 2 * 1e-6 / (2 + 1e-6), "b": 2 * 2 / (2 + 1e-6)}, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("dwa", {"temperature": 2.0}),  # Liu et al. 2019, section 4.1
        ("famo", {"learning_rate": 0.025, "gamma": 0.001}),  # the authors' code
        ("gradnorm", {"alpha": 1.5, "learning_rate": 0.025}),  # Chen et al. 2018, section 5
        ("cagrad", {"c": 0.5}),  # Liu et al. 2021, section 5
        ("fairgrad", {"alpha": 1.0}),  # proportional fairness, Ban and Ji 2024
        ("sampling", {"weights": [1.0, 1.0, 1.0]}),
        ("random", {"distribution": "normal"}),  # Lin et al. 2022
        ("uniform", {"C": 1}),
    ],
)
def test_options_that_are_left_out_are_the_published_ones(name: str, published: Any) -> None:
    """Weights and updates over three steps and epochs, of losses that fall unlike."""
    results = []
    for options in ({}, published):
        made = method(name, TASKS, 0, options)
        model = model_with(TASKS, 3)
        found: list[Any] = []
        for values in ([2.0, 1.0, 4.0], [1.0, 0.9, 1.0], [0.2, 0.8, 5.0], [0.1, 0.7, 6.0]):
            seen = Record()
            found.append(made.draw())
            made.backward(seen, losses_with(model, ROWS, values), model)  # type: ignore[arg-type]
            made.after_update(lambda v=values: dict(zip(TASKS, 0.9 * torch.tensor(v), strict=True)))
            made.end_epoch(dict(zip(TASKS, values, strict=True)))
            found.append((seen.weights, model.trunk.weight.grad.tolist()))
        results.append(found)
    assert results[0] == results[1]


def mgda_of_two(rows: Tensor) -> Tensor:
    """The minimum-norm point of a segment, in closed form (Sener and Koltun 2018, eq. 4)."""
    a, b = rows
    share = float(((b - a) @ b) / (a - b).square().sum())
    share = min(max(share, 0.0), 1.0)
    return share * a + (1 - share) * b


def pcgrad_of_two(rows: Tensor) -> Tensor:
    """Each gradient without what conflicts with the other (Yu et al. 2020, algorithm 1)."""
    a, b = rows
    product = min(float(a @ b), 0.0)
    return a - product / (b @ b) * b + b - product / (a @ a) * a


def imtl_of_two(rows: Tensor) -> Tensor:
    """Equal projections on both unit gradients, weights with sum 1 (Liu et al. 2021)."""
    a, b = rows
    units = torch.stack((a / a.norm(), b / b.norm()))
    # w a + (1 − w) b has equal products with both units
    left = (a - b) @ (units[0] - units[1])
    share = float(-(b @ (units[0] - units[1])) / left)
    return share * a + (1 - share) * b


@pytest.mark.parametrize(
    ("name", "truth"),
    [("mgda", mgda_of_two), ("pcgrad", pcgrad_of_two), ("imtl-g", imtl_of_two)],
)
@pytest.mark.parametrize("angle", [40.0, 130.0])
def test_aggregations_of_two_gradients_have_their_closed_form(
    name: str, truth: Any, angle: float
) -> None:
    radians = math.radians(angle)
    rows = torch.tensor([[2.0, 0.0], [math.cos(radians), math.sin(radians)]], dtype=torch.float64)
    update, weights = step(method(name, PAIR, 0, {}), rows)
    torch.testing.assert_close(update, truth(rows), rtol=5e-3, atol=5e-3)
    own = torch.tensor(list(weights.values()), dtype=torch.float64)
    torch.testing.assert_close(own @ rows, update, rtol=1e-6, atol=1e-6)


def test_nash_bargaining_solves_its_equation() -> None:
    """G Gᵀ α = 1/α up to scale (Navon et al. 2022, eq. 4): for orthogonal rows α ∝ 1/‖g‖."""
    rows = torch.tensor([[2.0, 0.0], [0.0, 0.5]], dtype=torch.float64)
    with pytest.warns(UserWarning, match="not DPP"):
        _, weights = step(method("nashmtl", PAIR, 0, {}), rows)
    assert weights["b"] / weights["a"] == pytest.approx(4.0, rel=0.01)


def test_graddrop_keeps_what_agrees_and_has_no_weights() -> None:
    rows = torch.tensor([[1.0, 1.0], [2.0, -1.0]], dtype=torch.float64)
    update, weights = step(method("graddrop", PAIR, 0, {}), rows)
    assert update[0] == 3
    assert abs(float(update[1])) == 1
    assert all(math.isnan(weight) for weight in weights.values())


def config_of_two(rows: Tensor) -> Tensor:
    """Equal cosines with both, as long as the projections are together (Liu et al. 2024, eq. 2)."""
    a, b = rows
    direction = a / a.norm() + b / b.norm()
    direction = direction / direction.norm()
    return (rows @ direction).sum() * direction


def fairgrad_of_two(rows: Tensor) -> Tensor:
    """J Jᵀ w = 1/w for α = 1 (Ban and Ji 2024, eq. 5), here of orthogonal gradients: w = 1/‖g‖."""
    return rows[0] / rows[0].norm() + rows[1] / rows[1].norm()


@pytest.mark.parametrize(
    ("name", "rows", "truth"),
    [
        ("config", [[2.0, 0.0], [-0.5, 1.0]], config_of_two),
        ("fairgrad", [[2.0, 0.0], [0.0, 0.5]], fairgrad_of_two),
    ],
)
def test_config_and_fairgrad_have_their_closed_form(
    name: str, rows: list[list[float]], truth: Any
) -> None:
    jacobian = torch.tensor(rows, dtype=torch.float64)
    update, weights = step(method(name, PAIR, 0, {}), jacobian)
    torch.testing.assert_close(update, truth(jacobian), rtol=1e-3, atol=1e-3)
    if name == "config":  # its making has no weights: they are implied
        assert all(math.isnan(weight) for weight in weights.values())


def test_implied_weights_are_those_of_the_nearest_sum() -> None:
    known = torch.tensor([0.3, 2.0, -0.5], dtype=torch.float64)
    torch.testing.assert_close(implied_weights(ROWS @ ROWS.T, ROWS @ (known @ ROWS)), known)
    # a gradient a million times smaller counts as much
    small = ROWS * torch.tensor([[1.0], [1e-6], [1.0]], dtype=torch.float64)
    torch.testing.assert_close(implied_weights(small @ small.T, small @ (known @ small)), known)
    # twice the same gradient: the shortest of all answers; none: weight 0
    twice = torch.tensor([[1.0, 2.0], [1.0, 2.0], [0.0, 0.0]])
    found = implied_weights(twice @ twice.T, twice @ twice[0])
    torch.testing.assert_close(found, torch.tensor([0.5, 0.5, 0.0], dtype=torch.float64))
    # what no task's gradient has a part in stays unexplained
    update = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    apart = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(implied_weights(apart @ apart.T, apart @ update), update[:2] * 0)


@pytest.mark.parametrize("bad", [math.nan, math.inf, 1e200])
@pytest.mark.parametrize("name", ["imtl", *AGGREGATORS])
def test_gradients_that_are_not_finite_make_an_update_that_is_not(name: str, bad: float) -> None:
    """No error of a library's linear algebra, no number, and no weights."""
    rows = ROWS.clone()
    rows[1, 1] = bad  # the square of the last overflows
    made = method(name, TASKS, 0, {})
    update, weights = step(made, rows)
    assert update.isnan().all()
    assert all(math.isnan(weight) for weight in weights.values())
    (probe,) = made.probes
    row = probe.measure(None)  # type: ignore[arg-type]
    assert torch.as_tensor(row["implied_weight"]).isnan().all()


def test_large_gradients_whose_squares_are_finite_are_aggregated() -> None:
    update, _ = step(method("pcgrad", TASKS, 0, {}), ROWS * 1e100)
    assert update.isfinite().all()
    assert update.abs().max() > 1e99


def test_upgrad_and_mgda_conflict_with_no_task() -> None:
    for name in ("upgrad", "mgda"):
        update, _ = step(method(name, TASKS, 0, {}), ROWS)
        assert (ROWS @ update > -1e-6).all()


def gradient(loss: Tensor, trunk: nn.Module) -> Tensor:
    found = torch.autograd.grad(loss, list(trunk.parameters()), retain_graph=True)
    return torch.cat([part.flatten() for part in found])


@pytest.mark.parametrize("name", AGGREGATORS)
@pytest.mark.filterwarnings("ignore:You are solving")
def test_the_gram_matrix_is_recorded_before_and_the_update_after(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    trunk = nn.Linear(4, 3)
    model = MultiTaskModel(trunk, {task: nn.Linear(3, 1) for task in PAIR})
    made = method(name, PAIR, 0, {})
    inputs = torch.randn(8, 4)
    path = tmp_path / "run.h5"
    probes = [TaskGradients(every=1), *made.probes]
    with Recorder(path, model, tasks=PAIR, shared=trunk, probes=probes) as recorder:
        outputs = model(dict.fromkeys(PAIR, inputs))
        losses = {
            task: (output - k).square().mean() for k, (task, output) in enumerate(outputs.items())
        }
        rows = torch.stack([gradient(loss, trunk) for loss in losses.values()])
        made.backward(recorder, losses, model)
    update = torch.cat([p.grad.flatten() for p in trunk.parameters()])
    (run,) = load(path)
    np.testing.assert_allclose(run.gram()[0], rows @ rows.T, rtol=1e-4)
    np.testing.assert_allclose(run.table("aggregation")["update_dot"][0], rows @ update, rtol=1e-4)
    np.testing.assert_allclose(run.table("aggregation")["update_norm"][0], update.norm(), rtol=1e-5)
    weights = run.table("losses")["weight"][0]
    implied = run.table("aggregation")["implied_weight"][0]
    rest = run.table("aggregation")["unexplained"][0]
    nearest = implied @ rows.double().numpy()
    share = float(np.square(update.numpy() - nearest).sum() / update.square().sum())
    np.testing.assert_allclose(rest, share, atol=1e-5)
    if name not in ("graddrop", "config"):
        np.testing.assert_allclose(implied, weights, rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(weights @ rows.numpy(), update, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("uniform", {"C": 2}, "C=2 is neither 1"),
        ("static", {"weights": [1.0]}, "static needs one number a task"),
        ("sampling", {"weights": [1.0, -1.0, 1.0]}, "none negative"),
        ("random", {"distribution": "cauchy"}, "use 'normal' or 'dirichlet'"),
        ("cagrad", {"temperature": 1}, "CAGrad of TorchJD refuses"),
    ],
)
def test_wrong_options_are_refused(name: str, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(TrajlabError, match=sentence):
        method(name, TASKS, 0, options)


def test_an_aggregation_is_recorded_every_tenth_step(tmp_path: Path) -> None:
    model = MultiTaskModel(nn.Linear(4, 3), {task: nn.Linear(3, 1) for task in PAIR})
    made = method("mgda", PAIR, 0, {})
    with Recorder(
        tmp_path / "run.h5", model, tasks=PAIR, shared=model.trunk, probes=made.probes
    ) as recorder:
        for _ in range(12):
            outputs = model(dict.fromkeys(PAIR, torch.randn(8, 4)))
            made.backward(recorder, {k: z.square().mean() for k, z in outputs.items()}, model)
    (run,) = load(tmp_path / "run.h5")
    assert run.table("aggregation")["step"].tolist() == [0, 10]


def test_every_method_has_a_name_of_its_own() -> None:
    assert not {*METHODS} & {*AGGREGATORS}
