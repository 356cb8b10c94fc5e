"""The probe of task gradients: its layers, its scopes, and other probes beside it."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.models import TwoHeads
from tests.record.loops import batches, losses, recorder
from trajlab import Recorder, TrajlabError, probes
from trajlab.measure.gram.task_gram import task_gram
from trajlab.store import Trajectory


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ({"method": "sketched"}, "is unknown"),
        ({"scope": "heads"}, "is unknown"),
        ({"scope": "representation", "layers": ["trunk.0"]}, "has no layers"),
    ],
)
def test_options_that_do_not_exist_are_refused(option: dict[str, Any], sentence: str) -> None:
    with pytest.raises(TrajlabError, match=sentence):
        probes.TaskGradients(**option)


def test_chosen_layers_have_no_total(path: Path, model: TwoHeads) -> None:
    every = probes.TaskGradients()
    with recorder(path, model, shared=model.trunk, probes=[every]) as r:
        for batch in batches(3):
            r.backward(losses(model, batch))
    chosen = path.with_name("chosen.h5")
    upper = probes.TaskGradients(layers=["trunk.2"])
    with recorder(chosen, model, shared=model.trunk, probes=[upper]) as r:
        for batch in batches(3):
            r.backward(losses(model, batch))
    table, part = Trajectory(path).table("gradients"), Trajectory(chosen).table("gradients")
    assert table.attributes["complete"]
    assert not part.attributes["complete"]
    assert part["layer"].tolist() == ["trunk.2"]
    assert np.allclose(part["gram"][:, 0], table["gram"][:, 1], rtol=1e-4)
    unknown = probes.TaskGradients(layers=["head"])
    with pytest.raises(TrajlabError, match=r"'head' owns no parameter in scope 'parameters'"):
        recorder(path.with_name("no.h5"), model, shared=model.trunk, probes=[unknown])


def test_representation_has_its_own_table(path: Path, model: TwoHeads) -> None:
    probe = probes.TaskGradients(scope="representation")
    with recorder(path, model, shared=model.trunk, probes=[probe]) as r:
        values = losses(model, batches(1)[0])
        r.backward(values)
    run = Trajectory(path)
    assert run.table("representation_gradients")["gram"].shape == (1, 2, 2)
    assert "gradients" not in run.tables


def test_two_probes_do_not_disturb_each_other(path: Path, model: TwoHeads) -> None:
    both = [probes.TaskGradients(), probes.HessianTop(1)]
    with recorder(path, model, shared=model.trunk, probes=both) as r:
        for batch in batches(3):
            values = losses(model, batch)
            expected = task_gram(list(values.values()), dict(r._loop.shared.parameters)).gram.sum(0)
            r.backward(values)
    assert np.allclose(Trajectory(path).gram()[-1], expected, rtol=1e-4)


@pytest.mark.parametrize("passes", [1, 2])
@pytest.mark.parametrize("layers", [None, ["trunk.0", "left"]])
def test_all_parameters_are_in_scope_if_asked_for(
    path: Path, model: TwoHeads, passes: int, layers: list[str] | None
) -> None:
    model.double()
    model.right.weight.requires_grad_(False)
    probe = probes.TaskGradients(scope="all", layers=layers)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    chosen = [
        p
        for name, p in model.named_parameters()
        if p.requires_grad and (layers is None or name.rpartition(".")[0] in layers)
    ]
    expected = []
    with recorder(path, model, shared=model.trunk, optimizer=optimizer, probes=[probe]) as r:
        for _ in range(3):
            rows: Tensor | float = 0.0
            for x, y in batches(passes):
                values = losses(model, (x.double(), y))
                rows = rows + jacobian(list(values.values()), chosen) / passes
                r.backward(values, accumulate=passes)
            expected.append(rows @ rows.T)
            optimizer.step()
            optimizer.zero_grad()
    table = Trajectory(path).table("all_gradients")
    assert table.attributes["scope"] == "all"
    assert table.attributes["complete"] == (layers is None)
    assert table["layer"].tolist() == (layers or ["trunk.0", "trunk.2", "left", "right"])
    assert np.allclose(table["gram"].sum(1), torch.stack(expected).detach(), rtol=1e-10, atol=0)
    assert "gradients" not in Trajectory(path).tables


@pytest.mark.parametrize(
    "scopes", list(itertools.permutations(["parameters", "representation", "all"]))
)
def test_gradients_of_all_scopes_are_recorded_together(
    scopes: tuple[str, ...], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    trunk = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 4), nn.Tanh())
    heads = [nn.Linear(4, 1) for _ in range(2)]
    model = nn.ModuleDict({"trunk": trunk, "heads": nn.ModuleList(heads)})
    both = [probes.TaskGradients(scope=scope) for scope in scopes]
    x = torch.randn(2, 3)  # of few rows, so that products go by their output gradients
    path = tmp_path / "run.h5"
    with Recorder(path, model, tasks=["a", "b"], shared=trunk, probes=both) as recorder:
        for _ in range(3):
            z = trunk(x)
            losses = [heads[0](z).pow(2).mean(), heads[1](z).exp().mean()]
            at_z = jacobian(losses, [z])
            at_weights = jacobian(losses, list(trunk.parameters()))
            at_all = jacobian(losses, list(model.parameters()))
            recorder.backward(dict(zip("ab", losses, strict=True)))
    run = Trajectory(path)
    found = torch.as_tensor(run.table("representation_gradients")["gram"])
    assert torch.allclose(found[-1], at_z @ at_z.T, rtol=1e-5)
    assert torch.allclose(torch.as_tensor(run.gram()[-1]), at_weights @ at_weights.T, rtol=1e-5)
    found = torch.as_tensor(run.table("all_gradients")["gram"]).sum(1)
    assert torch.allclose(found[-1], at_all @ at_all.T, rtol=1e-5)


def jacobian(losses: list[Tensor], tensors: list[Tensor]) -> Tensor:
    rows = [
        torch.autograd.grad(loss, tensors, None, True, allow_unused=True, materialize_grads=True)
        for loss in losses
    ]
    return torch.stack([torch.cat([g.flatten() for g in row]) for row in rows]).double()
