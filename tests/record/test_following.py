"""Shared parameters that are frozen, unfrozen, added and replaced while they are recorded."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from tests.models import TwoHeads
from tests.record.loops import TASKS, batches, losses, recorder_of
from tests.runs import write
from trajlab import Recorder, TrajlabError, probes
from trajlab.record.loop.following import CHANGES as MARKS
from trajlab.record.loop.following import shared_at
from trajlab.store import Trajectory

STEPS = 4  # and the model changes before the pass of step 2


class Adapter(nn.Module):
    """A layer with a low-rank one beside it, as adapters are put into a model."""

    def __init__(self, inner: nn.Linear) -> None:
        super().__init__()
        self.inner = inner.requires_grad_(False)
        self.up = nn.Linear(inner.in_features, 2, bias=False).double()
        self.down = nn.Linear(2, inner.out_features, bias=False).double()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x) + self.down(self.up(x))


def unfreeze(model: nn.Module) -> None:
    model.trunk[0].requires_grad_(True)


def freeze(model: nn.Module) -> None:
    model.trunk[2].requires_grad_(False)


def replace(model: nn.Module) -> None:
    state = {name: value + 0.1 for name, value in model.state_dict().items()}
    model.load_state_dict(state, assign=True)


def add(model: nn.Module) -> None:
    model.trunk.append(nn.Linear(8, 8).double())


def new_parameter(model: nn.Module) -> None:
    model.trunk[0].bias = nn.Parameter(torch.ones(8, dtype=torch.float64))


def adapt(model: nn.Module) -> None:
    model.trunk[2] = Adapter(model.trunk[2])


def merge(model: nn.Module) -> None:
    model.trunk[2] = nn.Linear(8, 8).double()  # as where an adapter's product was added to it


def grow(model: nn.Module) -> None:
    model.trunk[0], model.trunk[2] = nn.Linear(6, 9).double(), nn.Linear(9, 8).double()


def normalise(model: nn.Module) -> None:
    nn.utils.parametrizations.weight_norm(model.trunk[0])


def mask(model: nn.Module) -> None:
    prune.random_unstructured(model.trunk[0], "weight", 0.5)


CHANGES: dict[str, tuple[Callable[[nn.Module], None], set[str], set[str]]] = {
    "unfrozen": (unfreeze, {"trunk.0.weight", "trunk.0.bias"}, set()),
    "frozen": (freeze, set(), {"trunk.2.weight", "trunk.2.bias"}),
    "replaced": (replace, set(), set()),
    "added": (add, {"trunk.4.weight", "trunk.4.bias"}, set()),
    "new parameter": (new_parameter, set(), set()),
    "adapted": (
        adapt,
        {"trunk.2.up.weight", "trunk.2.down.weight"},
        {"trunk.2.weight", "trunk.2.bias"},
    ),
    "merged": (merge, set(), set()),
    "grown": (grow, (shapes := {"trunk.0.weight", "trunk.0.bias", "trunk.2.weight"}), shapes),
    "normalised": (
        normalise,
        {f"trunk.0.parametrizations.weight.original{part}" for part in (0, 1)},
        {"trunk.0.weight"},
    ),
    "pruned": (mask, {"trunk.0.weight_orig"}, {"trunk.0.weight"}),
}


def gram_by_layer(model: nn.Module, values: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Products of the gradients that autograd gives, by layer of the trunk."""
    found: dict[str, torch.Tensor] = {}
    for name, p in model.named_parameters():
        if name.startswith("trunk.") and p.requires_grad:
            rows = torch.stack(
                [torch.autograd.grad(v, p, retain_graph=True)[0].flatten() for v in values.values()]
            )
            layer = name.rpartition(".")[0]
            found[layer] = found.get(layer, 0.0) + rows @ rows.T
    return found


def record(path: Path, kind: str, shared: str, passes: int = 1) -> tuple[list[dict], nn.Module]:
    change, *_ = CHANGES[kind]
    model = TwoHeads().double()
    if kind == "unfrozen":
        model.trunk[0].requires_grad_(False)
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    given = {
        "module": model.trunk,
        "modules": nn.ModuleList([model.trunk]),
        "parameters": list(model.trunk.parameters()),
        "weights": [model.trunk[0].weight, model.trunk[2].weight],
        "graph": None,
    }
    true = []
    with Recorder(
        path,
        model,
        tasks=TASKS,
        shared=given[shared],
        optimizer=optimizer,
        probes=[
            probes.TaskGradients(),
            probes.GradientSketch(every=1, size=4096),
            probes.Parameters(by_layer=True),
        ],
        strict=True,
    ) as recorder:
        for step in range(STEPS):
            if step == 2:
                change(model)
                optimizer = torch.optim.SGD(model.parameters(), 0.05)
            for _ in range(passes):
                x, y = batches(step + 1)[-1]
                values = losses(model, (x.double(), y))
                if _ == 0:
                    true.append(gram_by_layer(model, values))
                recorder.backward(values, accumulate=passes)
            optimizer.step()
            optimizer.zero_grad()
    return true, model


@pytest.mark.parametrize(
    ("shared", "passes"),
    [("module", 1), ("module", 2), ("modules", 1), ("parameters", 1), ("graph", 1)],
)
@pytest.mark.parametrize("kind", CHANGES)
def test_what_is_shared_is_measured_by_name(
    tmp_path: Path, kind: str, shared: str, passes: int, caplog: pytest.LogCaptureFixture
) -> None:
    true, _ = record(tmp_path / "run.h5", kind, shared, passes)
    _, added, removed = CHANGES[kind]
    run = Trajectory(tmp_path / "run.h5")
    table = run.table("gradients")
    assert table["step"].tolist() == list(range(STEPS))
    for row, expected in zip(table["gram"], true, strict=True):
        for layer, products in zip(table["layer"], row, strict=True):
            zero = torch.zeros(2, 2, dtype=torch.float64)
            assert np.allclose(products, expected.get(layer, zero), rtol=1e-9, atol=0)
    total = np.stack([sum(layers.values()) for layers in true])
    assert np.allclose(run.gram(), total, rtol=1e-9)
    if added or removed:
        marks = run.table("shared_parameters")
        assert marks["step"].tolist() == [2]
        assert set(filter(None, marks["added"][0].split(", "))) == added
        assert set(filter(None, marks["removed"][0].split(", "))) == removed
        assert "other shared parameters from this step on" in caplog.text
        assert added <= set(run.shared)
    else:
        assert "shared_parameters" not in run.tables


def test_parameters_that_are_gone_are_told_with_the_remedy(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    record(tmp_path / "run.h5", "adapted", "weights")
    assert "gone trunk.2.weight; the table" in caplog.text
    assert "make a recorder with them as shared=" in caplog.text
    marks = Trajectory(tmp_path / "run.h5").table("shared_parameters")
    assert (marks["added"].tolist(), marks["removed"].tolist()) == ([""], ["trunk.2.weight"])


def test_distance_goes_on_from_where_a_layer_was_unfrozen(tmp_path: Path) -> None:
    record(tmp_path / "run.h5", "unfrozen", "module")
    table = Trajectory(tmp_path / "run.h5").table("parameters")
    assert np.isfinite(table["distance_from_start"]).all()
    # unfrozen at step 2, so its first update is seen at step 3
    place = table["layer"].tolist().index("trunk.0")
    moved = table["layer_distance_from_start"][:, place]
    assert np.isnan(moved[:2]).all()
    assert moved[2] == 0
    assert moved[3] > 0


def test_sketches_of_the_same_parameters_stay_comparable(tmp_path: Path) -> None:
    record(tmp_path / "a.h5", "unfrozen", "module")
    table = Trajectory(tmp_path / "a.h5").table("sketches")
    norms = np.linalg.norm(table["sketch"], axis=2)
    assert np.allclose(norms, table["norm"], rtol=0.1)


def test_resumed_run_takes_the_layers_in_the_order_of_the_file(tmp_path: Path) -> None:
    true, model = record(tmp_path / "run.h5", "unfrozen", "module")
    with Recorder(
        tmp_path / "run.h5",
        model,
        tasks=TASKS,
        shared=model.trunk,
        probes=[probes.TaskGradients()],
        resume=True,
    ) as recorder:
        x, y = batches(1)[0]
        values = losses(model, (x.double(), y))
        true.append(gram_by_layer(model, values))
        recorder.backward(values)
    table = Trajectory(tmp_path / "run.h5").table("gradients")
    assert table["layer"].tolist() == ["trunk.2", "trunk.0"]
    for place, layer in enumerate(table["layer"]):
        assert np.allclose(table["gram"][-1, place], true[-1][layer], rtol=1e-9)


def test_lazy_layers_are_measured_once_they_are_made(tmp_path: Path) -> None:
    trunk = nn.Sequential(nn.LazyLinear(4), nn.Tanh())
    model = nn.ModuleDict({"trunk": trunk, "a": nn.Linear(4, 1), "b": nn.Linear(4, 1)})
    with Recorder(
        tmp_path / "run.h5",
        model,
        tasks=["a", "b"],
        shared=trunk,
        probes=[probes.TaskGradients()],
        strict=True,
    ) as recorder:
        z = trunk(torch.randn(3, 5))
        values = {task: model[task](z).pow(2).mean() for task in "ab"}
        rows = [
            torch.cat(
                [
                    g.flatten()
                    for g in torch.autograd.grad(v, list(trunk.parameters()), retain_graph=True)
                ]
            )
            for v in values.values()
        ]
        true = torch.stack(rows) @ torch.stack(rows).T
        recorder.backward(values)
    assert np.allclose(Trajectory(tmp_path / "run.h5").gram()[0], true, rtol=1e-4)


def train(path: Path, model: nn.Module, change: dict[int, Callable[[nn.Module], None]]) -> None:
    """Train six steps without ``shared=`` a list, strict or not as the default is."""
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    chosen = probes.TaskGradients(), probes.GradientSketch(every=1, size=64), probes.Parameters()
    with recorder_of(path, model, optimizer, *chosen) as recorder:
        for step in range(6):
            change.get(step, lambda _: None)(model)
            recorder.backward(losses(model, batches(1)[0]))
            recorder.flush()
            optimizer.step()
            optimizer.zero_grad()


def rename(model: nn.Module) -> None:
    body = model.trunk
    del model.trunk
    model.body = body
    model.forward = lambda x: (model.left(model.body(x)), model.right(model.body(x)))


def test_training_goes_on_though_the_shared_module_is_gone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train(tmp_path / "run.h5", TwoHeads(), {2: rename})
    run = Trajectory(tmp_path / "run.h5")
    assert run.table("losses")["step"].tolist() == list(range(6))
    for name, column in (
        ("gradients", "gram"),
        ("sketches", "sketch"),
        ("parameters", "distance_from_start"),
    ):
        table = run.table(name)
        assert table["step"].tolist() == list(range(6))
        assert np.isfinite(table[column][:2]).all()
        assert np.isnan(table[column][2:]).all()
        assert all(table["reason"][2:])
    assert sum("gone trunk.0.weight" in message for message in caplog.messages) == 1


def test_what_is_all_frozen_is_a_reason_until_it_is_not(tmp_path: Path) -> None:
    change = {2: lambda m: m.trunk.requires_grad_(False), 4: lambda m: m.trunk.requires_grad_(True)}
    train(tmp_path / "run.h5", TwoHeads(), change)
    run = Trajectory(tmp_path / "run.h5")
    for name, column in (("gradients", "gram"), ("sketches", "sketch")):
        table = run.table(name)
        assert table["step"].tolist() == list(range(6))
        missing = np.isnan(table[column]).reshape(6, -1)
        assert (
            missing.all(1).tolist()
            == missing.any(1).tolist()
            == [False, False, True, True] + [False] * 2
        )
        assert "all are frozen" in table["reason"][2]
    assert np.isfinite(run.table("parameters")["distance_from_start"]).all()


def test_turns_are_marked_each_time_and_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    change = {s: lambda m, on=s % 2 == 0: m.trunk[0].requires_grad_(on) for s in range(1, 6)}
    train(tmp_path / "run.h5", TwoHeads(), change)
    marks = Trajectory(tmp_path / "run.h5").table("shared_parameters")
    assert marks["step"].tolist() == [1, 2, 3, 4, 5]
    assert len([m for m in caplog.messages if "other shared parameters" in m]) == 2


def test_found_parameters_are_known_by_name_where_a_batch_does_not_tell(tmp_path: Path) -> None:
    model = TwoHeads().double()
    with Recorder(
        tmp_path / "run.h5", model, tasks=TASKS, probes=[probes.TaskGradients()], strict=True
    ) as recorder:
        x, y = batches(1)[0]
        recorder.backward(losses(model, (x.double(), y)))
        replace(model)
        add(model)
        left = {"left": losses(model, (x.double(), y))["left"]}
        known = list(model.trunk[:4].parameters())
        gradient = torch.autograd.grad(left["left"], known, retain_graph=True)
        recorder.backward(left)  # one task alone: what was added may be its own
        values = losses(model, (x.double(), y))
        true = gram_by_layer(model, values)
        recorder.backward(values)
    run = Trajectory(tmp_path / "run.h5")
    assert np.isclose(run.gram()[1, 0, 0], sum(g.square().sum().item() for g in gradient))
    assert np.allclose(run.gram()[2], sum(true.values()))
    assert run.table("shared_parameters")["step"].tolist() == [2]


def test_a_tie_that_is_cut_leaves_what_was_given(tmp_path: Path) -> None:
    model = nn.ModuleDict(
        {name: nn.Linear(4, 4, bias=False).double() for name in ("shared", "head", "other")}
    )
    model["head"].weight = model["shared"].weight
    x = torch.randn(3, 4, dtype=torch.float64)
    rows = []
    with Recorder(
        tmp_path / "run.h5",
        model,
        tasks=["a", "b"],
        shared=list(model["shared"].parameters()),
        probes=[probes.TaskGradients()],
    ) as recorder:
        for tied in (True, False):
            if not tied:
                model["head"].weight = nn.Parameter(model["head"].weight.detach().clone())
            z = model["shared"](x).tanh()
            values = {"a": model["head"](z).square().mean(), "b": model["other"](z).square().mean()}
            gradients = [
                torch.autograd.grad(v, model["shared"].weight, retain_graph=True)[0].flatten()
                for v in values.values()
            ]
            rows.append(torch.stack(gradients) @ torch.stack(gradients).T)
            recorder.backward(values)
    assert np.allclose(Trajectory(tmp_path / "run.h5").gram(), torch.stack(rows))


def record_frozen(path: Path, steps: int, unfreezes: int | None) -> None:
    """Record a run that is cut off, whose first layer is frozen until a step."""
    model = TwoHeads().double()
    model.trunk[0].requires_grad_(False)
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    with recorder_of(path, model, optimizer, probes.TaskGradients()) as recorder:
        for step in range(steps):
            if step == unfreezes:
                unfreeze(model)
            x, y = batches(step + 1)[-1]
            recorder.backward(losses(model, (x.double(), y)))
            optimizer.step()
            optimizer.zero_grad()
        recorder.close("recording")


@pytest.mark.parametrize("by_checkpoint", [False, True])
@pytest.mark.parametrize("shared", ["module", "parameters", "graph"])
@pytest.mark.parametrize(
    ("unfreezes", "begins_frozen", "from_step", "marked"),
    [
        (2, True, 4, [2, 4, 5]),  # as its script begins, which then unfreezes at step 5 once more
        (2, False, 4, [2]),
        (2, True, 1, [5]),  # from before it unfroze
        (None, False, 4, [4]),  # unfrozen while it did not train
        (None, True, 4, [5]),
    ],
)
def test_a_run_that_unfreezes_resumes(
    tmp_path: Path,
    shared: str,
    unfreezes: int | None,
    begins_frozen: bool,
    from_step: int,
    marked: list[int],
    by_checkpoint: bool,
) -> None:
    record_frozen(tmp_path / "run.h5", 4, unfreezes)
    model = TwoHeads().double()
    model.trunk[0].requires_grad_(not begins_frozen)
    given = {"module": model.trunk, "parameters": list(model.trunk.parameters()), "graph": None}
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    how = {} if by_checkpoint else {"from_step": from_step}
    true = []
    with Recorder(
        tmp_path / "run.h5",
        model,
        tasks=TASKS,
        shared=given[shared],
        optimizer=optimizer,
        probes=[probes.TaskGradients()],
        resume=True,
        **how,
    ) as recorder:
        if by_checkpoint:
            recorder.load_state_dict({"step": from_step, "epoch": 0})
        for step in range(from_step, 7):
            if step == 5:
                unfreeze(model)
            x, y = batches(step + 1)[-1]
            values = losses(model, (x.double(), y))
            true.append(sum(gram_by_layer(model, values).values()))
            recorder.backward(values)
            optimizer.step()
            optimizer.zero_grad()
    run = Trajectory(tmp_path / "run.h5")
    assert run.table("gradients")["step"].tolist() == list(range(7))
    assert np.allclose(run.gram()[from_step:], torch.stack(true), rtol=1e-9)
    assert run.table("shared_parameters")["step"].tolist() == marked
    assert set(run.shared) == {name for name, _ in TwoHeads().named_parameters() if "trunk" in name}


def test_a_run_of_other_shared_parameters_is_refused(tmp_path: Path) -> None:
    record_frozen(tmp_path / "run.h5", 1, None)
    model = TwoHeads()
    with pytest.raises(TrajlabError, match="recorded with shared parameters"):
        Recorder(tmp_path / "run.h5", model, tasks=TASKS, shared=model.trunk[0], resume=True)


def test_a_sum_over_no_layers_is_no_number(tmp_path: Path) -> None:
    train(tmp_path / "run.h5", TwoHeads(), {0: rename})
    run = Trajectory(tmp_path / "run.h5")
    assert all("reach none" in reason for reason in run.table("gradients")["reason"])
    assert run.gram().shape == (6, 2, 2)
    assert np.isnan(run.gram()).all()


@pytest.mark.parametrize("shared", [lambda model: model.trunk, lambda model: None])
def test_a_model_that_is_sharded_later_is_refused_at_its_first_pass(
    tmp_path: Path, shared: Callable[[TwoHeads], Any]
) -> None:
    class FSDPModule:
        """As ``fully_shard`` mixes into the classes of modules."""

    model = TwoHeads()
    with Recorder(tmp_path / "run.h5", model, tasks=TASKS, shared=shared(model)) as recorder:
        model.trunk.__class__ = type("FSDPSequential", (FSDPModule, nn.Sequential), {})
        with pytest.raises(TrajlabError, match="make the recorder afterwards"):
            recorder.backward(losses(model, batches(1)[0]))


def test_a_run_that_ended_before_its_first_pass_has_no_parameters_to_differ_from(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for crashes in (True, False):
        model = TwoHeads()
        with (
            suppress(KeyboardInterrupt),
            Recorder(tmp_path / "run.h5", model, tasks=TASKS, resume=True) as recorder,
        ):
            if crashes:
                recorder.flush()
                raise KeyboardInterrupt
            recorder.backward(losses(model, batches(1)[0]))
    assert "found 4 shared parameters" in caplog.text
    assert "other shared parameters" not in caplog.text
    run = Trajectory(tmp_path / "run.h5")
    assert "shared_parameters" not in run.tables
    assert len(run.shared) == 4


@pytest.mark.parametrize(
    ("frozen", "marks"),
    [
        ([(1, 0), (1, 1)], []),  # an update that nothing measures
        ([(2, 1)], []),  # thawed again before the next update begins
        ([(2, 0), (2, 1)], [2, 4]),
        ([(1, 1), (2, 0)], [2, 4]),
    ],
)
def test_what_is_shared_is_looked_at_where_an_update_that_is_measured_begins(
    tmp_path: Path, frozen: list[tuple[int, int]], marks: list[int]
) -> None:
    model = TwoHeads()
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    path = tmp_path / "run.h5"
    with recorder_of(path, model, optimizer, probes.TaskGradients(every=2)) as recorder:
        for step in range(6):
            for number in range(2):
                model.trunk[2].requires_grad_((step, number) not in frozen)
                recorder.backward(losses(model, batches(1)[0]), accumulate=2)
            optimizer.step()
            optimizer.zero_grad()
    run = Trajectory(path)
    found = run.table("shared_parameters")["step"].tolist() if marks else []
    assert found == marks
    assert ("shared_parameters" in run.tables) == bool(marks)


def test_what_was_shared_at_a_step_follows_from_the_marks(path: Path) -> None:
    """A mark holds from its step on, which is the next one's "just before"."""
    marks = [
        {"step": 2, "added": "", "removed": "b, c"},
        {"step": 3, "added": "d, e", "removed": "e"},  # e of another shape
        {"step": 5, "added": "b", "removed": "a"},
    ]
    shared = ["a", "b", "c", "d", "e"]
    flushes = [{MARKS.name: mark} for mark in marks]
    run = Trajectory(write(path, ["x"], [MARKS], flushes, shared=shared))
    expected = {0: "abce", 2: "abce", 3: "ae", 4: "ade", 5: "ade", 6: "bde"}
    for step, names in expected.items():
        assert shared_at(run, step) == list(names)
    plain = Trajectory(write(path.with_name("plain.h5"), ["x"], [], [], shared=shared))
    assert shared_at(plain, 0) == shared
