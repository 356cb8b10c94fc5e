"""Autocast and loss scaling."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.models import TwoHeads
from tests.record.loops import (
    batches,
    joined,
    losses,
    recorder,
    recorder_of,
    same,
    total,
    true_gram,
)
from trajlab import probes
from trajlab.store import Trajectory


def scaler(**arguments: Any) -> torch.amp.GradScaler:
    return torch.amp.GradScaler("cpu", **({"init_scale": 2.0**10} | arguments))


@pytest.mark.parametrize("passes", [1, 2])
def test_bf16_autocast(tmp_path: Path, passes: int) -> None:
    models = TwoHeads(64), TwoHeads(64)
    optimizers = [torch.optim.SGD(m.parameters(), 0.3) for m in models]
    parts = batches(4, 32)
    with recorder_of(tmp_path / "run.h5", models[0], optimizers[0], probes.TaskGradients()) as r:
        for i, batch in enumerate(parts):
            for model, optimizer in zip(models, optimizers, strict=True):
                with torch.autocast("cpu", torch.bfloat16):
                    values = losses(model, batch)
                if model is models[0]:
                    r.backward(values, accumulate=passes)
                else:
                    (total(values) / passes).backward()
                if i % passes == passes - 1:
                    optimizer.step()
                    optimizer.zero_grad()
    assert same(*models)
    found = Trajectory(tmp_path / "run.h5").gram()[0]
    true = true_gram(TwoHeads(64), joined(parts[:passes]))
    assert np.allclose(found, true, rtol=0.03, atol=0.01 * float(true.max()))


@pytest.mark.parametrize("passes", [1, 2])
def test_scaled_losses_are_recorded_unscaled(tmp_path: Path, passes: int) -> None:
    models = TwoHeads(), TwoHeads()
    optimizers = [torch.optim.SGD(m.parameters(), 0.3) for m in models]
    scalers = [scaler(growth_interval=1) for _ in models]
    parts = batches(4)
    with recorder_of(
        tmp_path / "run.h5", models[0], optimizers[0], probes.TaskGradients(), scaler=scalers[0]
    ) as r:
        for i, batch in enumerate(parts):
            r.backward(losses(models[0], batch), accumulate=passes)
            scalers[1].scale(total(losses(models[1], batch)) / passes).backward()
            if i % passes == passes - 1:
                for optimizer, s in zip(optimizers, scalers, strict=True):
                    s.step(optimizer)
                    s.update()
                    optimizer.zero_grad()
    assert same(*models)
    run = Trajectory(tmp_path / "run.h5")
    true = true_gram(TwoHeads(), joined(parts[:passes]))
    assert np.allclose(run.gram()[0], true, rtol=1e-5)
    table = run.table("losses")
    expected = [loss.item() for loss in losses(TwoHeads(), parts[0]).values()]
    assert table["loss"][0] == pytest.approx(expected, rel=1e-6)
    assert table["loss_scale"].tolist() == [2.0 ** (10 + i // passes) for i in range(4)]
    assert not table["skipped"].any()
    assert table.column_attributes("loss_scale")["description"]


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("passes", [1, 2])
def test_overflowed_update_is_marked_and_measured_again(
    tmp_path: Path, passes: int, fused: bool
) -> None:
    model = TwoHeads()
    optimizer = torch.optim.SGD(model.parameters(), 0.3, fused=fused)
    s = scaler()
    good, bad = batches(2 * passes), (torch.full((8, 6), 1e38), batches(1)[0][1])
    attempts = [good[:passes], [bad] * passes, good[passes:], [bad] * passes]
    with recorder_of(
        tmp_path / "run.h5",
        model,
        optimizer,
        probes.TaskGradients(update=True),
        scaler=s,
    ) as r:
        for attempt in attempts:
            before = [p.clone() for p in model.parameters()]
            for batch in attempt:
                values = losses(model, batch)
                if batch is bad:
                    values = {task: loss * 1e38 for task, loss in values.items()}
                r.backward(values, accumulate=passes)
            s.step(optimizer)
            s.update()
            optimizer.zero_grad()
            unchanged = all(map(torch.equal, before, model.parameters()))
            assert unchanged == (batch is bad)
        assert r.step == 2
    run = Trajectory(tmp_path / "run.h5")
    table = run.table("losses")
    each = [(0, False), (1, True), (1, False), (2, True)]
    assert table["step"].tolist() == [step for step, _ in each for _ in range(passes)]
    assert table["skipped"].tolist() == [skipped for _, skipped in each for _ in range(passes)]
    gradients = run.table("gradients")
    assert gradients["step"].tolist() == [0, 1]
    assert np.isfinite(gradients["gram"]).all()
    gram, dots = run.gram(), gradients["update_dot"]
    assert np.allclose(dots, gram.sum(2), rtol=1e-5)  # the update is the unscaled sum


def test_scaler_that_is_off_adds_nothing(tmp_path: Path) -> None:
    model = TwoHeads()
    with recorder_of(
        tmp_path / "run.h5", model, None, probes.TaskGradients(), scaler=scaler(enabled=False)
    ) as r:
        r.backward(losses(model, batches(1)[0]))
    assert "loss_scale" not in Trajectory(tmp_path / "run.h5").table("losses")


@pytest.mark.parametrize("method", ["exact", "projected"])
def test_autocast_around_the_backward_lowers_no_precision(tmp_path: Path, method: str) -> None:
    """The heads multiply elementwise, so that autograd itself loses nothing under autocast."""
    grams = []
    for autocast in (False, True):
        torch.manual_seed(0)
        layer, x = torch.nn.Linear(6, 32), torch.randn(16, 6)
        path = tmp_path / f"{autocast}.h5"
        chosen = probes.TaskGradients(method=method)
        with recorder(path, layer, shared=layer, probes=[chosen]) as r:
            z = layer(x)
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                r.backward({"left": z.square().sum(), "right": z.sin().sum()})
        grams.append(Trajectory(path).gram())
    assert np.allclose(*grams, rtol=1e-6)


@pytest.mark.parametrize("observed", [False, True])
@pytest.mark.parametrize("passes", [1, 2])
def test_no_number_of_a_gradient_holds_the_scale(
    tmp_path: Path, passes: int, observed: bool
) -> None:
    """A power of two changes no digit, so the tables are the same but for the scale itself."""
    chosen: list[list[Any]] = [
        [probes.TaskGradients(method="projected", size=2), probes.GradientSketch(1, size=16)],
        [probes.TaskGradients(scope="representation")],
        [probes.TaskGradients()],
    ]
    for number, made in enumerate(chosen):
        tables = []
        for scaled in (False, True):
            model = TwoHeads(64)
            path = tmp_path / f"{number}-{scaled}.h5"
            own = scaler() if scaled else None
            with recorder_of(path, model, None, *made, scaler=own) as r:
                for batch in batches(2, size=64):
                    record = r.observe if observed else r.backward
                    record(losses(model, batch), accumulate=passes)
            run = Trajectory(path)
            tables.append({name: run.table(name) for name in run.tables if name != "losses"})
        plain, other = tables
        assert len(plain) == len(made)
        if number == 0 and passes == 1:
            assert plain["gradients"]["gram_se"].max() > 0  # or no error would hold a scale
        for name, table in plain.items():
            for column in {*table} - {"step", "layer", "task", "other_task"}:
                values = table[column]
                assert np.isfinite(values).all()
                np.testing.assert_allclose(other[name][column], values, rtol=1e-5, atol=1e-9)
