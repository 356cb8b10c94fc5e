"""Recording beside ``torch.compile``: outside the graph, without recompiling or breaking it."""

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.models import TwoHeads
from tests.record.loops import TASKS, batches, losses, same, total, true_gram
from trajlab import Recorder, TrajlabError, probes
from trajlab.record.loop.wrappers import unwrap
from trajlab.store import Trajectory


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.parametrize("given", ["compiled", "original", "in place", "later", "a part"])
def test_steps_are_recorded_without_recompiling_or_breaking_the_graph(
    tmp_path: Path, given: str
) -> None:
    recorded, plain = TwoHeads(), TwoHeads()
    called: nn.Module = recorded
    beside: nn.Module = plain
    if given == "in place":
        recorded.compile(backend="aot_eager")
    elif given == "a part":
        for model in (recorded, plain):
            model.trunk[0] = torch.compile(model.trunk[0], backend="aot_eager", fullgraph=True)
    elif given != "later":
        called = torch.compile(recorded, backend="aot_eager", fullgraph=True)
    if given != "a part":
        beside = torch.compile(plain, backend="aot_eager", fullgraph=True)
    optimizers = [torch.optim.SGD(m.parameters(), 0.3) for m in (recorded, plain)]
    true, graphs = [], set()
    torch._dynamo.utils.counters.clear()
    with Recorder(
        tmp_path / "run.h5",
        called if given == "compiled" else recorded,
        tasks=TASKS,
        shared=recorded.trunk,
        optimizer=optimizers[0],
        probes=[probes.TaskGradients(every=2)],
    ) as recorder:
        if given == "later":
            called = torch.compile(recorded, backend="aot_eager", fullgraph=True)
        for step, batch in enumerate(batches(6)):
            if step % 2 == 0:
                true.append(true_gram(plain, batch))
            recorder.backward(losses(called, batch))
            total(losses(beside, batch)).backward()
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad()
            graphs.add(torch._dynamo.utils.counters["stats"]["unique_graphs"])
    assert same(recorded, plain)
    assert len(graphs) == 1  # all were made at the first step
    assert not torch._dynamo.utils.counters["graph_break"]
    assert np.allclose(Trajectory(tmp_path / "run.h5").gram(), np.stack(true), rtol=1e-4)


def test_shared_parameters_cannot_be_found_in_a_compiled_graph(tmp_path: Path) -> None:
    model = TwoHeads()
    compiled = torch.compile(model, backend="aot_eager")
    with pytest.raises(TrajlabError, match=r"the model is compiled.*pass shared="):
        Recorder(tmp_path / "a.h5", compiled, tasks=TASKS)
    with (
        Recorder(tmp_path / "b.h5", model, tasks=TASKS) as recorder,
        pytest.raises(TrajlabError, match=r"compiled graph.*pass shared="),
    ):
        recorder.backward(losses(compiled, batches(1)[0]))


def test_curvature_of_a_compiled_graph_is_refused(tmp_path: Path) -> None:
    model = TwoHeads()
    model.trunk.compile(backend="aot_eager")
    with pytest.raises(TrajlabError, match=r"submodule trunk is compiled, and HessianTop cannot"):
        Recorder(
            tmp_path / "run.h5",
            model,
            tasks=TASKS,
            shared=model.trunk,
            probes=[probes.HessianTop()],
        )


@pytest.mark.parametrize("passes", [1, 2])
def test_graph_that_cannot_be_walked_twice_costs_the_row_and_a_sentence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, passes: int
) -> None:
    models = TwoHeads(), TwoHeads()
    for model in models:
        model.trunk.append(nn.Sequential(nn.GELU(), nn.LayerNorm(8)))
        model.compile(backend="aot_eager")
    optimizers = [torch.optim.SGD(m.parameters(), 0.3) for m in models]
    with (
        caplog.at_level(logging.WARNING, "trajlab"),
        Recorder(
            tmp_path / "run.h5",
            models[0],
            tasks=TASKS,
            shared=models[0].trunk,
            optimizer=optimizers[0],
            probes=[probes.TaskGradients(every=[1, 2])],
        ) as recorder,
    ):
        for batch in batches(4):
            recorder.backward(losses(models[0], batch), accumulate=passes)
            (total(losses(models[1], batch)) / passes).backward()
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad()
    assert same(*models)
    run = Trajectory(tmp_path / "run.h5")
    assert run.table("gradients")["step"].tolist() == [1, 2]
    assert np.isnan(run.gram()).all()
    assert np.isfinite(run.table("losses")["loss"]).all()
    (said,) = [r.message for r in caplog.records]
    assert "set torch._functorch.config.donated_buffer = False before" in said


def test_the_model_is_found_under_every_wrapper() -> None:
    torch.distributed.init_process_group(
        "gloo", store=torch.distributed.HashStore(), rank=0, world_size=1
    )
    try:
        model = TwoHeads()
        compiled = torch.compile(model, backend="eager")
        parallel = nn.parallel.DistributedDataParallel(model)
        assert unwrap(model) is unwrap(compiled) is unwrap(parallel) is model
        assert unwrap(torch.compile(parallel, backend="eager")) is model
        assert unwrap(nn.parallel.DistributedDataParallel(compiled)) is model
    finally:
        torch.distributed.destroy_process_group()
