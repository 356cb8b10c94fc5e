"""What stands for a run."""

import numpy as np
import pandas as pd
import pytest

from trajlab.analysis import runs_from_frame
from trajlab.analysis.runs.groups import group
from trajlab.analysis.summary import Counts, largest_mean, late_mean, summarise_runs
from trajlab.errors import TrajlabError
from trajlab.store import Trajectory, Writer
from trajlab.store.schema import standard


def test_the_excess_similarity_is_above_that_of_orthogonal_gradients(tmp_path):
    for seed in range(2):
        path = tmp_path / f"{seed}.h5"
        writer = Writer(path, ["left", "right", "top"], metadata={"method": "a", "seed": seed})
        writer.declare(standard("similarity", task=["left", "right", "top"]))
        writer.append("similarity", {"step": 1, "cosine_to_update": np.array([0.8, 0.6, 3**-0.5])})
        writer.close()
    rows = summarise_runs(group([Trajectory(tmp_path / f"{i}.h5") for i in range(2)]))
    expected = [0.8 - 3**-0.5, 0.6 - 3**-0.5, 0] * 2
    assert rows["excess_similarity"].tolist() == pytest.approx(expected)


def run(tmp_path, loss, validation=None, name="test"):
    """Return a run of one task, its test losses those of training, doubled."""
    tables = {"train": loss, name: 2 * np.asarray(loss, float)}
    tables |= {} if validation is None else {"validation": validation}
    writer = Writer(tmp_path / "run.h5", ["left"], metadata={"seed": 0})
    for split, values in tables.items():
        writer.declare(standard(f"evaluations/{split}", task=["left"]))
        for step, value in enumerate(values):
            writer.append(f"evaluations/{split}", {"step": step, "loss": np.array([value])})
    writer.close()
    return Trajectory(tmp_path / "run.h5")


@pytest.mark.parametrize("begins", [49, 50])
def test_late_values_begin_in_the_second_half_of_the_steps(begins):
    """The last three of 0 to 100."""
    step = np.array([0, 1, begins, 99, 100])
    mean, reason = late_mean(step, np.array([7.0, 7, 1, 2, 6]), Counts(last=3))
    if begins == 50:
        assert (mean, reason) == (3, "")
    else:
        assert np.isnan(mean)
        assert reason == "the last 3 values begin in the first half of training"


def test_of_values_that_are_too_few_no_mean_is_taken():
    step, values = np.arange(6), np.array([5.0, np.nan, 1, 2, np.inf, 4])
    assert late_mean(step + 100, values, Counts(last=4))[1].startswith("the last 4 values begin")
    assert late_mean(step, values, Counts(last=5)) == (pytest.approx(np.nan, nan_ok=True), few(5))
    assert largest_mean(step, values, Counts(largest=3)) == (pytest.approx(11 / 3), "")
    assert largest_mean(step, values, Counts(largest=4)) == (3, "")
    assert largest_mean(step, values, Counts(largest=5))[1] == few(5)


def few(number):
    return f"fewer than {number} values"


@pytest.mark.parametrize("chosen", [True, False])
def test_a_loss_has_its_own_sign_and_is_read_where_validation_is_best(tmp_path, chosen):
    """Twenty evaluations, of which two stand for the run."""
    loss = np.append(99, np.linspace(2, 1, 20))
    validation = np.append(99, (np.arange(20) - 5.4) ** 2) if chosen else None
    (row,) = summarise_runs(group([run(tmp_path, loss, validation)])).to_dict("records")
    expected = 2 * (loss[[6, 7]] if chosen else loss[-2:]).mean()
    assert row["final_metric"] == pytest.approx(expected)
    assert row["min_train_loss"] == 1
    assert not row["higher_is_better"]


def test_a_metric_of_which_more_is_better_is_as_it_was_recorded():
    accuracy = np.linspace(0.5, 0.9, 20)
    columns = {"step": np.arange(1, 21), "train_loss": np.linspace(2, 1, 20)}
    runs = runs_from_frame(pd.DataFrame({**columns, "accuracy": accuracy}), metrics=["accuracy"])
    (row,) = summarise_runs(group(runs)).to_dict("records")
    assert row["final_metric"] == pytest.approx(accuracy[-2:].mean())
    assert row["higher_is_better"]


def test_a_run_that_was_not_evaluated_has_no_score(tmp_path):
    (row,) = summarise_runs(group([run(tmp_path, [1.0, 1.0], name="validation")])).to_dict(
        "records"
    )
    assert np.isnan([row["final_metric"], row["min_train_loss"]]).all()
    assert row["reason"] == ""


def test_a_run_that_diverged_says_so(tmp_path):
    (row,) = summarise_runs(group([run(tmp_path, [2.0, 1.0, np.nan])])).to_dict("records")
    assert np.isnan([row["final_metric"], row["min_train_loss"]]).all()
    assert row["reason"] == "diverged"


def test_a_metric_that_no_run_recorded_is_refused_and_without_one_all_are_read(tmp_path):
    groups = group([run(tmp_path, [2.0, 1.0])])
    assert summarise_runs(groups)["metric"].tolist() == ["loss"]
    with pytest.raises(TrajlabError, match="f1"):
        summarise_runs(groups, "f1")
