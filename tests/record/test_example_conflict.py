"""The probe of conflict between examples, and its table in the analysis of conflict."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt

from tests.models import TwoHeads
from trajlab import Recorder, TrajlabError, load, probes
from trajlab.analysis import conflict
from trajlab.measure.examples.conflict import example_gradients
from trajlab.report.figures import draw

from .test_sampled_probes import TASKS, batches, trunk


def task_losses(model: TwoHeads, batch: Any) -> dict[str, Any]:
    left, right = model(batch[0])
    return {"left": left[:, 0].square(), "right": (right[:, 0] - 1).square()}


def record(path: Path, probe: probes.Probe, seed: int) -> None:
    torch.manual_seed(seed)
    model = TwoHeads(4, trunk, (3, 1)).double()
    model.trunk[0].weight.data *= 1 + seed
    with Recorder(
        path,
        model,
        tasks=TASKS,
        shared=model.trunk,
        probes=[probe, probes.TaskGradients(every=1)],
        task_losses=task_losses,
        metadata={"setting": "s", "method": "uniform", "seed": seed},
    ) as recorder:
        left, right = model(torch.randn(8, 3).double())
        recorder.backward({"left": left.pow(2).mean(), "right": right.pow(2).mean()})
    if seed == 0:
        model.eval()
        parameters = dict(model.trunk.named_parameters())
        losses = [task_losses(model, batch) for batch in batches()]
        rows = [
            torch.cat([example_gradients(own[task], parameters) for own in losses])
            for task in TASKS
        ]
        unit = [r / r.norm(dim=1, keepdim=True) for r in rows]
        cosines = unit[0] @ unit[1].T
        (run,) = load(path)
        table = run.table("example_conflict")
        off = ~np.eye(len(cosines), dtype=bool)
        assert table["cosine"][0, 0, 0, 1] == pytest.approx(float(cosines[off].mean()))
        assert table["same_cosine"][0, 0, 0, 1] == pytest.approx(float(cosines.diag().mean()))
        assert np.isnan(table["same_cosine"][0, 0, 0, 0])
        assert list(table["size"]) == [1, 4]


def test_the_table_and_its_figure(tmp_path: Path) -> None:
    for seed in range(2):
        probe = probes.ExampleConflict(every=1, data=batches(), sizes=(1, 4))
        record(tmp_path / f"{seed}.h5", probe, seed)
    runs = load(tmp_path)
    found = conflict(runs)
    rows = found.examples.set_index(["size", "between"])
    assert {*rows.index} == {
        (size, between)
        for size in (1, 4)
        for between in ("examples of a task", "tasks", "tasks, same examples")
    }
    own = [run.table("example_conflict")["cosine"][:, 0] for run in runs]
    expected = np.mean([np.mean([v[:, 0, 0], v[:, 1, 1]]) for v in own])
    assert rows.loc[(1, "examples of a task"), "cosine"] == pytest.approx(expected)
    low, high = (rows.loc[(1, "tasks"), f"cosine_{end}"] for end in ("low", "high"))
    assert low < rows.loc[(1, "tasks"), "cosine"] < high
    shown = [ax for ax in draw("conflict", found).axes if ax.get_visible()]
    assert [ax.get_xlabel() for ax in shown] == ["step", "examples in a gradient"]
    plt.close("all")


def test_batch_statistics_are_refused(tmp_path: Path) -> None:
    def plain(width: int) -> torch.nn.Module:
        return torch.nn.Sequential(
            torch.nn.Linear(3, width), torch.nn.BatchNorm1d(width, track_running_stats=False)
        )

    model = TwoHeads(4, plain, (3, 1)).double()
    probe = probes.ExampleConflict(every=1, data=batches())
    arguments: dict[str, Any] = {"tasks": TASKS, "shared": model.trunk, "strict": True}
    with Recorder(
        tmp_path / "run.h5", model, probes=[probe], task_losses=task_losses, **arguments
    ) as recorder:
        left, right = model(torch.randn(8, 3).double())
        losses = {"left": left.pow(2).mean(), "right": right.pow(2).mean()}
        with pytest.raises(TrajlabError, match="normalises over the batch"):
            recorder.backward(losses)
