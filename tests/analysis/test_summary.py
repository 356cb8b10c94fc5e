"""What stands for a run."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from trajlab.analysis import runs_from_frame
from trajlab.analysis.runs.groups import group
from trajlab.analysis.summary import Counts, largest_mean, late_mean, summarise_runs
from trajlab.errors import TrajlabError
from trajlab.store import Column, Trajectory, Writer
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


def test_the_lowest_training_loss_is_one_that_training_reached(tmp_path):
    """Not the loss before the first update, however low."""
    (row,) = summarise_runs(group([run(tmp_path, [0.5, 1.0, 2.0])])).to_dict("records")
    assert row["min_train_loss"] == 1


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


VECTORS = np.array(
    [[[1.0, 0, 0], [0, 2, 0], [-1, 1, 1]], [[2, 0, 0], [1, 1, 0], [1, 0, 0]]]
)  # of three tasks at two steps
GIVEN = np.array([1.0, 2.0, 4.0])


def write_everything(path, status="complete", **gradients):
    """Write a run of three tasks, each factor of which is recorded in another way."""
    tasks = ["a", "b", "c"]
    writer = Writer(path, tasks, metadata={"method": "sum", "seed": 3, "note": "x"})
    tables = [standard(f"evaluations/{split}", task=tasks) for split in ("train", "test")]
    accuracy = Column("accuracy", ("step", "task"), attributes={"higher_is_better": True})
    for table in (*tables, standard("evaluations/validation", task=tasks)):
        writer.declare(replace(table, columns=(*table.columns, accuracy)))
    for step in range(5):
        row = {"step": step, "loss": np.array([9, 8, 7]) - [0, step, 0 if step else 9]}
        for split, right in (("train", 0), ("test", 10 + step), ("validation", step in (2, 3))):
            accuracies = right * np.array([1.0, 2.0, 3.0])
            writer.append(f"evaluations/{split}", {**row, "accuracy": accuracies})
    given = {"task": tasks, "layer": ["one", "two"], "rho": [1e-2, 1e-3]}
    names = ("losses", "gradients", "sharpness", "noise", "fisher", "hessian")
    for name in names:
        table = standard(name, **given)
        writer.declare(replace(table, attributes=gradients) if name == "gradients" else table)
    for step, vectors in zip((1, 3), VECTORS, strict=True):
        writer.append("losses", {"step": step, "loss": [1.0] * 3, "weight": GIVEN})
        layers = np.stack([part @ part.T for part in np.split(vectors, [1], axis=1)])
        writer.append("gradients", {"step": step, "gram": layers})
    for step, value in ((0, 9.0), (1, 1.0), (2, 5.0), (3, 3.0), (4, np.nan)):
        at = {"step": step}
        of_rho = np.column_stack([[0.0] * 3, value * np.array([1.0, 2.0, np.nan])])
        writer.append("sharpness", {**at, "value": of_rho})
        writer.append("fisher", {**at, "trace": np.array([value, 2 * value, np.nan])})
        early = [value, value, value if step < 2 else np.nan]
        writer.append("hessian", {**at, "top": np.array(early)})
        writer.append(
            "noise", {**at, "covariance_trace": np.full(3, value if step == 3 else np.nan)}
        )
    writer.close(status)
    return Trajectory(path)


@pytest.mark.parametrize("complete", [True, False])
def test_every_number_of_a_run_stands_in_its_own_column(tmp_path, complete):
    runs = [
        write_everything(tmp_path / "one.h5", complete=complete),
        write_everything(tmp_path / "two.h5", "recording"),
    ]
    made = summarise_runs(
        group(runs), None, "test", "validation", Counts(best=2, last=2, largest=3)
    )
    assert made["run"].tolist() == [str(runs[0].path)] * 3  # the other never finished
    assert (made["note"].tolist(), made["method"].tolist()) == (["x"] * 3, ["sum"] * 3)
    assert made["metric"].tolist() == ["accuracy"] * 3
    # at steps 2 and 3, which are best on validation; the loss at step 0 does not count
    assert made["final_metric"].tolist() == [12.5, 25, 37.5]
    assert made["min_train_loss"].tolist() == [9, 4, 7]
    few, first = "fewer than 2 values", "the last 2 values begin in the first half of training"
    expected = {
        "sharpness": [4, 8, np.nan],  # the last two that are known
        "gradient_covariance": [np.nan] * 3,
        "fisher": [17 / 3, 34 / 3, np.nan],  # the largest three
        "hessian_top": [4, 4, np.nan],
    }
    unit = VECTORS / np.linalg.norm(VECTORS, axis=2, keepdims=True)
    update = np.einsum("k,skd->sd", GIVEN, VECTORS)
    to_update = np.einsum("skd,sd->sk", unit, update) / np.linalg.norm(update, axis=1)[:, None]
    others = np.array([[1, 2], [0, 2], [0, 1]])
    cosines = np.einsum("skd,sld->skl", unit, unit)[:, np.arange(3)[:, None], others]
    similarity = to_update.mean(axis=0)
    likeness = {
        "similarity": similarity,
        "excess_similarity": similarity - 3**-0.5,
        "mean_cosine": cosines.mean(axis=(0, 2)),
        "share_conflicting": np.array([1, 0, 1]) / 4,  # a and c, at the first step
    }
    for name, values in likeness.items():  # gradients of some layers have no total
        expected[name] = values.tolist() if complete else [np.nan] * 3
    table = {name: made[name].tolist() for name in expected}
    for name, values in expected.items():
        assert table[name] == pytest.approx(values, nan_ok=True), name
    reasons = f"gradient_covariance: {few}"
    assert made["reason"].tolist() == [reasons, reasons, f"{reasons}; hessian_top: {first}"]
