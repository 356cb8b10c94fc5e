"""Schedules: properties for all steps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trajlab import TrajlabError
from trajlab.record import log_spaced
from trajlab.record.schedule import Schedule

steps = st.integers(0, 10**7)


@given(every=st.integers(1, 10**4), step=steps, new_epoch=st.booleans())
def test_every_n_steps_begins_at_zero_and_ignores_epochs(
    every: int, step: int, new_epoch: bool
) -> None:
    schedule = Schedule(every)
    assert schedule.due(0, new_epoch)
    assert schedule.due(step * every, new_epoch)
    assert schedule.due(step, new_epoch) == (step % every == 0)


@given(listed=st.lists(steps), step=steps)
def test_listed_steps(listed: list[int], step: int) -> None:
    schedule = Schedule(listed)
    assert all(schedule.due(one, False) for one in listed)
    assert schedule.due(step, True) == (step in listed)


@given(step=steps)
def test_epoch_depends_on_the_boundary_only(step: int) -> None:
    assert Schedule("epoch").due(step, True)
    assert not Schedule("epoch").due(step, False)


@given(step=steps)
def test_callable_is_asked(step: int) -> None:
    assert Schedule(lambda k: k > 100).due(step, False) == (step > 100)


@given(per_decade=st.integers(1, 40), j=st.integers(0, 300))
def test_log_spaced_hits_every_point(per_decade: int, j: int) -> None:
    due = log_spaced(per_decade)
    assert due(0)
    assert due(round(10 ** min(j / per_decade, 7)))


@pytest.mark.parametrize("per_decade", [1, 3, 5, 10, 25])
def test_log_spaced_hits_nothing_else(per_decade: int) -> None:
    wanted = {0} | {round(10 ** (j / per_decade)) for j in range(4 * per_decade + 1)}
    due = log_spaced(per_decade)
    assert {step for step in range(10**4 + 1) if due(step)} == wanted


@pytest.mark.parametrize("every", [0, -1, True, 2.5, "daily", None])
def test_anything_else_is_one_sentence(every: object) -> None:
    with pytest.raises(TrajlabError, match="is no schedule"):
        Schedule(every)


def test_schedules_tell_what_they_are() -> None:
    assert [str(Schedule(e)) for e in (10, "epoch", [1, 2], log_spaced(5))] == [
        "10",
        "epoch",
        "[1, 2]",
        "log_spaced(5)",
    ]
