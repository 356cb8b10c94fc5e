"""Which examples each setting trains, chooses and tests on, and how they are scaled."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.io import loadmat

from trajlab.training.setting import Problem, Task
from trajlab.training.settings import setting

SIZES = {
    "yeast": (1317, 400, 700),
    "water-quality": (340, 83, 282),
    "exam": (12, 4, 4),  # of a school's 20 pupils
    "chem97": (12, 4, 4),
    "mnists": (100, 20, 30),  # of 120, with small sizes in place of the published ones
    "multi-fashion": (100, 20, 30),
    "FashionMTL": (50, 10, 30),
}
SPLITS = ("train", "validation", "test")


def arrays(task: Task, part: int) -> dict[str, np.ndarray]:
    """Return a task's inputs (0) or targets (1) by split."""
    return {split: np.asarray(task.splits[split][part]) for split in SPLITS}


def keys(inputs: np.ndarray) -> set[bytes]:
    """Return what tells examples apart, whatever they are scaled by, up to rounding."""
    flat = inputs.reshape(len(inputs), -1)
    order = flat - flat[:, :1]
    return {np.round(row[:8], 3).tobytes() for row in order}


@pytest.mark.parametrize("name", SIZES)
def test_splits_have_their_sizes_and_share_no_example(name: str, data: Path) -> None:
    for seed in (0, 3):
        problem = setting(name).build("", seed)
        for task in problem.tasks.values():
            inputs, targets = arrays(task, 0), arrays(task, 1)
            assert tuple(map(len, inputs.values())) == SIZES[name]
            assert tuple(map(len, targets.values())) == SIZES[name]
            if name not in ("exam", "chem97"):  # whose pupils are alike but for few columns
                distinct = [keys(inputs[split]) for split in SPLITS]
                assert len(set().union(*distinct)) == sum(map(len, distinct)) == sum(SIZES[name])


@pytest.mark.parametrize(
    ("name", "same"),
    [("yeast", True), ("multi-fashion", True), ("water-quality", True), ("exam", False)],
)
def test_a_seed_moves_training_and_leaves_published_test_sets(
    name: str, same: bool, data: Path
) -> None:
    one, other = (next(iter(setting(name).build("", seed).tasks.values())) for seed in (0, 1))
    assert np.array_equal(arrays(one, 1)["test"], arrays(other, 1)["test"]) == same
    moved = name != "water-quality"  # which is split by time
    assert np.array_equal(arrays(one, 1)["train"], arrays(other, 1)["train"]) != moved


@pytest.mark.parametrize(
    "name", ["yeast", "water-quality", "FashionMTL", "mnists", "multi-fashion"]
)
def test_inputs_are_scaled_by_the_training_examples_alone(name: str, data: Path) -> None:
    for task in setting(name).build("", 2).tasks.values():
        trained = arrays(task, 0)["train"].astype(np.float64)
        axes = None if trained.ndim == 4 else 0  # images as a whole, other features one by one
        assert np.abs(trained.mean(axes)).max() < 1e-4
        np.testing.assert_allclose(trained.std(axes), 1, rtol=1e-3)
        assert abs(arrays(task, 0)["test"].mean()) > 1e-4


def test_a_gene_keeps_its_features_and_classes(data: Path) -> None:
    table = pd.read_csv(data / "yeast" / "yeast.csv.gz").to_numpy(np.float32)
    problem = setting("yeast").build("class2+class14", 4)
    inputs = arrays(problem.tasks["class2"], 0)
    held_out = np.random.default_rng(0).permutation(2417)[:700]
    tested = table[held_out, :103]
    scaled = inputs["test"] * np.float32(1)
    slope = [np.polyfit(tested[:, k], scaled[:, k], 1) for k in (0, 50, 102)]
    for (rise, start), k in zip(slope, (0, 50, 102), strict=True):
        np.testing.assert_allclose(scaled[:, k], rise * tested[:, k] + start, atol=1e-4)
    for name, column in (("class2", 104), ("class14", 116)):
        assert np.array_equal(arrays(problem.tasks[name], 1)["test"], table[held_out, column])


def test_a_site_has_its_own_days_in_order(data: Path) -> None:
    content = loadmat(data / "water-quality" / "water_dataset.mat")
    scores = np.concatenate((content["Y_tr"], content["Y_te"]), 1)
    days = np.stack([*content["X_tr"][0], *content["X_te"][0]])
    problem = setting("water-quality").build("site1+site37", 0)
    for name, site in (("site1", 0), ("site37", 36)):
        inputs, targets = arrays(problem.tasks[name], 0), arrays(problem.tasks[name], 1)
        own = scores[site]
        wanted = (own - own[:340].mean()) / own[:340].std()
        found = np.concatenate([targets[split] for split in SPLITS])
        np.testing.assert_allclose(found, wanted, atol=1e-5)
        mean, spread = days[:340].mean(0)[site], days[:340].std(0)[site]
        everything = np.concatenate([inputs[split] for split in SPLITS])
        np.testing.assert_allclose(everything, (days[:, site] - mean) / spread, atol=1e-5)


def scores(problem: Problem, name: str) -> list[float]:
    found = np.concatenate([*arrays(problem.tasks[name], 1).values()])
    return sorted(found.tolist())


def test_a_group_has_its_own_pupils(data: Path) -> None:
    schools = pd.read_csv(data / "exam" / "Exam.csv")
    exam = setting("exam").build("school3+school65", 0)
    for number in (3, 65):
        own = schools.loc[schools["school"] == number, "normexam"]
        assert scores(exam, f"school{number}") == pytest.approx(sorted(own), abs=1e-6)
    areas = pd.read_csv(data / "chem97" / "Chem97.csv")
    chem97 = setting("chem97").build("area7+area131", 0)
    standard = (areas["score"] - areas["score"].mean()) / areas["score"].std()
    for number in (7, 131):
        own = standard[areas["lea"] == number]
        assert scores(chem97, f"area{number}") == pytest.approx(sorted(own), abs=1e-6)
    inputs = np.concatenate([*arrays(chem97.tasks["area7"], 0).values()])
    own = areas[areas["lea"] == 7]
    grade = (own["gcsescore"] - areas["gcsescore"].mean()) / areas["gcsescore"].std()
    age = (own["age"] - areas["age"].mean()) / areas["age"].std()
    wanted = np.column_stack([own["gender"] == "F", own["gender"] == "M", age, grade, grade**2])
    found = inputs[np.argsort(inputs[:, 3])]
    np.testing.assert_allclose(found, wanted[np.argsort(grade)], atol=1e-5)


@pytest.mark.parametrize(("name", "left_out"), [("exam", {48}), ("chem97", {8, 41})])
def test_groups_that_are_too_small_are_no_tasks(name: str, left_out: set[int]) -> None:
    number = {"exam": 65, "chem97": 131}[name]
    word = {"exam": "school", "chem97": "area"}[name]
    wanted = {f"{word}{i}" for i in range(1, number + 1)} - {f"{word}{i}" for i in left_out}
    assert {*setting(name).tasks("")} == wanted


def test_the_halves_of_fashion_are_two_tasks_and_pooled_both(data: Path) -> None:
    both = setting("FashionMTL").build("+fashion", 5).tasks
    (pooled,) = setting("FashionMTL").build("pooled", 5).tasks.values()
    first, second = (keys(arrays(both[name], 0)["train"]) for name in ("first", "second"))
    assert not first & second
    assert len(pooled.splits["train"][1]) == 100
    labels = [arrays(both[name], 1)["train"] for name in ("first", "second")]
    assert np.array_equal(arrays(pooled, 1)["train"], np.concatenate(labels))
    validation = arrays(pooled, 1)["validation"]
    assert np.array_equal(validation, arrays(both["first"], 1)["validation"])
    other = setting("FashionMTL").build("+other", 5).tasks
    assert torch.equal(other["first"].splits["train"][0], both["first"].splits["train"][0])
    assert not keys(arrays(other["second"], 0)["train"]) & (first | second)
