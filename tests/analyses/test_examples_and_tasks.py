"""Verdicts on C18 of gradients that are made up."""

from collections.abc import Callable

import numpy as np
import pytest

from trajlab.store import Column, Table
from trajlab.study.run import Run

from .conftest import Evaluate, Recorded, jitter, module

NAME = "examples_and_tasks"
STUDY = """
epochs = 3
stage = [
    { name = "fashion", setting = "multi-fashion", seed = [0, 1, 2] },
    { name = "yeast", setting = "yeast", condition = "class1+class2", seed = [0, 1, 2] },
]
"""


@pytest.fixture(autouse=True)
def with_example_conflict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the writer of made-up runs know the probe's table."""
    known = module_of_conftest().standard

    def standard(name: str, **axes: object) -> Table:
        if name != "example_conflict":
            return known(name, **axes)
        pair = ("step", "size", "task", "other_task")
        names = ("cosine", "negative", "magnitude")
        columns = [Column(f"{of}{n}", pair) for of in ("", "same_") for n in names]
        task = list(axes["task"])  # type: ignore[call-overload]
        return Table(name, tuple(columns), {"size": [1, 16], "task": task, "other_task": task})

    monkeypatch.setattr(module_of_conftest(), "standard", standard)


def module_of_conftest():  # type: ignore[no-untyped-def]
    from . import conftest

    return conftest


def make(less: float, magnitude: float) -> Callable[[Run], Recorded]:
    """At 16 examples conflicts between examples are rarer by `less`; at 1 they are as frequent."""

    def make_up(run: Run) -> Recorded:
        noise = float(jitter(run, (1,), 0.002)[0])
        shares, sizes = np.full((2, 2, 2, 2), 0.4), np.full((2, 2, 2, 2), 0.8)
        tasks = np.array([0.0, less + noise])[:, None, None]
        diagonal = np.eye(2, dtype=bool)
        same = np.where(diagonal, np.nan, shares + tasks)
        same_sizes = np.where(diagonal, np.nan, sizes - np.array([0.0, magnitude])[:, None, None])
        noisy = same_sizes + noise
        return {
            "example_conflict": {
                "step": np.array([1, 2]),
                "cosine": shares,
                "negative": shares,
                "magnitude": sizes,
                "same_cosine": same,
                "same_negative": same,
                "same_magnitude": noisy,
            }
        }

    return make_up


@pytest.mark.parametrize(
    ("less", "magnitude", "verdict"),
    # the intervals are some .01 wide
    [
        (0.0, 0.2, "supported"),
        (-0.3, 0.2, "supported"),
        (0.03, 0.2, "supported"),
        (0.05, 0.2, "undecided"),
        (0.07, 0.2, "not supported"),
        (0.0, 0.0, "not supported"),  # magnitudes are alike
        (0.0, -0.2, "supported"),
    ],
)
def test_what_is_made_up_is_found(
    evaluate: Evaluate, less: float, magnitude: float, verdict: str
) -> None:
    found = evaluate(NAME, STUDY, make(less, magnitude), draw=less == 0)
    assert found.code == 0, found.said
    assert set(found.verdicts.values()) == {verdict}


@pytest.mark.parametrize(
    ("negative", "magnitude", "verdict"),
    [
        ((-0.049, 0.1), (0.021, 0.3), "supported"),
        ((-0.051, 0.1), (0.021, 0.3), "undecided"),
        ((-0.2, -0.051), (0.021, 0.3), "not supported"),
        ((-0.2, -0.049), (0.021, 0.3), "undecided"),
        ((0.0, 0.1), (0.001, 0.021), "supported"),
        ((0.0, 0.1), (0.001, 0.019), "not supported"),
        ((0.0, 0.1), (-0.001, 0.021), "undecided"),
        ((0.0, 0.1), (-0.3, -0.021), "supported"),
        ((np.nan, np.nan), (np.nan, np.nan), "undecided"),
    ],
)
def test_intervals_on_either_side_of_the_rule(
    negative: tuple[float, float], magnitude: tuple[float, float], verdict: str
) -> None:
    row = dict(zip(("negative_low", "negative_high"), negative, strict=True))
    row |= dict(zip(("magnitude_low", "magnitude_high"), magnitude, strict=True))
    assert module(NAME).conflicts(row) == verdict


def test_a_missing_seed_withholds_the_verdict(evaluate: Evaluate) -> None:
    made = make(0.0, 0.2)
    found = evaluate(NAME, STUDY, lambda run: None if run.plan.seed == 2 else made(run))
    assert set(found.verdicts.values()) == {"undecided"}


def test_without_runs_there_is_one_sentence(evaluate: Evaluate) -> None:
    found = evaluate(NAME, STUDY, lambda run: None)
    assert found.code == 1
    assert "no seed is finished in any setting" in found.said
