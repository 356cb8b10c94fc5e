"""Probes on data of their own, against numbers computed by hand from the same model."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from tests.models import TwoHeads
from trajlab import Recorder, TrajlabError, probes
from trajlab.store import Trajectory

TASKS = ["left", "right"]


def trunk(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width), nn.Dropout(0.5), nn.Tanh())


WEIGHT = torch.tensor([1.0, 2.0, 4.0]).double()


def task_losses(model: TwoHeads, batch: tuple[Tensor, Tensor]) -> dict[str, Any]:
    """Class weights on the left, ignored targets on the right."""
    x, y = batch
    left, right = model(x)
    return {
        "left": (cross_entropy(left, y, WEIGHT, reduction="none"), WEIGHT[y]),
        "right": (right[:, 0].pow(2) * (y > 0), (y > 0).double()),
    }


def predict(model: TwoHeads, batch: tuple[Tensor, Tensor]) -> dict[str, Any]:
    left, right = model(batch[0])
    return {"left": left, "right": probes.Gaussian(right)}


def batches(sizes: tuple[int, ...] = (6, 6, 6, 3)) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(7)
    return [
        (
            torch.randn(n, 3, generator=generator).double(),
            torch.randint(0, 3, (n,), generator=generator),
        )
        for n in sizes
    ]


@pytest.fixture
def model() -> TwoHeads:
    return TwoHeads(4, trunk, (3, 1)).double()


def record(tmp_path: Path, model: TwoHeads, probe: probes.Probe, table: str, **more: Any) -> Any:
    path = tmp_path / "run.h5"
    arguments: dict[str, Any] = {"task_losses": task_losses, "predict": predict} | more
    with Recorder(
        path, model, tasks=TASKS, shared=model.trunk, probes=[probe], **arguments
    ) as recorder:
        left, right = model(torch.randn(8, 3).double())
        recorder.backward({"left": left.pow(2).mean(), "right": right.pow(2).mean()})
    return Trajectory(path).table(table)


def loss(model: TwoHeads, task: str, data: list[Any]) -> Tensor:
    """The loss of one task over batches, as torch defines it."""
    x, y = torch.cat([b[0] for b in data]), torch.cat([b[1] for b in data])
    left, right = model(x)
    if task == "left":
        return cross_entropy(left, y, WEIGHT)
    return right[y > 0].pow(2).mean()


def gradient(model: TwoHeads, value: Tensor) -> Tensor:
    found = torch.autograd.grad(value, list(model.trunk.parameters()))
    return torch.cat([g.flatten() for g in found])


def test_noise_with_class_weights_and_ignored_targets(tmp_path: Path, model: TwoHeads) -> None:
    data = batches()
    table = record(tmp_path, model, probes.GradientNoise(1, data), "noise")
    model.eval()
    n = 21
    for t, task in enumerate(TASKS):
        total = gradient(model, loss(model, task, data))
        rows = []
        for x, y in data:
            for i in range(len(x)):
                sums, _ = task_losses(model, (x[i : i + 1], y[i : i + 1]))[task]
                rows.append(gradient(model, sums.sum()))
        shares = (
            torch.stack(rows) * n / sum(task_losses(model, batch)[task][1].sum() for batch in data)
        )
        assert torch.allclose(shares.mean(0), total)
        expected = (shares - total).pow(2).sum(1).mean().item()
        assert table["covariance_trace"][0, t] == pytest.approx(expected, rel=1e-9)
        assert table["gradient_norm_sq"][0, t] == pytest.approx(total.pow(2).sum().item(), rel=1e-9)
    assert table["noise_scale"] == pytest.approx(
        table["covariance_trace"] / table["gradient_norm_sq"]
    )
    assert (table["covariance_trace_se"] > 0).all()
    assert table.attributes["mode"] == "evaluation"
    assert table.attributes["population"] == "sample"
    assert len(set(table.attributes["sample_sha256"])) == 1


def test_two_batch_noise_drops_the_short_batch(tmp_path: Path, model: TwoHeads) -> None:
    data = batches()
    probe = probes.GradientNoise(1, data, method="two-batch", population=100)
    table = record(tmp_path, model, probe, "noise")
    model.eval()
    rows = torch.stack([gradient(model, loss(model, "left", [b])) for b in data[:3]])
    small, large = rows.pow(2).sum(1).mean(), rows.mean(0).pow(2).sum()
    correction = [(100 - size) / 99 / size for size in (6, 18)]
    expected = (small - large).item() / (correction[0] - correction[1])
    assert table["covariance_trace"][0, 0] == pytest.approx(expected, rel=1e-9)
    assert table.attributes["population"] == 100


def test_sharpness_per_task_and_radius(tmp_path: Path, model: TwoHeads) -> None:
    data = batches()
    probe = probes.Sharpness(1, data, rho=(1e-6, 0.1), chance={"left": 1e-9, "right": np.inf})
    table = record(tmp_path, model, probe, "sharpness")
    model.eval()
    for t, task in enumerate(TASKS):
        weights = torch.cat([p.detach().flatten() for p in model.trunk.parameters()])
        first_order = [
            1e-6 * (gradient(model, loss(model, task, [b])) * weights).abs().sum().item()
            for b in data[:3]
        ]
        assert table["value"][0, t, 0] == pytest.approx(np.mean(first_order), rel=1e-3)
        assert table["se"][0, t, 0] == pytest.approx(np.std(first_order, ddof=1) / 3**0.5, rel=1e-2)
        assert table["value"][0, t, 1] > 1e4 * table["value"][0, t, 0]
    assert table["saturated"].tolist() == [[[True, True], [False, False]]]
    assert table["rho"].tolist() == [1e-6, 0.1]


def test_average_sharpness_and_no_word_on_saturation(tmp_path: Path, model: TwoHeads) -> None:
    probe = probes.Sharpness(1, batches(), rho=(0.1,), method="average-case", iterations=5)
    table = record(tmp_path, model, probe, "sharpness")
    assert np.isfinite(table["value"]).all()
    assert "saturated" not in list(table)
    assert table.attributes["estimator"] == "gaussian"


def test_fisher(tmp_path: Path, model: TwoHeads) -> None:
    data = batches()
    table = record(tmp_path, model, probes.FisherTrace(1, data), "fisher")
    model.eval()
    norms: list[list[float]] = [[], []]
    for x, _ in data:
        left, _ = model(x)
        for i in range(len(x)):
            p = left[i].softmax(0).detach()
            rows = [
                gradient(model, cross_entropy(model(x)[0][i], torch.tensor(c))) for c in range(3)
            ]
            norms[0].append(sum(p[c].item() * rows[c].pow(2).sum().item() for c in range(3)))
            norms[1].append(gradient(model, model(x)[1][i]).pow(2).sum().item())
    assert table["trace"][0] == pytest.approx(np.mean(norms, axis=1), rel=1e-9)
    assert table["se"][0] == pytest.approx(np.std(norms, axis=1, ddof=1) / 21**0.5, rel=1e-9)
    assert list(table.attributes["likelihood"]) == ["Categorical", "Gaussian"]


def test_similarity_of_own_inputs(tmp_path: Path, model: TwoHeads) -> None:
    data = batches((6,) * 8)
    probe = probes.GradientSimilarity(1, {"left": data, "right": data[:5]})
    table = record(tmp_path, model, probe, "similarity")
    model.eval()
    rows = [torch.stack([gradient(model, sum_of(model, task, b)) for b in data]) for task in TASKS]
    counts = [torch.stack([task_losses(model, b)[task][1].sum() for b in data]) for task in TASKS]
    rows[1][5:], counts[1][5:] = 0, 0

    def across(i: int, j: int) -> Tensor:
        off = 1 - torch.eye(8).double()
        return (rows[i] @ rows[j].T * off).sum() / (torch.outer(counts[i], counts[j]) * off).sum()

    cosine = across(0, 1) / (across(0, 0) * across(1, 1)).sqrt()
    dominated = table["noise_dominated"][0]
    if not dominated.any():
        assert table["cosine"][0, 0, 1] == pytest.approx(cosine.item(), rel=1e-9)
    else:
        assert np.isnan(table["cosine"][0, 0, 1])
    assert table["ceiling"][0, 0] == pytest.approx(
        (across(0, 0) / (rows[0] / counts[0][:, None]).pow(2).sum(1).mean()).item(), rel=1e-9
    )
    assert table.attributes["batches"] == 8


def sum_of(model: TwoHeads, task: str, batch: Any) -> Tensor:
    total: Tensor = task_losses(model, batch)[task][0].sum()
    return total


def test_affinity(tmp_path: Path, model: TwoHeads) -> None:
    data = batches()
    before = [p.detach().clone() for p in model.parameters()]
    table = record(tmp_path, model, probes.TaskAffinity(1, data, learning_rate=0.1), "affinity")
    assert all(torch.equal(p, b) for p, b in zip(model.parameters(), before, strict=True))
    model.eval()
    start = [loss(model, task, data).item() for task in TASKS]
    slope = gradient(model, loss(model, "right", data))
    with torch.no_grad():
        for p, g in zip(
            model.trunk.parameters(),
            slope.split([p.numel() for p in model.trunk.parameters()]),
            strict=True,
        ):
            p -= 0.1 * g.view_as(p)
    after = [loss(model, task, data).item() for task in TASKS]
    assert table["affinity"][0, 1] == pytest.approx(
        [1 - a / b for a, b in zip(after, start, strict=True)]
    )


def test_parameters_distance_update_and_path(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 1, bias=False))
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    path = tmp_path / "run.h5"
    points = []
    probe = probes.Parameters(by_layer=True)
    with Recorder(path, model, tasks=["one"], optimizer=optimizer, probes=[probe]) as recorder:
        for _ in range(5):
            points.append([p.detach().clone() for p in model.parameters()])
            recorder.backward({"one": model(torch.ones(3, 2)).pow(2).mean()})
            optimizer.step()
            optimizer.zero_grad()
    flat = np.array([torch.cat([p.flatten() for p in point]).double().numpy() for point in points])
    updates = np.linalg.norm(np.diff(flat, axis=0), axis=1)
    table = Trajectory(path).table("parameters")
    assert table["distance_from_start"] == pytest.approx(np.linalg.norm(flat - flat[0], axis=1))
    assert np.isnan(table["update_norm"][0])
    assert table["update_norm"][1:] == pytest.approx(updates)
    assert table["path_length"] == pytest.approx([0, *np.cumsum(updates)])
    assert (table["layer_update_norm"][1:] ** 2).sum(1) == pytest.approx(updates**2)
    assert table["layer"].tolist() == ["0", "1"]


def test_parameters_of_a_resumed_run_need_the_start(tmp_path: Path) -> None:
    model = nn.Linear(2, 1)
    start = {name: p.detach() + 1 for name, p in model.named_parameters()}
    for given, expected in ((None, np.nan), (start, 3**0.5)):
        path = tmp_path / f"{given is None}.h5"
        probe = probes.Parameters(start=given)
        with Recorder(path, model, tasks=["one"], probes=[probe], resume=True) as recorder:
            recorder.observe({"one": model(torch.ones(3, 2)).mean()}, step=7)
        table = Trajectory(path).table("parameters")
        assert table["distance_from_start"] == pytest.approx([expected], nan_ok=True)
        assert np.isnan(table["path_length"][0])


@pytest.mark.parametrize("given", [False, True])
def test_training_that_begins_once_more_is_measured_from_its_start(given: bool) -> None:
    """Weights 1, 2, 4, then 3, 8: from the first of each, or from the zeros that were given."""
    model = nn.Linear(1, 1, bias=False)
    probe = probes.Parameters(start={"weight": torch.zeros(1, 1)} if given else None)
    found = []
    for step, weight in ((0, 1.0), (1, 2.0), (2, 4.0), (0, 3.0), (1, 8.0), (3, 9.0)):
        nn.init.constant_(model.weight, weight)
        moment: Any = SimpleNamespace(
            step=step, model=model, parameters=dict(model.named_parameters())
        )
        found.append(probe.measure(moment))
    assert [row["distance_from_start"] for row in found] == (
        [1, 2, 4, 3, 8, 9] if given else [0, 1, 3, 0, 5, 6]
    )
    assert [row["path_length"] for row in found] == [0, 1, 3, 0, 5, 6]
    assert np.array_equal(
        [row["update_norm"] for row in found], [np.nan, 1, 2, np.nan, 5, np.nan], equal_nan=True
    )


def test_task_without_data_is_nan_with_the_reason(tmp_path: Path, model: TwoHeads) -> None:
    data = {"left": batches()}
    for probe, name in (
        (probes.GradientNoise(1, data), "noise"),
        (probes.FisherTrace(1, data), "fisher"),
        (probes.Sharpness(1, data), "sharpness"),
    ):
        folder = tmp_path / name
        folder.mkdir()
        table = record(folder, model, probe, name)
        assert table["reason"].tolist() == [["", "no data of this task was given"]]


def test_wrong_use_is_one_sentence(tmp_path: Path, model: TwoHeads) -> None:
    data = batches()
    with pytest.raises(TrajlabError, match="pass predict=fn to the recorder"):
        record(tmp_path, model, probes.FisherTrace(1, data), "fisher", predict=None)
    with pytest.raises(TrajlabError, match=r"class logits are \(n, class\)"):
        record(
            tmp_path,
            model,
            probes.FisherTrace(1, data),
            "fisher",
            predict=lambda model, batch: {"right": model(batch[0])[1][:, 0]},
            strict=True,
        )
    with pytest.raises(TrajlabError, match="use 'exact' or 'two-batch'"):
        probes.GradientNoise(1, data, method="guess")  # type: ignore[arg-type]
    with pytest.raises(TrajlabError, match="use 'worst-case' or 'average-case'"):
        probes.Sharpness(1, data, method="best")  # type: ignore[arg-type]
    with pytest.raises(TrajlabError, match="needs a learning rate"):
        record(tmp_path / "b", model, probes.TaskAffinity(1, data), "affinity")


@pytest.mark.parametrize(
    "kind",
    [
        probes.ExampleConflict,
        probes.FisherTrace,
        probes.GradientNoise,
        probes.GradientSimilarity,
        probes.HessianDensity,
        probes.HessianTop,
        probes.Sharpness,
        lambda every, data: probes.Sharpness(every, data, chance={"left": 1.0, "right": 1.0}),
        lambda every, data: probes.TaskAffinity(every, data, learning_rate=0.1),
    ],
)
def test_every_probe_on_data_of_its_own_says_at_once_what_it_lacks(
    tmp_path: Path, model: TwoHeads, kind: Any
) -> None:
    with pytest.raises(TrajlabError, match=r"pass (task_losses|predict)=fn to the recorder"):
        record(tmp_path, model, kind(1, batches()), "", task_losses=None, predict=None)
    with pytest.raises(TrajlabError, match="task 'middle', which is not declared"):
        record(tmp_path, model, kind(1, {"middle": batches()}), "")
    with pytest.raises(TrajlabError, match="holds no batch"):
        record(tmp_path, model, kind(1, []), "")
    assert not (tmp_path / "run.h5").exists()


def test_batch_statistics_are_refused_for_single_examples(tmp_path: Path, model: TwoHeads) -> None:
    def in_training_mode(model: TwoHeads, batch: Any) -> dict[str, Any]:
        return task_losses(model.train(), batch)

    probe = probes.GradientNoise(1, batches())
    with pytest.raises(TrajlabError, match=r"layer trunk\.1 normalises over the batch"):
        record(tmp_path, model, probe, "noise", task_losses=in_training_mode, strict=True)
