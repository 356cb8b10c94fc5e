"""The noise-corrected cosine."""

from importlib import import_module

import numpy as np
import pytest

from trajlab.analysis import conflict
from trajlab.analysis.conflict.corrected import corrected_frame, reading
from trajlab.analysis.diagnosis import verdict
from trajlab.store import Trajectory, Writer
from trajlab.store.schema import standard


def write_corrected(path, cosines, ses, *, flagged=True, **metadata):
    """Write a run with one step of gradients and a measured similarity of two tasks a step.

    Logs of other tools do not tell which gradients are noise (`flagged`).
    """
    tasks = ["left", "right"]
    writer = Writer(path, tasks, shared=["a.weight"], metadata=metadata)
    writer.declare(standard("gradients", task=tasks, layer=["a"]))
    writer.set_attributes("gradients", {"complete": True})
    writer.append("gradients", {"step": 0, "gram": np.eye(2)[None]})
    writer.declare(standard("similarity", *(["noise_dominated"] if flagged else []), task=tasks))
    for step, (cosine_, se) in enumerate(zip(cosines, ses, strict=True)):
        both = np.array([[1.0, cosine_], [cosine_, 1.0]])
        errors = np.full((2, 2), se)
        row = {"cosine": both, "se": errors, "ceiling": np.array([0.1, 0.3])}
        row |= {"noise_dominated": np.array([np.isnan(cosine_), False])} if flagged else {}
        writer.append("similarity", {"step": step, **row})
    writer.close()
    return Trajectory(path)


@pytest.mark.parametrize(
    ("cosines", "said", "sentence"),
    [
        ([0.9, 0.8, 0.85], "align", "The gradients of left and right align"),
        ([-0.9, -0.8, -0.85], "oppose", "left and right oppose each other"),
        ([-0.9, 0.8, 0.3], "cannot tell", "left and right oppose or align cannot be told"),
        ([np.nan] * 3, "noise-dominated", "left and right is noise-dominated: 3 measurements"),
    ],
)
def test_the_corrected_cosine_is_read_by_its_interval_over_runs(tmp_path, cosines, said, sentence):
    runs = [
        write_corrected(tmp_path / f"{seed}.h5", [value], [0.01], seed=seed)
        for seed, value in enumerate(cosines)
    ]
    result = conflict(runs)
    row = result.summary.iloc[0]
    assert row["reading"] == said
    assert row["mean_cosine"] == 0  # the batch cosine stands beside it, unchanged
    assert row["ceiling"] == pytest.approx(0.2)
    assert row["corrected_cosine"] == pytest.approx(np.mean(cosines), nan_ok=True)
    told = verdict([result])["sentence"]
    assert any(sentence in one for one in told)


def test_tasks_that_are_asked_for_in_another_order_keep_their_own_values(tmp_path):
    tasks = ["a", "b", "c"]
    cosine = np.array([[1, 0.1, 0.2], [0.1, 1, np.nan], [0.2, np.nan, 1]])
    noisy = np.array([False, False, True])
    ceiling, se = np.array([0.3, 0.5, 0.7]), np.abs(cosine) / 10
    writer = Writer(tmp_path / "run.h5", tasks, shared=["a.weight"])
    writer.declare(standard("similarity", "noise_dominated", task=tasks))
    row = {"cosine": cosine, "se": se, "ceiling": ceiling, "noise_dominated": noisy}
    writer.append("similarity", {"step": 0, **row})
    writer.close()
    run = Trajectory(writer.path)
    for asked in (["a", "b", "c"], ["c", "b", "a"], ["c", "a"], ["b", "c"]):
        rows = corrected_frame(run, asked)
        pairs = [(one, other) for i, one in enumerate(asked) for other in asked[i + 1 :]]
        assert list(zip(rows["task_a"], rows["task_b"], strict=True)) == pairs
        for found, pair in zip(rows.to_dict("records"), pairs, strict=True):
            i, j = map(tasks.index, pair)
            assert found["cosine"] == pytest.approx(cosine[i, j], nan_ok=True)
            assert found["se"] == pytest.approx(se[i, j], nan_ok=True)
            assert (found["ceiling_a"], found["ceiling_b"]) == (ceiling[i], ceiling[j])
            assert found["reason"] == ("noise-dominated" if {i, j} == {1, 2} else "")


def test_one_run_has_the_interval_of_its_jackknife_error(tmp_path):
    row = conflict([write_corrected(tmp_path / "0.h5", [0.4, 0.6], [0.2, 0.4])]).summary.iloc[0]
    assert row["corrected_cosine"] == pytest.approx(0.5)
    assert row["corrected_low"] == pytest.approx(0.5 - 1.959964 * 0.3)
    assert row["reading"] == "cannot tell"
    assert reading(0.1, 0.2) == "align"


def test_only_what_was_told_to_be_noise_is_called_noise(tmp_path):
    """A blank in somebody's log is no measurement that found noise."""
    blank = write_corrected(tmp_path / "0.h5", [np.nan, 0.4], [np.nan] * 2, flagged=False)
    result = conflict([blank])
    assert result.corrected["reason"].tolist() == ["not recorded", ""]
    row = result.summary.iloc[0]
    assert row["n_noise_dominated"] == 0
    assert row["corrected_cosine"] == pytest.approx(0.4)
    assert row["reading"] == "cannot tell"  # one run, and no error with it
    never = write_corrected(tmp_path / "1.h5", [np.nan] * 2, [np.nan] * 2, flagged=False)
    assert (
        not verdict([conflict([never])])["sentence"].str.contains("noise-dominated|corrected").any()
    )
    noise = write_corrected(tmp_path / "2.h5", [np.nan, 0.4], [0.1] * 2)
    assert conflict([noise]).corrected["reason"].tolist() == ["noise-dominated", ""]


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (-1.0, -1e-9, "oppose"),
        (-1.0, 0.0, "cannot tell"),
        (0.0, 1.0, "cannot tell"),
        (1e-9, 1.0, "align"),
        (np.nan, np.nan, "cannot tell"),
    ],
)
def test_an_interval_that_ends_at_0_excludes_nothing(low, high, said):
    assert reading(low, high) == said


def test_of_very_many_corrected_cosines_evenly_spaced_ones_are_read(tmp_path, monkeypatch):
    run = write_corrected(tmp_path / "0.h5", np.arange(7) / 10, np.arange(7) / 100)
    monkeypatch.setattr(import_module("trajlab.analysis.conflict.rows"), "MOST", 3)
    with pytest.warns(UserWarning, match="7 matrices of similarity; one in 3 is read"):
        rows = conflict([run]).corrected
    assert rows["step"].tolist() == [0, 3, 6]
    assert rows["cosine"].tolist() == [0, 0.3, 0.6]
    assert rows["se"].tolist() == [0, 0.03, 0.06]
    assert set(rows["ceiling_b"]) == {0.3}
