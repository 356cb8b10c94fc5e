"""Verdicts on C1 to C3 of runs whose differences are made up."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from trajlab.study.run import Run

from .conftest import Evaluate, Recorded, jitter, module

NAME = "matched_loss_gap"
STUDY = """
setting = "FashionMTL"
epochs = 20
condition = ["", "+fashion", "+noisy"]
seed = [0, 1, 2]
[[stage]]
name = "shared"
[[stage]]
name = "own"
{own}
[[stage]]
name = "mean"
condition = ["+fashion", "+noisy"]
method = {{ name = "uniform", C = "K" }}
[[stage]]
name = "twice the rate"
condition = ""
learning_rate = 0.2
[[stage]]
name = "twice the epochs"
condition = ""
epochs = 40
[[stage]]
name = "pooled"
condition = "pooled"
epochs = 10
[[stage]]
name = "longer"
epochs = 99
"""
SAME, OTHER = STUDY.format(own=""), STUDY.format(own="learning_rate = 0.3")
DECADES = 2.0


def recorded(run: Run, early: float, late: float, loss: float, decades: float) -> Recorded:
    """Accuracy gains `early`, at a high loss, and `late`; the loss is shifted by `loss` decades."""
    number = len(run.plan.setting.tasks(run.plan.condition))
    fall = np.linspace(0, 1, 24)
    gain = np.where(fall < 0.55, early, late)
    log_loss = -decades * fall + loss + jitter(run, (1,), 0.002)
    score = 80 + 8 * fall + gain + jitter(run, (1,), 0.05)

    def wide(values: Any) -> Any:
        return np.repeat(values[:, None], number, 1)

    step = np.arange(24)
    scores = {"step": step, "loss": wide(10**log_loss), "accuracy": wide(score)}
    return {f"evaluations/{split}": scores for split in ("train", "validation", "test")}


Effects = dict[str, tuple[float, float, float]]  # condition -> early and late gain, shift of loss
CLAIMED: Effects = {"+fashion": (1, 1, 0.1), "+noisy": (-1, -1, 0.1)}
REVERSED: Effects = {"+fashion": (1, -1, 0.1), "+noisy": (-1, 1, 0.1)}
BY_LOSS: Effects = {"+fashion": (1, 1, -0.1), "+noisy": (-1, -1, 0.1)}


NONE = (0.0, 0.0, 0.0)


def made(effects: Effects, epochs: int = 20) -> Callable[[Run], Recorded | None]:
    """Only the comparison with one rate is trained, at one length."""

    def make_up(run: Run) -> Recorded | None:
        if run.plan.epochs != epochs or run.plan.learning_rate != 0.1 or run.plan.options:
            return None
        return recorded(run, *effects.get(run.plan.condition, NONE), DECADES)

    return make_up


@pytest.mark.parametrize(
    ("effects", "verdicts"),
    [
        (CLAIMED, {"C1": "supported", "C2": "supported", "C3": "supported"}),
        (REVERSED, {"C1": "not supported", "C2": "not supported", "C3": "supported"}),
        (BY_LOSS, {"C1": "supported", "C2": "supported", "C3": "not supported"}),
        ({}, {"C1": "undecided", "C2": "undecided", "C3": "undecided"}),
    ],
    ids=["as claimed", "reversed", "by the loss", "no difference"],
)
def test_what_is_made_up_is_found(
    evaluate: Evaluate, effects: Effects, verdicts: dict[str, str]
) -> None:
    found = evaluate(NAME, SAME, made(effects))
    assert found.verdicts == verdicts
    last = found.table("last-epoch").set_index("quantity")["estimate"].to_dict()
    late = {f"Δ last accuracy {c}": effects.get(c, NONE)[1] for c in ("+fashion", "+noisy")}
    assert last == pytest.approx(late, abs=0.2)


def test_every_control_has_its_difference(evaluate: Evaluate) -> None:
    gains = {"pooled": (2.0, 2.0, 0.0), **CLAIMED}

    def make_up(run: Run) -> Recorded | None:
        if run.plan.epochs == 99:
            return None
        extra = 3.0 if run.plan.learning_rate == 0.2 or run.plan.epochs == 40 else 0.0
        early, late, loss = gains.get(run.plan.condition, NONE)
        return recorded(run, early + extra, late + extra, loss, DECADES)

    table = evaluate(NAME, SAME, make_up).table("controls").set_index(["of", "against"])
    assert (table["n"] == 3).all()
    assert ((table["low"] < table["delta"]) & (table["delta"] < table["high"])).all()
    expected = {
        ("C = K, +fashion", "single"): 1,
        ("C = K, +noisy", "single"): -1,
        ("twice the rate", "single"): 3,
        ("+fashion", "twice the rate"): -2,
        ("twice the epochs", "single"): 3,
        ("+fashion", "twice the epochs"): -2,
        ("pooled", "single"): 2,
        ("+fashion", "pooled"): -1,
    }
    assert table["delta"].to_dict() == pytest.approx(expected, abs=0.2)


def test_longer_decides_what_the_short_runs_do_not_reach(evaluate: Evaluate) -> None:
    def make_up(run: Run) -> Recorded | None:
        decades = {20: 0.7, 99: DECADES}.get(run.plan.epochs)
        if decades is None or run.plan.learning_rate != 0.1 or run.plan.options:
            return None
        return recorded(run, *CLAIMED.get(run.plan.condition, NONE), decades)

    found = evaluate(NAME, SAME, make_up, draw=True)
    assert found.verdicts["C2"] == "supported"
    rows = found.table("by-comparison").query("claim == 'C2'").set_index("comparison")["verdict"]
    assert rows.to_dict() == {"one rate": "undecided", "longer": "supported"}
    numbers = found.table("pre-registered").set_index(["comparison", "quantity"])
    gap = numbers.loc[("longer", "gap at 10 L_c +fashion")]
    assert gap["estimate"] == pytest.approx(1 + 0.4, abs=0.2)  # it is .1 decades of loss ahead
    assert gap["low"] > 0
    assert gap["n"] == 3
    assert (found.out / "gap-longer.png").exists()


@pytest.mark.parametrize(
    ("one_rate", "own_rates", "longer", "verdict"),
    [
        ("supported", None, "undecided", "supported"),
        ("undecided", None, "not supported", "not supported"),
        ("supported", None, "not supported", "undecided"),
        ("supported", "supported", None, "supported"),
        ("supported", "not supported", None, "undecided"),
        ("supported", "undecided", None, "undecided"),
        ("undecided", "undecided", "supported", "undecided"),  # one of the rules only
    ],
)
def test_a_verdict_holds_under_both_rules_for_the_rate_and_at_every_length_that_decides(
    one_rate: str, own_rates: str | None, longer: str | None, verdict: str
) -> None:
    """Without own rates, both rules choose the same ones."""
    by = {"one rate": one_rate, "own rates": own_rates, "longer": longer}
    rows = [("C1", name, value) for name, value in by.items() if value is not None]
    table = pd.DataFrame(rows, columns=["claim", "comparison", "verdict"])
    found = module(NAME).overall(table, one_rule=own_rates is None)
    assert found["verdict"].tolist() == [verdict]


def test_own_rates_that_differ_are_a_comparison_of_their_own(evaluate: Evaluate) -> None:
    def make_up(run: Run) -> Recorded | None:
        if run.plan.epochs != 20 or run.plan.learning_rate == 0.2 or run.plan.options:
            return None
        effects = {0.1: CLAIMED, 0.3: REVERSED}[run.plan.learning_rate]
        return recorded(run, *effects.get(run.plan.condition, NONE), DECADES)

    found = evaluate(NAME, OTHER, make_up)
    rows = found.table("by-comparison").query("claim == 'C1'").set_index("comparison")["verdict"]
    assert rows.to_dict() == {"one rate": "supported", "own rates": "not supported"}
    assert found.verdicts["C1"] == "undecided"


def test_a_seed_that_is_not_whole_withholds_verdicts(evaluate: Evaluate) -> None:
    def make_up(run: Run) -> Recorded | None:
        return None if run.plan.seed == 2 and run.plan.condition == "+noisy" else made(CLAIMED)(run)

    found = evaluate(NAME, SAME, make_up)
    assert set(found.verdicts.values()) == {"undecided"}
    rows = found.table("by-comparison")
    assert (rows["n"] == 2).all()
    assert (rows["lacks"] == "2 of 3 seeds are trained").all()


def test_a_study_of_two_seeds_gives_no_verdict(evaluate: Evaluate) -> None:
    found = evaluate(NAME, SAME.replace("seed = [0, 1, 2]", "seed = [0, 1]"), made(CLAIMED))
    assert set(found.verdicts.values()) == {"undecided"}
    assert (found.table("by-comparison")["lacks"] == "2 seeds are too few").all()


def test_without_two_seeds_there_is_one_sentence(evaluate: Evaluate) -> None:
    found = evaluate(NAME, SAME, lambda run: None if run.plan.seed else made(CLAIMED)(run))
    assert found.code == 1
    assert "1 of 3 seeds are finished in all conditions" in found.said
