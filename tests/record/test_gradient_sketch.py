"""Sketches of an update that several passes make, against that of its whole batch."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.models import TwoHeads
from tests.record.loops import TASKS, Batch, batches, joined, losses, true_gradients
from trajlab import Recorder, probes
from trajlab.measure.sums.sketch import Sketch
from trajlab.store import Trajectory

SIZE = 64


def recorder(path: Path, model: TwoHeads, **arguments: object) -> Recorder:
    probe = probes.GradientSketch(every=1, size=SIZE, seed=3)
    return Recorder(path, model, tasks=TASKS, shared=model.trunk, probes=[probe], **arguments)


def true_sketches(model: TwoHeads, batch: Batch) -> torch.Tensor:
    """Sketches of the float64 gradients, shape (task, SIZE)."""
    trunk = {n: p for n, p in model.named_parameters() if n.startswith("trunk.")}
    sketch = Sketch(trunk, size=SIZE, seed=3)
    sizes = [p.numel() for p in trunk.values()]
    return torch.stack(
        [
            sketch({n: g.view_as(trunk[n]) for n, g in zip(trunk, row.split(sizes), strict=True)})
            for row in true_gradients(model, batch)
        ]
    )


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("passes", [1, 2, 3, 4])
def test_micro_batches_make_the_sketch_of_the_whole_batch(
    tmp_path: Path, passes: int, scaled: bool
) -> None:
    model = TwoHeads()
    optimizer = torch.optim.SGD(model.parameters(), 0.3)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10) if scaled else None
    expected, norms, weights = [], [], []
    parts = batches(2 * passes)
    with recorder(tmp_path / "run.h5", model, optimizer=optimizer, scaler=scaler) as r:
        for step in range(2):
            micro = parts[step * passes : (step + 1) * passes]
            expected.append(true_sketches(model, joined(micro)))
            norms.append(true_gradients(model, joined(micro)).norm(dim=1))
            weights.append(torch.cat([p.detach().flatten() for p in model.trunk.parameters()]))
            for batch in micro:
                r.backward(losses(model, batch), accumulate=passes)
            if scaler is None:
                optimizer.step()
            else:
                scaler.step(optimizer)
                scaler.update()
            optimizer.zero_grad()
    table = Trajectory(tmp_path / "run.h5").table("sketches")
    assert table["step"].tolist() == [0, 1]
    assert np.allclose(table["sketch"], torch.stack(expected), rtol=1e-4, atol=1e-6)
    assert np.allclose(table["weights_norm"], torch.stack(weights).norm(dim=1))
    if passes == 1:
        assert np.allclose(table["norm"], torch.stack(norms), rtol=1e-5)
        assert (table["norm_se"] == 0).all()
    else:
        assert np.allclose(table["norm"], torch.stack(expected).norm(dim=2), rtol=1e-5)
        assert np.allclose(table["norm_se"], table["norm"] / (2 * SIZE) ** 0.5)
        assert (np.abs(table["norm"] - torch.stack(norms).numpy()) < 4 * table["norm_se"]).all()


def test_task_that_some_micro_batches_lack_counts_as_zero_there(tmp_path: Path) -> None:
    model = TwoHeads()
    first, second = batches(2)
    with recorder(tmp_path / "run.h5", model) as r:
        r.backward(losses(model, first), accumulate=2)
        r.backward({"left": losses(model, second)["left"]}, accumulate=2)
        r.backward({"left": losses(model, first)["left"]}, accumulate=2)
        r.backward({"left": losses(model, second)["left"]}, accumulate=2)
    sketch = Trajectory(tmp_path / "run.h5").table("sketches")["sketch"]
    left = true_sketches(model, joined([first, second]))[0]
    assert np.allclose(sketch[:, 0], left, rtol=1e-4, atol=1e-6)
    assert np.allclose(sketch[0, 1], true_sketches(model, first)[1] / 2, rtol=1e-4, atol=1e-6)
    assert np.isnan(sketch[1, 1]).all()
