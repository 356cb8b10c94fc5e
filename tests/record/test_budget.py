"""The share of training time that measuring may take, by a clock that the test turns."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.models import TwoHeads
from tests.record.loops import TASKS, batches, losses, recorder_of
from trajlab import TrajlabError, load
from trajlab.record import budget
from trajlab.record.probes import Probe
from trajlab.store import Column, Table


class Clock:
    """Stands still unless it is told how long something took."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(budget, "now", made)
    return made


class Slow(Probe):
    """Takes some seconds by the clock; another class writes another table."""

    def __init__(self, clock: Clock, cost: Callable[[int], float], every: Any = 1) -> None:
        super().__init__(every)
        self._clock, self._cost = clock, cost

    def table(self, moment: Any) -> Table:
        return Table(type(self).__name__.lower(), (Column("value"),))

    def measure(self, moment: Any) -> dict[str, float]:
        self._clock.time += self._cost(moment.step)
        return {"value": 1.0}


class Other(Slow):
    """Another."""


def train(
    path: Path, clock: Clock, *probes: Probe, steps: int = 400, epoch: int = 0, **settings: Any
) -> Any:
    """Train with steps of a second, and evaluate after every `epoch` of them; return the run."""
    torch.manual_seed(0)
    model = TwoHeads()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with recorder_of(path, model, optimizer, *probes, **settings) as made:
        for step, batch in enumerate(batches(steps, size=2), start=1):
            found = losses(model, batch)
            clock.time += 1
            made.backward(found)
            optimizer.step()
            optimizer.zero_grad()
            if epoch and step % epoch == 0:
                made.evaluate("train", {task: {"loss": 1.0} for task in TASKS})
    return load(path)[0]


def measured(run: Any, name: str) -> list[int]:
    return run.table(name)["step"].tolist()


def test_what_probes_take_stays_within_the_share(tmp_path, clock) -> None:
    probes = Slow(clock, lambda _: 0.5), Other(clock, lambda _: 3.0, every=10)
    run = train(tmp_path / "a.h5", clock, *probes, overhead=0.1)
    spent = 0.5 * len(measured(run, "slow")) + 3.0 * len(measured(run, "other"))
    assert spent <= 0.1 * 400
    # and is used: each has half of it, 20 s of 400
    assert len(measured(run, "slow")) == 40 - 1
    assert len(measured(run, "other")) == 6
    assert set(measured(run, "other")) <= set(range(0, 400, 10))


def accounted(share: float, *names: str) -> tuple[budget.Budget, list[tuple[str, Any]]]:
    told: list[tuple[str, Any]] = []
    rows: Any = SimpleNamespace(
        declare=lambda _: None, append=lambda table, row: told.append((table, row))
    )
    return budget.Budget(share, names, rows), told


def test_what_watches_a_backward_pays_what_it_takes_longer(clock: Clock) -> None:
    """Shared equally; nothing is given back, and what was paid too much before it is known is."""
    made, _ = accounted(0.1, "a", "b")
    first, second = made.accounts
    assert made.training == 0.0

    def backward(seconds: float, *measuring: budget.Account) -> None:
        with made.backward(measuring):
            clock.time += seconds

    backward(7.0, first, second)  # no other pass is known yet: all of it
    assert (first._spent, second._spent, made.spent) == (3.5, 3.5, 7.0)
    backward(5.0)  # what a pass takes that measures nothing
    assert (first._spent, second._spent, made.spent) == (1.0, 1.0, 2.0)
    backward(9.0, second)
    assert (first._spent, second._spent) == (1.0, 5.0)
    backward(3.0, first, second)
    assert (first._spent, second._spent) == (1.0, 5.0)
    assert made.training == 24.0 - 6.0


def test_of_plain_passes_one_in_a_hundred_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    passes, looks = [0], []

    def look() -> float:
        looks.append(passes[0])
        return 0.0

    monkeypatch.setattr(budget, "now", look)
    made, _ = accounted(0.1, "a")
    for passes[0] in range(1, 301):
        with made.backward([]):
            pass
    assert looks == [1, 1, 100, 100, 200, 200, 300, 300]


def test_an_answer_stays_for_its_step_and_is_written_once(clock: Clock) -> None:
    made, told = accounted(0.5, "a", "b")
    account, _ = made.accounts
    assert account.allows(0)
    with account.paying():
        clock.time += 2.0
    account.measured(0)
    # a quarter of the training so far has to pay for 2 s spent and 2 s more
    for step, seconds, allowed in ((1, 15.75, False), (1, 1.0, False), (2, 0.0, True)):
        clock.time += seconds
        assert account.allows(step) == allowed
    account.measured(2)
    assert [row for _, row in told] == [
        {"step": 0, "probe": "a", "seconds": 2.0},
        {"step": 1, "probe": "a", "skipped": True},
        {"step": 2, "probe": "a", "seconds": 0.0},
    ]
    assert made.attributes == {"overhead": 0.5, "measured_a": "2 of 3 steps that were due"}


def test_a_probe_waits_until_its_share_pays_for_once_more(tmp_path, clock) -> None:
    run = train(tmp_path / "a.h5", clock, Slow(clock, lambda _: 2.0), steps=100, overhead=0.1)
    # at step k, k seconds of training are over since step 0; 2 n seconds are spent
    assert measured(run, "slow") == [0, 40, 60, 80]


def test_what_a_measurement_takes_now_counts(tmp_path, clock) -> None:
    first_is_slow = Slow(clock, lambda step: 5.0 if step == 0 else 0.1)
    run = train(tmp_path / "a.h5", clock, first_is_slow, steps=120, overhead=0.1)
    steps = measured(run, "slow")
    assert steps[:2] == [0, 100]  # 5 s spent and 5 s expected are a tenth of 100 s
    assert steps[2] == 101  # 5.1 s spent and .1 s expected are of 52 s


def test_the_table_tells_what_was_skipped_and_what_it_took(tmp_path, clock) -> None:
    run = train(tmp_path / "a.h5", clock, Slow(clock, lambda _: 2.0), steps=100, overhead=0.1)
    table = run.table("budget")
    assert table["step"].tolist() == list(range(100))
    taken = ~table["skipped"].astype(bool)
    assert table["step"][taken].tolist() == measured(run, "slow")
    assert table["seconds"][taken] == pytest.approx([2.0] * 4)
    assert table.attributes["overhead"] == 0.1
    assert table.attributes["measured_Slow"] == "4 of 81 steps that were due"


def test_without_a_budget_nothing_is_asked(tmp_path, clock) -> None:
    run = train(tmp_path / "a.h5", clock, Slow(clock, lambda _: 9.0), steps=20)
    assert measured(run, "slow") == list(range(20))
    assert "budget" not in run.tables


def test_a_matched_run_measures_at_the_same_steps(tmp_path, clock) -> None:
    first = train(tmp_path / "a.h5", clock, Slow(clock, lambda _: 2.0), steps=100, overhead=0.1)
    probes = [Slow(clock, lambda step: 0.1 + step)]
    second = train(tmp_path / "b.h5", clock, *probes, steps=100, overhead=first.path)
    assert measured(second, "slow") == measured(first, "slow")
    assert second.table("budget").attributes["overhead"] == str(first.path)
    with pytest.raises(TrajlabError, match="measured no Other"):
        train(tmp_path / "c.h5", clock, Other(clock, lambda _: 1.0), overhead=first.path)
    bare = train(tmp_path / "d.h5", clock, steps=2)
    with pytest.raises(TrajlabError, match="no table budget"):
        train(tmp_path / "e.h5", clock, *probes, overhead=bare.path)


def test_an_epoch_that_is_skipped_is_not_made_up_for(tmp_path, clock) -> None:
    probe = Slow(clock, lambda _: 2.35, every="epoch")
    run = train(tmp_path / "a.h5", clock, probe, steps=100, epoch=10, overhead=0.1)
    assert measured(run, "slow") == [0, 50, 80, 100]  # its share would do at 48, 72 and 95


def test_the_answer_of_a_step_stays(tmp_path, clock) -> None:
    account = _accounts(0.1, tmp_path)[0]
    assert account.allows(0)
    with account.paying():
        clock.time += 5
    account.measured(0)
    assert not account.allows(1)
    clock.time += 1_000
    assert not account.allows(1)  # the answer of a step stays
    assert account.allows(2)


def test_the_excess_of_the_training_backward_is_paid_by_who_watches_it(tmp_path, clock) -> None:
    shared = _accounts(0.5, tmp_path, "a", "b")
    made = shared[0]._budget
    with made.backward(shared):
        clock.time += 4
    assert made.spent == 4  # no other pass is known
    with made.backward([]):
        clock.time += 1
    assert made.spent == 3
    with made.backward(shared[:1]):
        clock.time += 2
    assert made.spent == 4


@pytest.mark.parametrize("share", [0, 1, -0.1, float("nan")])
def test_a_share_that_is_none_is_told(tmp_path, clock, share: float) -> None:
    with pytest.raises(TrajlabError, match="between 0 and 1"):
        train(tmp_path / "a.h5", clock, Slow(clock, lambda _: 1.0), overhead=share)


def test_several_processes_have_no_common_clock(tmp_path, clock, monkeypatch) -> None:
    monkeypatch.setattr(budget, "processes", lambda: 2)
    with pytest.raises(TrajlabError, match="one process's clock"):
        train(tmp_path / "a.h5", clock, Slow(clock, lambda _: 1.0), overhead=0.1)


def _accounts(share: float, folder: Path, *names: str) -> list[budget.Account]:
    class Nowhere:
        def declare(self, table: Table) -> Table:
            return table

        def append(self, table: str, row: Any) -> None:
            pass

    return budget.Budget(share, names or ["a"], Nowhere()).accounts
