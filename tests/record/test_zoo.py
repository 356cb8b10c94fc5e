"""Every architecture: the recorded Gram matrices are right, and training goes as without."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.zoo import CASES, build, reference_gram
from trajlab import Recorder, probes
from trajlab.measure.gram import segments
from trajlab.measure.guard import guard
from trajlab.store import Trajectory

_STEPS = 3


def weights_of(tasks: int, kind: str) -> list[float | Tensor] | None:
    if kind == "none":
        return None
    values = torch.linspace(0.5, 2.0, tasks)
    return values.tolist() if kind == "numbers" else list(values.requires_grad_())


def train(
    name: str, dtype: torch.dtype, path: Path | None, kind: str = "none"
) -> tuple[nn.Module, Tensor | None, list[Tensor]]:
    """Train for some steps, with a recorder if there is a path; return model, Grams, reference."""
    model = build(name, dtype)
    optimizer = torch.optim.SGD(model.parameters(), 0.02, momentum=0.9)
    tasks = [f"task {t}" for t in range(len(model.heads))]
    recorder = path and Recorder(
        path,
        model,
        tasks=tasks,
        shared=model.shared().values(),
        optimizer=optimizer,
        probes=[probes.TaskGradients()],
    )
    torch.manual_seed(1)
    references = []
    for step in range(_STEPS):
        losses = model.losses(step)
        weights = weights_of(len(tasks), kind)
        if recorder:
            with guard(model):  # checkpointing runs layers again
                references.append(reference_gram(losses, list(model.shared().values())))
            named = None if weights is None else dict(zip(tasks, weights, strict=True))
            recorder.backward(dict(zip(tasks, losses, strict=True)), named)
        else:
            present = [t for t, loss in enumerate(losses) if loss is not None]
            total = 0
            for t in present:
                total = total + (losses[t] if weights is None else weights[t] * losses[t])
            total.backward()
        optimizer.step()
        optimizer.zero_grad()
    if not recorder:
        return model, None, []
    recorder.close()
    return model, torch.as_tensor(Trajectory(path).gram()), references


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["double", "single"])
@pytest.mark.parametrize("name", CASES)
def test_gram_is_exact_and_training_is_bit_identical(
    name: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    kind = ("none", "numbers", "tensors")[list(CASES).index(name) % 3]
    model, grams, references = train(name, dtype, tmp_path / "run.h5", kind)
    for found, expected in zip(grams, references, strict=True):
        assert_close(found, expected, 1e-10 if dtype == torch.float64 else 1e-4)
    plain, _, _ = train(name, dtype, None, kind)
    state, expected_state = model.state_dict(), plain.state_dict()
    assert state.keys() == expected_state.keys()
    for key, value in state.items():
        assert torch.equal(value, expected_state[key]), key


@pytest.mark.parametrize("name", CASES)
def test_gram_is_exact_where_the_graph_is_split_finely(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "_LARGE", 0)
    model, grams, references = train(name, torch.float64, tmp_path / "run.h5")
    for found, expected in zip(grams, references, strict=True):
        assert_close(found, expected, 1e-10)
    plain, _, _ = train(name, torch.float64, None)
    assert all(torch.equal(a, b) for a, b in zip(*map(parameters, (model, plain)), strict=True))


def parameters(model: nn.Module) -> list[nn.Parameter]:
    return list(model.parameters())


def assert_close(found: Tensor, expected: Tensor, tolerance: float) -> None:
    """Compare on the scale of the largest diagonal entry.

    A row may be NaN where the derived task's gradient has suddenly become negligible.
    """
    scale = expected.diagonal().nan_to_num().max()
    lost = found.isnan() & ~expected.isnan()
    task = lost.diagonal().nonzero()
    assert len(task) <= 1
    if len(task):
        assert expected[task, task] <= 1e-7 * scale
        assert lost.sum() <= 2 * len(lost) - 1
    agree = (
        lost | (found.isnan() & expected.isnan()) | ((found - expected).abs() < tolerance * scale)
    )
    assert agree.all(), (found - expected).abs().nan_to_num().max() / scale
