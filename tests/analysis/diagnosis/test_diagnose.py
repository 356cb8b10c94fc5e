"""All analyses in one."""

from dataclasses import replace

import pandas as pd
import pytest

from trajlab.analysis import Factors, diagnose, gap, runs_from_frame, verdict
from trajlab.analysis.diagnosis import families
from trajlab.analysis.runs.groups import group
from trajlab.errors import TrajlabError


def test_diagnose_on_the_reference(reference):
    result = diagnose(reference, baseline={"method": "STL"}, selection_split="test")
    told = result.verdict.groupby("method")["sentence"].first()
    score = "Δ of test accuracy (evaluations best on test itself)"
    assert told["MTL+Fashion"].startswith(f"Improved: {score} = +0.989")
    assert told["MTL+Noisy"].startswith(f"Lowered: {score} = -1.57")
    assert set(result.results) == {"gap", "factors"}
    assert set(result.skipped) == {"conflict", "front", "correlate", "geometry", "weighting"}
    assert list(result.tables()) == ["verdict", "analyses"]


def test_diagnose_one_run_alone(reference):
    result = diagnose(reference[:1])
    assert result.verdict["sentence"].tolist() == [
        "Not compared: the runs are one group, so there is nothing to compare them with. Reached: "
        "test accuracy 87.98, lowest training loss 7.8e-05 (n = 1)."
    ]


@pytest.mark.parametrize(("wider", "told"), [(0.999, False), (1.001, True)])
def test_a_margin_is_told_where_the_90_percent_interval_lies_within_it(wider, told):
    """The end that is farther from 0 is the margin, but for a thousandth."""
    values = {"single": (0.3, 0.5, 0.9, 0.6), "joint": (0.4, 0.6, 0.7, 0.65)}
    rows = [
        {"method": method, "seed": seed, "step": step, "train_loss": 1 / step, "accuracy": value}
        for method, own in values.items()
        for seed, value in enumerate(own)
        for step in range(1, 4)
    ]
    runs = runs_from_frame(pd.DataFrame(rows), metrics=["accuracy"])
    one = {"baseline": {"method": "single"}}
    interval = gap(runs, confidence=0.9, **one).summary.iloc[0]
    margin = wider * float(interval[["delta_low", "delta_high"]].abs().max())
    sentence = diagnose(runs, margin=margin, **one).verdict["sentence"].iloc[0]
    whole = f"No transfer larger than {margin:g}: the 90% interval of Δ is ["
    assert sentence.startswith(whole) == told


def test_every_option_reaches_every_analysis_that_has_it():
    """None at its default, and no two alike, so that none can stand for another."""
    rows = [
        {"method": method, "width": 4, "lr": 0.1, "seed": seed, "task": task, "step": step}
        | {"tokens": 10.0 * step, "train_loss": 1 / step, "losses/loss": 2 / step}
        | {"losses/weight": 1.0 + (step + seed) % 3 * (task == "left")}
        | {"evaluations/validation/accuracy": step + better + (step * seed) % 7 / 10}
        | {"evaluations/test/accuracy": step % 5, "evaluations/train/accuracy": step}
        for better, method in enumerate(("scalarization", "pcgrad"))
        for seed in range(8)
        for task in ("left", "right")
        for step in range(1, 13)
    ]
    runs = runs_from_frame(pd.DataFrame(rows))
    options = {
        "baseline": {"method": "pcgrad"},  # not that of the fronts
        "against": {"width": "4"},
        "metric": "accuracy",
        "split": "validation",
        "selection_split": "test",
        "x": "tokens",
        "loss": "losses",
        "at": [50.0],
        "rule": "bins",
        "interval": "bootstrap",
        "onset": "first",
        "window": "ten",
        "sensitivity": True,
        "margin": 0.25,
        "confidence": 0.7,
        "seed": 5,
        "group_by": ["lr"],
    }
    result = diagnose(runs, **options)
    given = {**options, "group_by": ["lr", "width"]}
    assert result.settings == given
    assert {"gap", "front", "weighting"} <= set(result.results)
    for name, each in result.results.items():
        own = families.FAMILIES[name].settings(group(runs, given["group_by"]))
        for option, value in given.items():
            if option in families.FAMILIES[name].analyse.__kwdefaults__:
                assert each.settings[option] == own.get(option, value), (name, option)
    told = verdict([result.results["gap"]], margin=0.25)["sentence"].tolist()
    assert result.verdict.query("analysis == 'gap'")["sentence"].tolist() == told


def test_the_key_that_names_the_baseline_tells_groups_apart():
    rows = [
        {"lr": lr, "seed": 0, "step": step, "train_loss": 1 / step, "accuracy": lr}
        for lr in (0.1, 0.2)
        for step in range(1, 4)
    ]
    result = diagnose(
        runs_from_frame(pd.DataFrame(rows), metrics=["accuracy"]), baseline={"lr": "0.1"}
    )
    assert result.results["gap"].summary["delta"].tolist() == pytest.approx([0.1])
    assert (result.verdict["lr"] == "0.2").all()


def test_runs_that_nothing_compares_are_told_by_the_metric_and_split_that_were_asked_for():
    """Of the whole ones, on what the ten best on the split of choice reached."""
    rows = [
        {"seed": seed, "task": task, "step": step, "train_loss": (seed + 1) / step}
        | {"evaluations/validation/accuracy": float(step), "evaluations/validation/error": seed}
        | {"evaluations/test/accuracy": -float(step)}
        for seed in range(2)
        for task in ("left", "right")
        for step in range(1, 6)
    ]
    runs = runs_from_frame(pd.DataFrame(rows))
    told = diagnose(runs, metric="accuracy", split="validation", selection_split="test").verdict
    assert told["task"].tolist() == ["left", "right"]
    assert (told["n_runs"] == 2).all()
    assert (told["metric"] == "accuracy").all()
    assert told["numbers"].tolist() == ["final_metric = 1, min_train_loss = 0.3"] * 2
    reached = "Reached: validation accuracy 1, lowest training loss 0.3 (n = 2)."
    assert told["sentence"].str.endswith(reached).all()


def test_diagnose_refuses_what_it_cannot_use(make_run, reference):
    with pytest.raises(TrajlabError, match="margin must be positive"):
        diagnose(reference, margin=0.0)
    with pytest.raises(TrajlabError, match="no run is a baseline"):
        diagnose(reference, baseline={"method": "none"})
    running = make_run({"train": {"loss": [1.0, 0.5]}}, status="recording")
    with pytest.raises(TrajlabError, match="no run is complete"):
        diagnose([running])


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (TrajlabError("the runs are odd"), "the runs are odd"),
        (ZeroDivisionError("by zero"), "unforeseen ZeroDivisionError: by zero"),
    ],
)
def test_one_analysis_that_fails_is_a_row_with_its_reason(reference, monkeypatch, error, reason):
    def fail(*, runs):
        raise error

    broken = replace(families.FAMILIES["factors"], analyse=lambda runs: fail(runs=runs))
    monkeypatch.setitem(families.FAMILIES, "factors", broken)
    result = diagnose(reference, baseline={"method": "STL"})
    row = result.analyses.set_index("analysis").loc["factors"]
    assert (row["state"], row["reason"]) == ("failed", reason)
    assert result.skipped["factors"] == reason
    assert set(result.results) == {"gap"}
    assert "Improved" in " ".join(result.verdict["sentence"])


def test_sentences_that_cannot_be_made_cost_one_analysis(reference, monkeypatch):
    def fail(*arguments):
        raise KeyError("delta_p")

    monkeypatch.setattr(Factors, "sentences", fail)
    result = diagnose(reference, baseline={"method": "STL"})
    assert result.skipped["factors"] == "unforeseen KeyError: 'delta_p'"
    assert "Improved" in " ".join(result.verdict["sentence"])
