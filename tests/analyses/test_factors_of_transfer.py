"""Verdicts on C4 to C6 of runs whose factors are made up."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from trajlab.study.file import read
from trajlab.study.run import Run

from .conftest import Evaluate, Recorded, intervals, jitter, module

NAME = "factors_of_transfer"
FOLDER = Path(__file__).parents[2] / "analyses" / NAME
STUDY = """
setting = "yeast"
epochs = 20
condition = ["class1+class2", "class1", "class2"]
method = ["uniform", "mgda"]
seed = [0, 1, 2]
[[stage]]
name = "main"
"""
BOTH = (
    STUDY
    + """[[stage]]
name = "one rate"
learning_rate = 0.2
"""
)
TASKS = ("class1", "class2")
# By which sides of which tasks' differences are large: of multi-task runs to single, then of mgda
# to uniform. (rise of the factors, gain in accuracy) of each task, and mgda's rise of the loss.
OPPOSITE = {"class1": (1, 1), "class2": (1, -1)}
ALIKE = dict.fromkeys(TASKS, (1, -1))


def recorded(run: Run, uniform: Any, mgda: Any, loss: float) -> Recorded:
    """Everything a verdict needs; `uniform` and `mgda` tell each task's shift from single."""
    own = run.plan.setting.tasks(run.plan.condition)
    shifts = {"single": dict.fromkeys(TASKS, (0, 0)), "uniform": uniform, "mgda": mgda}
    shift = np.array([shifts[run.plan.method][task] for task in own], float)
    factor = 5 + shift[:, 0] + jitter(run, (len(own),), 0.01)
    score = 80 + shift[:, 1] + jitter(run, (len(own),), 0.01)
    smallest = 0.1 * (1 + loss * (run.plan.method == "mgda")) + jitter(run, (len(own),), 1e-3)
    step = np.array([0, *range(30, 50)])  # of which 20 are late

    def steady(values: Any) -> Any:
        return np.repeat(values[None], len(step), 0)

    fall = np.linspace(1, 0, len(step))[:, None]
    scores = {"step": step, "loss": smallest + 0.5 * fall, "accuracy": steady(score)}
    return {
        **{f"evaluations/{split}": scores for split in ("train", "validation", "test")},
        "sharpness": {"step": step, "value": steady(factor)[:, :, None]},
        "noise": {"step": step, "covariance_trace": steady(factor)},
        "fisher": {"step": step, "trace": steady(factor)},
    }


@pytest.mark.parametrize(
    ("uniform", "mgda", "loss", "verdicts"),
    [
        (OPPOSITE, OPPOSITE, 1.0, {"C4": "supported", "C6": "supported"}),
        (
            ALIKE,
            dict.fromkeys(TASKS, (2, -2)),
            -0.5,
            {"C4": "not supported", "C6": "not supported"},
        ),
        (dict.fromkeys(TASKS, (0, 0)), ALIKE, 0.0, {"C4": "undecided", "C6": "not supported"}),
    ],
    ids=["no one sign", "one sign", "no difference"],
)
def test_what_is_made_up_is_found(
    evaluate: Evaluate, uniform: Any, mgda: Any, loss: float, verdicts: dict[str, str]
) -> None:
    found = evaluate(NAME, STUDY, lambda run: recorded(run, uniform, mgda, loss), draw=True)
    assert found.verdicts == {**verdicts, "C5": "undecided"}  # two points tell little of a share
    assert (found.out / "quadrants.png").exists()
    assert (found.out / "transfer.png").exists()


@intervals(
    supported=[(0.36, 0.64), (0.35, 0.65)],
    undecided=[(0.3, 0.6), (0.349, 0.65), (0.35, 0.651), (0.65, 0.9), (0.1, 0.35)],
    not_supported=[(0.7, 1.0), (0.0, 0.3), (0.651, 0.9), (0.1, 0.349)],
)
def test_a_share_near_one_half(low: float, high: float, verdict: str) -> None:
    assert module(NAME).of_share(low, high) == verdict


@pytest.mark.parametrize(
    ("counts", "verdict"),
    [
        ([3, 1, 0, 1, 14], "undecided"),
        ([8, 0, 0, 0, 14], "supported"),
        ([7, 0, 0, 0, 14], "undecided"),  # no more than half
        ([7, 7, 0, 0, 14], "not supported"),
        ([7, 6, 0, 0, 14], "undecided"),
        ([8, 0, 3, 3, 14], "supported"),
        ([8, 0, 3, 4, 14], "not supported"),
    ],
)
def test_c6_at_one_half(counts: list[int], verdict: str) -> None:
    names = ["loss_raised", "loss_lowered", "better", "worse", "tasks"]
    assert module(NAME).few_change(pd.DataFrame([counts], columns=names)) == verdict


@pytest.mark.parametrize(
    ("verdicts", "one"),
    [
        (["supported"], "supported"),
        (["supported", "supported"], "supported"),
        (["supported", "undecided"], "undecided"),
        (["not supported", "supported"], "undecided"),
    ],
)
def test_both_rules_for_the_rate_have_to_agree(verdicts: list[str], one: str) -> None:
    assert module(NAME).agreed(verdicts) == one


def of_signs(factor: list[float], metric: list[float]) -> pd.DataFrame:
    """What `signed` returns, of one factor and the metric in some tasks."""
    script = module(NAME)
    parts = dict.fromkeys(script.FACTORS, factor) | {"final_metric": metric}
    return pd.DataFrame(
        [
            {
                "factor": name,
                "setting": "yeast",
                "condition": "",
                "task": f"class{i}",
                "sign": sign,
                "delta": sign + 0.1 * i,
            }
            for name, signs in parts.items()
            for i, sign in enumerate(signs)
        ]
    )


@pytest.mark.parametrize(
    ("factor", "metric", "verdict"),
    [
        ([1, 1, 0], [1, -1, 0], "supported"),  # one task either way
        ([1, 1, 0], [1, 0, -1], "undecided"),
        ([1, 1, 1], [-1, -1, -1], "not supported"),
        ([1, 1, 1], [-1, -1, 0], "undecided"),  # all but one
        ([1, 1, np.nan], [-1, -1, -1], "undecided"),  # what is missing has no sign
    ],
)
def test_c4_by_the_signs_of_tasks(factor: list[float], metric: list[float], verdict: str) -> None:
    found = module(NAME).association(of_signs(factor, metric))
    assert found["no_consistent_sign"].tolist() == [verdict] * 3
    assert (found["tasks"] == 3).all()


@pytest.mark.parametrize(("t", "verdict"), [(6.3, "supported"), (6.1, "undecided")])
def test_clear_is_after_adjustment_over_tasks(evaluate: Evaluate, t: float, verdict: str) -> None:
    """Three pairs, two tasks: the limit of t is 6.21; 4.30 would do for a single task."""

    def make_up(run: Run) -> Recorded:
        found = recorded(run, OPPOSITE, OPPOSITE, 0.0)
        own = run.plan.setting.tasks(run.plan.condition)
        sign = np.array([OPPOSITE[task][1] for task in own], float)
        beside = run.plan.method != "single"
        gain = t * sign * beside  # differences of pairs are 1, 1, −2 apart from it: an error of 1
        seed = (run.plan.seed + beside) % 3
        for split in ("train", "validation", "test"):
            values = np.broadcast_to(80 + seed + gain, found[f"evaluations/{split}"]["loss"].shape)
            found = {
                **found,
                f"evaluations/{split}": {**found[f"evaluations/{split}"], "accuracy": values},
            }
        return found

    assert evaluate(NAME, STUDY, make_up).verdicts["C4"] == verdict


def test_a_seed_that_is_not_whole_withholds_verdicts(evaluate: Evaluate) -> None:
    def make_up(run: Run) -> Recorded | None:
        missing = run.plan.seed == 2 and run.plan.method == "mgda"
        return None if missing else recorded(run, OPPOSITE, OPPOSITE, 1.0)

    found = evaluate(NAME, STUDY, make_up)
    table = found.table("verdicts")
    assert (table["verdict"] == "undecided").all()
    assert (table["lacks"] == "2 of 3 seeds are trained").all()


def test_a_method_that_was_not_begun_makes_no_seed_whole(evaluate: Evaluate) -> None:
    def make_up(run: Run) -> Recorded | None:
        return None if run.plan.method == "mgda" else recorded(run, OPPOSITE, OPPOSITE, 1.0)

    found = evaluate(NAME, STUDY, make_up)
    assert found.code == 1
    assert "0 of 3 seeds are finished with every method" in found.said


def test_a_comparison_at_one_rate_that_differs_leaves_c6_undecided(evaluate: Evaluate) -> None:
    """With each optimizer's own rate mgda raises the loss; at one rate it lowers it."""

    def make_up(run: Run) -> Recorded:
        raised = 1.0 if run.plan.learning_rate == 0.1 else -0.5
        return recorded(run, OPPOSITE, OPPOSITE, raised)

    both = evaluate(NAME, BOTH, make_up)
    assert both.verdicts["C6"] == "undecided"
    raised = both.table("changes").set_index("comparison")["loss_raised"]
    assert raised.to_dict() == {"own rates": 2, "one rate": 0}


FASHION = """
setting = "FashionMTL"
epochs = 20
seed = [0, 1, 2]
[[stage]]
name = "main"
condition = ["+fashion", "+noisy"]
method = ["uniform", "mgda"]
[[stage]]
name = "first alone"
condition = ""
"""


@pytest.mark.parametrize(
    ("noisy", "verdict"),
    # the second task has no run alone, and is no comparison
    [((1, -1), "supported"), ((1, 1), "not supported"), ((1, 0), "undecided")],
)
def test_conditions_of_one_first_task_are_units_of_their_own(
    evaluate: Evaluate, noisy: tuple[int, int], verdict: str
) -> None:
    shifts = {"+fashion": (1, 1), "+noisy": noisy, "": (0, 0)}

    def make_up(run: Run) -> Recorded:
        shift = np.array(shifts[run.plan.condition], float)
        own = {"first": shift, "second": shift}
        return recorded(run, own, own, 0.0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(recorded.__globals__, "TASKS", ("first", "second"))
        assert evaluate(NAME, FASHION, make_up).verdicts["C4"] == verdict


THREE = """
epochs = 20
seed = [0, 1, 2]
[[stage]]
name = "main"
setting = "yeast"
condition = "class1+class2"
[[stage]]
name = "yeast alone"
setting = "yeast"
condition = ["class1", "class2"]
[[stage]]
name = "first beside and alone"
setting = "FashionMTL"
condition = ["", "+fashion"]
"""


@pytest.mark.parametrize(
    ("fashion", "verdict"),
    [((1, 1), "supported"), ((1, -1), "not supported"), ((1, 0), "undecided")],
)
def test_c4_alone_is_over_the_tasks_of_all_settings(
    evaluate: Evaluate, fashion: tuple[int, int], verdict: str
) -> None:
    """In yeast a rise goes with a loss; in the other setting it may go with a gain."""
    shifts = {"class1": (1, -1), "class2": (1, -1), "first": fashion, "second": (0, 0)}

    def make_up(run: Run) -> Recorded:
        return recorded(run, shifts, shifts, 0.0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(recorded.__globals__, "TASKS", tuple(shifts))
        found = evaluate(NAME, THREE, make_up, draw=True)
    assert found.verdicts == {"C4": verdict}
    assert (found.table("verdicts")["tasks"] == 4).all()
    end = found.table("transfer").query("at == 'end'")
    assert (end["tasks"] == 3).all()  # the second task has no run alone
    rows = found.table("alone").query("at == 'end' and factor == 'final_metric'")
    assert (rows["n_runs"] == 3).all()
    assert (
        rows.loc[rows["task"] == "class1", "seeds_to_find_it"].item() == 2
    )  # the fewest there are
    found_by = rows.set_index("task")["delta"].to_dict()
    expected = {"class1": -1, "class2": -1, "first": fashion[1]}
    assert found_by == pytest.approx(expected, abs=0.1)


def late(every: Any, epochs: int) -> int:
    """Return how many values of a schedule lie in the second half of what it records."""
    steps = np.arange(epochs + 1) if every == "epoch" else np.array(every)
    return int((steps >= (steps[0] + steps[-1]) / 2).sum())


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.toml")), ids=lambda file: file.stem)
def test_every_study_records_what_its_verdicts_read(file: Path) -> None:
    """Thirty epochs with a value at the start and each end have sixteen late ones, not twenty."""
    for stage in read(file).stages:
        for run in stage.configurations():
            for probe in ("Sharpness", "GradientNoise"):
                if probe in run["record"]:
                    assert late(run["record"][probe]["every"], run["epochs"]) >= module(NAME).LATE


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.toml")), ids=lambda file: file.stem)
def test_every_stage_that_is_trained_is_read(file: Path) -> None:
    script = module(NAME)
    compared = {stage for stages in script.COMPARISONS.values() for stage in stages}
    for stage in read(file).stages:
        chosen_from = stage.name.startswith("tuning")
        assert chosen_from or stage.name in compared or stage.name.endswith(script.ALONE)


def test_a_factor_without_late_values_is_an_error(evaluate: Evaluate) -> None:
    def make_up(run: Run) -> Recorded:
        found = recorded(run, OPPOSITE, OPPOSITE, 0.0)
        early = {name: values[:10] for name, values in found["sharpness"].items()}
        return {**found, "sharpness": early}

    found = evaluate(NAME, STUDY, make_up)
    assert found.code == 1
    assert "sharpness has no value at the end of any pair of runs" in found.said
