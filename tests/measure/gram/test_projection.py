"""Projected estimates of Gram matrices: unbiased, and as far off as their standard errors say."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.measure.gram.readable import readable
from trajlab import Recorder, TrajlabError, probes
from trajlab.measure.gram.layer_sums import TaskGram
from trajlab.measure.gram.projection import Projection
from trajlab.measure.gram.task_gram import task_gram
from trajlab.measure.gram.training_gram import TrainingGram
from trajlab.store import Trajectory

CASES: dict[str, Callable[[], tuple[nn.Module, Tensor]]] = {
    "linear": lambda: (nn.Linear(40, 12), torch.randn(50, 3, 40)),
    "conv1d": lambda: (nn.Conv1d(20, 12, 3, padding=1), torch.randn(4, 20, 30)),
    "conv2d": lambda: (
        nn.Conv2d(8, 12, 3, stride=2, padding=1, dilation=2, bias=False),
        torch.randn(6, 8, 12, 12),
    ),
    "conv2d, same": lambda: (nn.Conv2d(8, 12, 3, padding="same"), torch.randn(6, 8, 7, 7)),
    "conv3d": lambda: (nn.Conv3d(4, 12, 3), torch.randn(4, 4, 6, 6, 6)),
}


def projection(seed: int, size: int = 16) -> Projection:
    return Projection(size, torch.Generator().manual_seed(seed))


def measure(layer: nn.Module, x: Tensor, drawn: Projection | None) -> TaskGram:
    """Gram matrix of three losses of one layer; the second is correlated with the first."""
    z = layer(x)
    c = torch.randn(2, *z.shape, generator=torch.Generator().manual_seed(1), dtype=z.dtype)
    losses = [(c[0] * z).sum(), ((c[0] + c[1]) * z).sum(), (z**2).sum()]
    parameters = {f"layer.{name}": p for name, p in layer.named_parameters()}
    return task_gram(losses, parameters, projection=drawn)


@pytest.mark.parametrize("case", CASES)
@readable
def test_estimates_are_unbiased_and_their_errors_are_as_told(case: str) -> None:
    torch.manual_seed(0)
    layer, x = (part.double() for part in CASES[case]())
    exact = measure(layer, x, None)
    assert exact.standard_error is None
    draws = [measure(layer, x, projection(seed)) for seed in range(400)]
    grams = torch.stack([found.gram[0] for found in draws])
    errors = torch.stack([found.standard_error[0] for found in draws])
    off = grams - exact.gram[0]
    scatter = grams.std(0)
    assert (off.mean(0).abs() < 4 * scatter / 20).all()
    assert torch.allclose((errors**2).mean(0).sqrt(), scatter, rtol=0.07)
    covered = (off.abs() <= 2.131 * errors).double().mean(0)  # t with 15 degrees, 95 %
    assert ((covered > 0.905) & (covered < 0.975)).all()  # 91 to 97 %, as docs/gradients.md says


@readable
def test_no_weight_gradient_is_computed_and_the_rest_is_exact() -> None:
    torch.manual_seed(0)
    model = nn.ModuleDict({"a": nn.Conv2d(8, 12, 3), "b": nn.Conv2d(6, 6, 3, groups=3)})
    model = model.double()
    x = torch.randn(6, 8, 12, 12, dtype=torch.float64)
    parameters = dict(model.named_parameters())
    z = model["a"](x)
    w = model["b"](x[:, :6])
    losses = [(z.sin()).sum() + w.sin().sum(), z.cos().sum() * w.exp().mean()]
    exact = task_gram(losses, parameters)
    found = task_gram(losses, parameters, projection=projection(0))
    assert torch.equal(found.gram[1], exact.gram[1])  # grouped: by its gradients
    assert found.standard_error[1].eq(0).all()
    assert found.standard_error[0].gt(0).all()
    bias = task_gram(losses, {"a.bias": parameters["a.bias"]})
    weight = task_gram(losses, {"a.weight": parameters["a.weight"]}, projection=projection(0))
    assert torch.allclose(found.gram[0], weight.gram[0] + bias.gram[0], rtol=1e-10)
    assert weight.from_gradients == ()


@readable
def test_training_gram_divides_errors_by_weights_too() -> None:
    layer, x = (part.double() for part in CASES["linear"]())
    model = nn.Sequential(layer)
    parameters = dict(model.named_parameters())
    weights = [0.5, -2.0, 1.0]
    meter = TrainingGram(model, parameters)
    for _ in range(2):  # all tasks pulled back, then one derived
        z = model(x)
        losses = [z.sin().sum(), z.cos().sum(), (z**2).sum()]
        plain = task_gram(losses, parameters, projection=projection(3))
        watch = meter.start(losses, weights, projection=projection(3))
        with watch:
            sum(w * loss for w, loss in zip(weights, losses, strict=True)).backward()
        found = watch.sums.result()
        assert torch.allclose(found.gram, plain.gram, rtol=1e-9)
        assert torch.allclose(found.standard_error, plain.standard_error, rtol=1e-9)


@readable
def test_probe_stores_the_standard_error_and_says_how(tmp_path: Path) -> None:
    torch.manual_seed(0)
    trunk = nn.Sequential(
        nn.Conv2d(8, 48, 3), nn.ReLU(), nn.Conv2d(48, 48, 3), nn.AdaptiveMaxPool2d(1), nn.Flatten()
    )
    model = nn.ModuleDict({"trunk": trunk, "a": nn.Linear(48, 2), "b": nn.Linear(48, 2)})
    x = torch.randn(10, 8, 12, 12)
    optimizer = torch.optim.SGD(model.parameters(), 0.0)
    grams = {}
    for method in ("exact", "projected"):
        with Recorder(
            tmp_path / f"{method}.h5",
            model,
            tasks=["a", "b"],
            shared=trunk,
            optimizer=optimizer,
            probes=[probes.TaskGradients(method=method, seed=5)],
        ) as recorder:
            for _ in range(3):
                z = trunk(x)
                recorder.backward({"a": model["a"](z).exp().mean(), "b": model["b"](z).var()})
                optimizer.step()
                optimizer.zero_grad()
        run = Trajectory(tmp_path / f"{method}.h5")
        grams[method] = run.table("gradients")
        assert grams[method].attributes["method"] == method
    exact, projected = grams["exact"], grams["projected"]
    assert "gram_se" not in exact
    assert projected.attributes["size"] == 32
    assert projected.attributes["seed"] == 5
    error, off = projected["gram_se"], abs(projected["gram"] - exact["gram"])
    assert (error > 0).all()
    assert (off < 6 * error).all()
    assert off[1, 0, 0, 0] != off[2, 0, 0, 0]  # other signs at each step


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"method": "sketched"}, "use 'exact' or 'projected'"),
        ({"method": "projected", "size": 1}, "give a whole number from 2 on"),
        ({"method": "projected", "scope": "representation"}, "leave method= out"),
    ],
)
def test_wrong_options_are_one_sentence(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(TrajlabError, match=sentence):
        probes.TaskGradients(**options)
