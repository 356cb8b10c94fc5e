"""Conflict against gradients written out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from trajlab.analysis import conflict
from trajlab.analysis.conflict import multitask, similarity
from trajlab.analysis.conflict.corrected import reading
from trajlab.analysis.diagnosis import verdict
from trajlab.errors import TrajlabError
from trajlab.store import Trajectory, Writer
from trajlab.store.schema import standard

GRADIENTS = arrays(np.float64, (4, 6), elements=st.floats(-10, 10).map(lambda x: round(x, 3)))


def write(path, gradients, *, weights=None, layers=("a", "b"), attributes=None, **metadata):
    """Write a run whose gradients (step, task, parameter) belong half to each layer."""
    tasks = ["left", "right", "top"][: gradients.shape[1]]
    writer = Writer(path, tasks, shared=["a.weight", "b.weight"], metadata=metadata)
    writer.declare(standard("gradients", task=tasks, layer=layers))
    writer.declare(standard("losses", task=tasks))
    writer.set_attributes("gradients", {"complete": True, **(attributes or {})})
    for step, g in enumerate(gradients):
        halves = np.split(g, 2, axis=1)
        writer.append("gradients", {"step": step, "gram": np.array([h @ h.T for h in halves])})
        weight = np.ones(len(tasks)) if weights is None else weights[step]
        writer.append("losses", {"step": step, "micro_step": step, "weight": weight})
    writer.close()
    return Trajectory(path)


def cosine(a, b):
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


@given(GRADIENTS, arrays(np.float64, 4, elements=st.floats(0.1, 3)))
def test_similarity_agrees_with_the_gradients_themselves(gradients, weights):
    gram = gradients @ gradients.T
    update = weights @ gradients
    norms = np.linalg.norm(gradients, axis=1)
    for i in range(4):
        others = update - weights[i] * gradients[i]
        for vector, value in (
            (update, similarity.cosine_to_update(gram, weights)[i]),
            (others, similarity.cosine_to_others(gram, weights)[i]),
        ):
            if norms[i] == 0:
                assert np.isnan(value)
            elif np.linalg.norm(vector) > 1e-3:
                assert value == pytest.approx(cosine(gradients[i], vector), abs=1e-6)
        for j in range(4):
            if norms[i] and norms[j]:
                expected = 2 * norms[i] * norms[j] / (norms[i] ** 2 + norms[j] ** 2)
                found = similarity.magnitude_similarity(gram)[i, j]
                assert found == pytest.approx(expected, abs=1e-9)
                found = similarity.cosine(gram)[i, j]
                assert found == pytest.approx(cosine(gradients[i], gradients[j]), abs=1e-9)


@given(GRADIENTS, st.floats(1e-3, 1e3))
def test_cosines_ignore_scale(gradients, scale):
    gram = gradients @ gradients.T
    assert similarity.cosine(gram * scale**2) == pytest.approx(
        similarity.cosine(gram), abs=1e-9, nan_ok=True
    )


def test_orthogonal_gradients_of_equal_norm_have_one_over_root_k():
    assert similarity.cosine_to_update(np.eye(4), np.ones(4)) == pytest.approx(np.full(4, 0.5))
    assert similarity.cosine_to_others(np.eye(4), np.ones(4)) == pytest.approx(np.zeros(4))


def test_a_missing_task_leaves_the_others_alone():
    gram = np.array([[1.0, 0.5, np.nan], [0.5, 1.0, np.nan], [np.nan, np.nan, np.nan]])
    found = similarity.cosine_to_update(gram, np.ones(3))
    assert found[:2] == pytest.approx(similarity.cosine_to_update(gram[:2, :2], np.ones(2)))
    assert np.isnan(found[2])


def test_tiny_gradients_keep_their_cosine():
    gram = 1e-250 * np.array([[2.0, 1.0], [1.0, 2.0]])
    assert similarity.cosine(gram)[0, 1] == pytest.approx(0.5)


def test_tables_of_two_runs(tmp_path):
    gradients = np.random.default_rng(0).normal(size=(2, 5, 2, 8))
    runs = [
        write(tmp_path / f"{seed}.h5", g, method="uniform", setting="digits", seed=seed)
        for seed, g in enumerate(gradients)
    ]
    result = conflict(runs)
    expected = np.array([[cosine(*g) for g in run] for run in gradients])
    assert result.pairs["cosine"].to_numpy() == pytest.approx(expected.ravel())
    assert (result.pairs["conflicting"] == (result.pairs["cosine"] < 0)).all()
    assert result.pairs["step"].tolist() == [*range(5)] * 2
    means = expected.mean(axis=1)
    half_width = 12.706204736 * means.std(ddof=1) / np.sqrt(2)
    row = result.summary.iloc[0]
    assert row["mean_cosine"] == pytest.approx(means.mean())
    assert row["low"] == pytest.approx(means.mean() - half_width)
    assert row["high"] == pytest.approx(means.mean() + half_width)
    assert row["share_conflicting"] == pytest.approx((expected < 0).mean())
    named = row[["setting", "condition", "method", "task_a", "task_b", "layer", "n_runs"]].tolist()
    assert named == ["digits", "", "uniform", "left", "right", "all", 2]
    assert list(result.tables()) == [
        *("pairs", "similarity", "summary", "tasks", "overall", "corrected", "across_time")
    ]


def test_layers_stand_beside_the_total(tmp_path):
    gradients = np.random.default_rng(1).normal(size=(3, 2, 8))
    pairs = conflict([write(tmp_path / "0.h5", gradients)], layers=True).pairs
    for layer, columns in (("all", slice(8)), ("a", slice(4)), ("b", slice(4, 8))):
        found = pairs.loc[pairs["layer"] == layer, "cosine"].to_numpy()
        assert found == pytest.approx([cosine(*g[:, columns]) for g in gradients])


def test_the_update_has_the_recorded_weights(tmp_path):
    gradients = np.random.default_rng(2).normal(size=(3, 3, 8))
    weights = np.array([[1.0, 2.0, 0.5], [3.0, 1.0, 1.0], [0.0, 0.0, 1.0]])
    frame = conflict([write(tmp_path / "0.h5", gradients, weights=weights)]).similarity
    expected = [[cosine(row, w @ g) for row in g] for g, w in zip(gradients, weights, strict=True)]
    assert frame["cosine_to_update"].to_numpy() == pytest.approx(np.ravel(expected))


def test_zero_gradients_are_counted(tmp_path):
    gradients = np.random.default_rng(3).normal(size=(4, 2, 8))
    gradients[1, 0] = 0
    result = conflict([write(tmp_path / "0.h5", gradients)])
    row = result.summary.iloc[0]
    assert (row["n_zero"], row["n_missing"]) == (1, 0)
    assert result.pairs["cosine"].isna().tolist() == [False, True, False, False]
    assert result.pairs["reason"].tolist() == ["", "zero gradient", "", ""]
    assert row["mean_cosine"] == pytest.approx(result.pairs["cosine"].mean())
    assert np.isnan(row["low"])
    assert row["reason"] == "fewer than two runs: no interval"


def test_single_task_runs_are_passed_over(tmp_path):
    rng = np.random.default_rng(4)
    multi = write(tmp_path / "multi.h5", rng.normal(size=(3, 2, 8)), method="uniform")
    single = write(tmp_path / "single.h5", rng.normal(size=(3, 1, 8)))
    assert conflict([multi, single]).summary["method"].tolist() == ["uniform"]
    with pytest.raises(TrajlabError, match=r"gradients of two or more tasks; .*TaskGradients"):
        conflict([single])


def test_a_subset_of_layers_has_no_total(tmp_path):
    gradients = np.ones((2, 2, 8))
    run = write(tmp_path / "0.h5", gradients, attributes={"complete": False})
    with pytest.raises(TrajlabError, match="some layers only"):
        conflict([run])


def test_runs_with_other_shared_parameters_are_not_averaged(tmp_path):
    runs = [write(tmp_path / f"{seed}.h5", np.ones((2, 2, 8)), seed=seed) for seed in range(2)]
    runs[1].shared = ["a.weight"]
    with pytest.raises(TrajlabError, match="share different parameters"):
        conflict(runs)


def write_corrected(path, cosines, ses, **metadata):
    """Write a run with one step of gradients and a measured similarity of two tasks a step."""
    tasks = ["left", "right"]
    writer = Writer(path, tasks, shared=["a.weight"], metadata=metadata)
    writer.declare(standard("gradients", task=tasks, layer=["a"]))
    writer.set_attributes("gradients", {"complete": True})
    writer.append("gradients", {"step": 0, "gram": np.eye(2)[None]})
    writer.declare(standard("similarity", task=tasks))
    for step, (cosine_, se) in enumerate(zip(cosines, ses, strict=True)):
        both = np.array([[1.0, cosine_], [cosine_, 1.0]])
        errors = np.full((2, 2), se)
        row = {"cosine": both, "se": errors, "ceiling": np.array([0.1, 0.3])}
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


def test_one_run_has_the_interval_of_its_jackknife_error(tmp_path):
    row = conflict([write_corrected(tmp_path / "0.h5", [0.4, 0.6], [0.2, 0.4])]).summary.iloc[0]
    assert row["corrected_cosine"] == pytest.approx(0.5)
    assert row["corrected_low"] == pytest.approx(0.5 - 1.959964 * 0.3)
    assert row["reading"] == "cannot tell"
    assert reading(0.1, 0.2) == "align"


def test_directional_and_magnitude_conflict_and_norm_share_by_hand():
    gram = np.array([[4.0, 0.0], [0.0, 1.0]])  # orthogonal, norms 2 and 1
    assert multitask.directional(gram) == pytest.approx(0)
    assert multitask.magnitude(gram) == pytest.approx(1.5**2 / 2.5**2)
    assert multitask.norm_share(gram) == pytest.approx([2 / 3, 1 / 3])
    opposed = np.array([[1.0, -1.0], [-1.0, 1.0]])
    assert multitask.directional(opposed) == pytest.approx(-0.5)
    assert multitask.magnitude(opposed) == pytest.approx(0)


def test_early_and_late_are_the_first_and_last_tenth(tmp_path):
    gradients = np.zeros((20, 2, 8))
    gradients[:, 0, 0] = 1
    gradients[:, 1, 0], gradients[:, 1, 1] = (
        [1] * 2 + [0] * 16 + [-1] * 2,
        [0] * 2 + [1] * 16 + [0] * 2,
    )
    result = conflict([write(tmp_path / "0.h5", gradients)])
    row = result.summary.iloc[0]
    assert (row["cosine_early"], row["cosine_late"]) == (1, -1)
    assert result.overall["directional_early"][0] == pytest.approx(0.5)
    assert result.overall["directional_late"][0] == pytest.approx(-0.5)
    task = result.tasks.iloc[0]
    assert task["excess_early"] == pytest.approx(1 - 2**-0.5)
    assert task["norm_share"] == pytest.approx(0.5)


def test_the_noise_scale_is_told_by_task_and_over_all(tmp_path):
    """Two runs: the left task is three times as noisy, and the noise grows by 1 an epoch."""
    runs = []
    for seed in range(2):
        write(tmp_path / f"{seed}.h5", np.ones((4, 2, 8)), seed=seed)
        writer = Writer(tmp_path / f"{seed}.h5", ["left", "right"], resume=True, allow_changes=True)
        writer.declare(standard("noise", task=["left", "right"]))
        for epoch in range(10):
            scale = np.array([3.0, 1.0]) * (1 + epoch + seed)
            writer.append("noise", {"step": epoch, "noise_scale": scale})
        writer.close()
        runs.append(Trajectory(tmp_path / f"{seed}.h5"))
    result = conflict(runs)
    tasks = result.tasks.set_index("task")
    assert tasks["noise_scale"].to_dict() == {"left": 18.0, "right": 6.0}
    overall = result.overall.iloc[0]
    assert overall[["noise", "noise_early", "noise_late"]].tolist() == [12.0, 3.0, 21.0]
    assert tasks.loc["left", "noise_scale_high"] == pytest.approx(18 + 12.7062 * 1.5)
