"""A probe at work: what fails in one pass, what is paid, what follows, without a loop."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from torch import nn

from trajlab.record.attached import Attached
from trajlab.record.failures import Failures
from trajlab.record.probes.probe import Probe, Started
from trajlab.store import Column, Table


class Faulty(Probe):
    """Adds passes up; one of its methods fails at some moments."""

    def __init__(self, fails: Callable[[str, int, int], bool], every: Any = 1) -> None:
        super().__init__(every)
        self._fails = fails
        self.total = 0

    def _at(self, what: str, moment: Any) -> None:
        if self._fails(what, moment.step, moment.micro_step):
            raise RuntimeError(f"{what} {moment.step}")

    def table(self, moment: Any) -> Table:
        return Table("faulty", (Column("total"),))

    def measure(self, moment: Any) -> dict[str, Any]:
        self._at("measure", moment)
        return {"total": 1.0}

    def start(self, moment: Any) -> Started:
        self._at("start", moment)
        return Started(lambda: {"total": 2.0})

    def add(self, moment: Any) -> None:
        self.total += 1
        self._at("add", moment)

    def complete(self, moment: Any, update: Any) -> dict[str, Any]:
        self._at("complete", moment)
        total, self.total = self.total, 0
        return {"total": total}


class Bill:
    """An account that notes what it is asked."""

    def __init__(self) -> None:
        self.paid = 0
        self.steps: list[int] = []

    def allows(self, step: int) -> bool:
        return step != 3

    @contextmanager
    def paying(self) -> Iterator[None]:
        self.paid += 1
        yield

    def measured(self, step: int) -> None:
        self.steps.append(step)


def moment(step: int, micro_step: int = 0) -> Any:
    facts = {"step": step, "micro_step": micro_step, "first": micro_step == 0, "parameters": {}}
    return SimpleNamespace(model=nn.Linear(1, 1), tasks=("a",), **facts)


def attached(
    fails: Callable[[str, int, int], bool], every: Any = 1
) -> tuple[Attached, list[dict[str, Any]], Bill]:
    rows: list[dict[str, Any]] = []
    bill = Bill()
    sink: Any = SimpleNamespace(
        declare=lambda table: table,
        append=lambda _, row: rows.append(dict(row)),
        hand_over=lambda: None,
    )
    account: Any = bill
    return Attached(Faulty(fails, every), sink, Failures(), account), rows, bill


@pytest.mark.parametrize("what", ["add", "complete"])
def test_an_update_one_of_whose_passes_fails_is_a_row_with_the_reason(what: str) -> None:
    """Also if that was the last of them; the next update is measured, and begins anew."""
    for failing in (0, 1):
        one, rows, bill = attached(lambda w, s, m, f=failing: (w, s, m) == (what, 1, f))
        for step in range(3):
            for micro_step in range(2):
                one.add_if_due(moment(step, micro_step), 0)
            assert one.adding
            one.complete({})
            assert not one.adding
            one.complete({})  # nothing is left to complete
        if what == "complete" and failing:  # it is asked for the moment of the first pass
            assert [row["total"] for row in rows] == [2, 2, 2]
            continue
        assert [row["step"] for row in rows] == [0, 1, 2]
        assert rows[1] == {"step": 1, "reason": f"RuntimeError: {what} 1"}
        assert (rows[0]["total"], bill.steps) == (2, [0, 1, 2])
        assert bill.paid == 3 * 3 - (what == "add" and not failing)  # no more is added to it


def test_a_measurement_that_fails_as_it_starts_is_concluded() -> None:
    one, rows, bill = attached(lambda what, step, _: (what, step) == ("start", 1))
    for step in range(3):
        started = one.start_if_due(moment(step), 0)
        assert (started is None) == (step == 1)
        assert bill.steps == list(range(step + (step == 1)))  # the others wait for the backward
        if started is not None:
            one.finish(moment(step), started)
    assert rows == [
        {"step": 0, "total": 2.0},
        {"step": 1, "reason": "RuntimeError: start 1"},
        {"step": 2, "total": 2.0},
    ]
    assert bill.steps == [0, 1, 2]


def test_what_is_not_allowed_is_not_made_up_for_in_the_same_epoch() -> None:
    one, rows, _ = attached(lambda *_: False, every="epoch")
    asked = [(2, 0), (2, 0), (3, 1), (4, 1), (5, 2), (6, 2)]
    for step, boundary in asked:
        one.measure_if_due(moment(step), boundary)
    assert [row["step"] for row in rows] == [2, 5]
    other, rows, _ = attached(lambda *_: False)
    assert other.idle(moment(3), 0)
    assert not other.idle(moment(4), 0)
    assert not other.idle(moment(3, 1), 0)  # of an update that has begun


@pytest.mark.parametrize("way", ["start", "add"])
def test_an_epoch_is_measured_once_whichever_way_it_is_begun(way: str) -> None:
    one, rows, _ = attached(lambda *_: False, every="epoch")
    for step, boundary in [(4, 1), (5, 1), (6, 2), (7, 2)]:
        if way == "add":
            one.add_if_due(moment(step), boundary)
            one.complete({})
        elif started := one.start_if_due(moment(step), boundary):
            one.finish(moment(step), started)
    assert [row["step"] for row in rows] == [4, 6]


def test_an_update_that_is_not_measured_completes_no_earlier_one() -> None:
    one, rows, _ = attached(lambda *_: False)
    one.add_if_due(moment(2), 0)  # an update that was never completed
    assert one.idle(moment(3), 0)
    assert not one.adding
    one.complete({})
    assert rows == []


def test_a_table_is_declared_anew_when_other_parameters_are_shared() -> None:
    """And the rows with the layers there were are handed over first."""
    done: list[str] = []

    def declare(table: Table) -> Table:
        done.append("declare")
        return table

    sink: Any = SimpleNamespace(
        declare=declare,
        append=lambda _, row: done.append(f"row {row['step']}"),
        hand_over=lambda: done.append("hand over"),
    )
    one = Attached(Faulty(lambda *_: False), sink, Failures())
    shared: dict[str, Any] = {}
    for step, parameters in enumerate((shared, shared, {})):
        now = moment(step)
        now.parameters = parameters
        one.measure_if_due(now, 0)
    assert done == ["declare", "row 0", "row 1", "hand over", "declare", "row 2"]
