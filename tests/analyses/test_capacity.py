"""Verdicts on C16 of runs that are made up."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from trajlab.study.run import Run

from .conftest import Evaluate, Recorded, module

NAME = "capacity"
WEIGHTS = [[0.2, 0.8], [0.5, 0.5], [0.8, 0.2]]
STATIC = ", ".join(f'{{ name = "static", weights = {own} }}' for own in WEIGHTS)
OPTIMIZERS = ("mgda", "pcgrad", "imtl", "gradnorm")
SIZES = {"scalarization": "", "deep": "depth = 2\n", "wide": "width = 2.0\n"}
STUDY = 'setting = "yeast"\ncondition = "class1+class2"\nepochs = 3\n'
STUDY += '[select]\nmetric = "accuracy"\n'
STUDY += "".join(
    f'[[stage]]\nname = "{name}"\n{size}method = [{STATIC}]\nseed = 100\n'
    for name, size in SIZES.items()
)
STUDY += "".join(f'[[stage]]\nname = "{m}"\nmethod = "{m}"\nseed = 100\n' for m in OPTIMIZERS)
STUDY += f"[[stage]]\nname = 'fresh'\nfront = {[*SIZES, *OPTIMIZERS]}\nseed = [0, 1, 2]\n"
STEPS = np.arange(0, 41)
COST = {"deep": 2.0, "wide": 4.0}


@pytest.fixture(autouse=True)
def with_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the writer of made-up runs know the table of what runs spent."""
    from trajlab.store import Column, Table

    from . import conftest

    known = conftest.standard

    def standard(name: str, **axes: object) -> Table:
        if name == "compute":
            return Table(name, (Column("flops"), Column("seconds")))
        return known(name, **axes)

    monkeypatch.setattr(conftest, "standard", standard)


def make(lead: float, slow: float = 1.0) -> Callable[[Run], Recorded | None]:
    """Larger networks gain with steps, and lie `lead` points beyond at the budget in operations.

    Optimizers take `slow` times the seconds of a step.
    """

    def make_up(run: Run) -> Recorded | None:
        plan = run.plan
        size = "deep" if plan.depth == 2 else "wide" if plan.width == 2 else ""
        cost = COST.get(size, 1.0)
        weights = plan.options.get("weights", [0.5, 0.5])
        noise = 0.05 * (plan.seed % 3 - 1) * (1 if plan.method == "static" else -1)
        # the cheapest spends 40 operations: there a larger network has made 40 / cost steps
        path = STEPS / (40 / cost) if lead > 0 else np.ones(len(STEPS))
        ahead = lead * path * bool(size)
        score = 80 + 10 * np.array(weights) + noise + ahead[:, None]
        score = np.where(STEPS[:, None] == 0, 0, score) + 1e-6 * STEPS[:, None]
        table = {"step": STEPS, "loss": np.ones((len(STEPS), 2)), "accuracy": score}
        seconds = cost * STEPS * (slow if plan.method in OPTIMIZERS else 1.0)
        spent = {"step": STEPS[1:], "flops": cost * STEPS[1:], "seconds": seconds[1:]}
        splits = ("train", "validation", "test")
        return {**{f"evaluations/{split}": table for split in splits}, "compute": spent}

    return make_up


@pytest.mark.parametrize(
    ("lead", "verdict"),
    [(2.0, "supported"), (-2.0, "not supported"), (0.0, "undecided")],
)
def test_what_is_made_up_is_found(evaluate: Evaluate, lead: float, verdict: str) -> None:
    found = evaluate(NAME, STUDY, make(lead), draw=lead > 0)
    assert found.code == 0, found.said
    assert set(found.verdicts.values()) == {verdict}
    rows = found.table("distances").query("network == 'deep' and budget == 'flops'")
    assert rows["spent"].tolist() == [40] * 4
    assert rows["ahead"].to_numpy() == pytest.approx(lead, abs=0.4)


def test_no_run_is_read_beyond_the_budget(evaluate: Evaluate) -> None:
    """What larger networks gain after it does not count."""
    plain = make(0.0)

    def late(run: Run) -> Recorded | None:
        made = plain(run)
        if made and (run.plan.depth == 2 or run.plan.width == 2):
            for split in ("validation", "test"):
                table = dict(made[f"evaluations/{split}"])
                after = STEPS > 20 if run.plan.depth == 2 else STEPS > 10
                table["accuracy"] = np.where(after[:, None], 99.0, table["accuracy"])
                made = {**made, f"evaluations/{split}": table}
        return made

    assert set(evaluate(NAME, STUDY, late).verdicts.values()) == {"undecided"}


@pytest.mark.parametrize(
    ("ends", "verdict"),
    [
        ([(0.01, 1.0)] * 4, "supported"),
        ([(0.01, 1.0)] * 3 + [(-0.01, 1.0)], "undecided"),
        ([(0.01, 1.0)] * 3 + [(-1.0, -0.01)], "not supported"),
        ([(0.01, 1.0)] * 3 + [(-1.0, 0.01)], "undecided"),
        ([(0.01, 1.0)] * 3, "undecided"),
        ([(0.01, 1.0)] * 3 + [(np.nan, np.nan)], "undecided"),
        ([], "undecided"),
    ],
)
def test_intervals_on_either_side_of_the_rule(
    ends: list[tuple[float, float]], verdict: str
) -> None:
    rows = pd.DataFrame(ends, columns=["low", "high"]).assign(optimizer=OPTIMIZERS[: len(ends)])
    assert module(NAME).pays(rows.assign(left=0)) == verdict
    if ends:
        one = rows.assign(left=0)
        one.loc[0, "left"] = 1
        assert module(NAME).pays(one) == "undecided"


def test_a_missing_seed_withholds_the_verdict(evaluate: Evaluate) -> None:
    plain = make(2.0)
    found = evaluate(NAME, STUDY, lambda run: None if run.plan.seed == 2 else plain(run))
    assert set(found.verdicts.values()) == {"undecided"}
    assert set(found.table("verdicts")["so_far"]) == {"supported"}


def test_without_runs_there_is_one_sentence(evaluate: Evaluate) -> None:
    found = evaluate(NAME, STUDY, lambda run: None)
    assert found.code == 1
    assert "no seed is finished on every front" in found.said
