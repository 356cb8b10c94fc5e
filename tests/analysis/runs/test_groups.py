"""Which runs belong together and what each is compared with."""

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from trajlab.analysis import gap, runs_from_frame
from trajlab.analysis.runs.groups import ONE_TASK, alone, compare, group, one_task
from trajlab.errors import TrajlabError


def run(tasks=("left",), status="complete", **metadata):
    name = "-".join(str(value) for value in metadata.values())
    return SimpleNamespace(
        tasks=list(tasks), status=status, metadata=metadata, path=Path(f"{name}.h5")
    )


def seeds(n=2, **metadata):
    return [run(**metadata, seed=seed) for seed in range(n)]


def compared(runs, baseline=None, against=None, group_by=()):
    comparisons = compare(group(runs, group_by), baseline or {"method": "single"}, against)
    return {(c.group.label, c.task): c.baseline.label if c.baseline else None for c in comparisons}


def test_runs_of_a_group_differ_in_seed_alone():
    runs = [*seeds(method="single"), *seeds(method="uniform"), *seeds(method="uniform", lr=0.1)]
    with pytest.raises(TrajlabError, match=r"uniform-0\.h5 and uniform-0\.1-0\.h5 differ in 'lr'"):
        group(runs)
    assert [len(item.runs) for item in group(runs, ["lr"])] == [2, 2, 2]


def test_pairs_may_differ_too():
    runs = [run(method="single", seed=s, pair_id=s) for s in range(2)]
    assert len(group(runs)) == 1


def test_one_seed_counts_once():
    with pytest.raises(TrajlabError, match="same group and seed"):
        group([run(method="single", seed=0), run(method="single", seed=0)])
    again = [run(method="single", seed=0, status="recording"), run(method="single", seed=0)]
    assert [(len(item.runs), len(item.incomplete)) for item in group(again)] == [(1, 1)]


def test_each_task_alone_and_all_together():
    alone = [run(tasks=(t,), method="single", task=t, seed=0) for t in ("digit", "parity")]
    runs = [*alone, run(tasks=("digit", "parity"), method="uniform", seed=0)]
    comparisons = compare(group(runs), {"method": "single"})
    found = {c.task: [r.tasks for r in c.baseline.with_task(c.task)] for c in comparisons}
    assert found == {"digit": [["digit"]], "parity": [["parity"]]}
    with pytest.raises(TrajlabError, match="same group and seed"):
        group([*runs, run(tasks=("digit",), method="single", task="digit", seed=0)])
    with pytest.raises(TrajlabError, match="differ in 'lr'"):
        group([*runs, run(tasks=("digit",), method="single", task="digit", seed=1, lr=0.1)])


def test_one_task_is_single_by_default():
    found = group([run(), run(tasks=("left", "right"))])
    assert [item.keys["method"] for item in found] == ["single", ""]


def test_nothing_to_group():
    with pytest.raises(TrajlabError, match="no runs to analyse"):
        group([])
    with pytest.raises(TrajlabError, match=r"no run has the metadata key 'size' .*seed"):
        group(seeds(method="single"), ["size"])


def test_the_baseline_of_equal_condition_comes_first():
    runs = seeds(method="single", condition="+x") + seeds(method="single", condition="")
    runs += seeds(method="uniform", condition="+x") + seeds(method="uniform", condition="+y")
    with pytest.raises(TrajlabError, match=r"condition=\+y has several baselines"):
        compared(runs)
    assert compared(runs, {"method": "single", "condition": ""}) == {
        ("method=single, condition=+x", "left"): "method=single",
        ("method=uniform, condition=+x", "left"): "method=single",
        ("method=uniform, condition=+y", "left"): "method=single",
    }
    assert compared(runs[:6])["method=uniform, condition=+x", "left"] == (
        "method=single, condition=+x"
    )
    without = [item for item in runs if item.metadata["condition"] != "+x"]
    assert set(compared(without).values()) == {"method=single"}


def test_the_baseline_of_equal_group_by_key_comes_first():
    runs = [*seeds(method="single", lr=1), *seeds(method="single", lr=2)]
    runs += seeds(method="uniform", lr=2)
    found = compared(runs, group_by=["lr"])
    assert found == {("method=uniform, lr=2", "left"): "method=single, lr=2"}


def test_a_baseline_is_of_the_same_setting_and_task():
    runs = seeds(method="single", setting="a")
    runs.append(run(method="uniform", setting="a", tasks=("left", "right")))
    assert compared(runs) == {
        ("method=uniform", "left"): "method=single",
        ("method=uniform", "right"): None,
    }
    with pytest.raises(TrajlabError, match=r"no run shares setting and task .*b: left.* a: left"):
        compared([*seeds(method="single", setting="a"), *seeds(method="uniform", setting="b")])


def test_against_narrows():
    runs = seeds(method="single") + seeds(method="uniform") + seeds(method="pcgrad")
    assert set(compared(runs, against={"method": "pcgrad"})) == {("method=pcgrad", "left")}
    with pytest.raises(TrajlabError, match=r"by against .*: there are method=uniform; method=pc"):
        compared(runs, against={"method": "mgda"})


def test_a_missing_baseline_names_what_there_is():
    with pytest.raises(TrajlabError, match=r"no run is a baseline \(method=single\); there are "):
        compared(seeds(method="uniform") + seeds(method="pcgrad"))
    with pytest.raises(TrajlabError, match=r"; there are runs without metadata: name one of them"):
        compared([run(("left", "right"))])
    with pytest.raises(TrajlabError, match=r"nothing is left to compare .* add runs of another"):
        compared(seeds(method="single"))


def test_groups_stand_in_the_order_of_their_sizes():
    rows = [
        {"method": size, "seed": 0, "step": step, "train_loss": 1 / step, "accuracy": 0.5}
        for size in ("1.4B", "160M", "410M")
        for step in range(1, 5)
    ]
    runs = runs_from_frame(pd.DataFrame(rows), metrics=["accuracy"])
    assert [each.keys["method"] for each in group(runs)] == ["160M", "410M", "1.4B"]
    assert gap(runs, baseline={"method": "410M"}).summary["method"].tolist() == ["160M", "1.4B"]


def test_a_task_in_different_company_is_different_conditions():
    """A alone, A with B, A with C: one setting and one seed, without any further metadata."""
    runs = [run(("A",)), run(("B",)), run(("C",))]
    runs += [run(("A", "B"), method="uniform"), run(("A", "C"), method="uniform")]
    groups = group(runs)
    assert [each.keys["condition"] for each in groups] == ["", "A+B", "A+C"]
    told = [
        (c.group.label, c.task, c.baseline.label) for c in compare(groups, {"method": "single"})
    ]
    assert told == [
        ("method=uniform, condition=A+B", "A", "method=single"),
        ("method=uniform, condition=A+B", "B", "method=single"),
        ("method=uniform, condition=A+C", "A", "method=single"),
        ("method=uniform, condition=A+C", "C", "method=single"),
    ]


def test_company_is_compared_with_the_same_company():
    runs = [
        run(tasks, method=method, seed=seed)
        for method in ("uniform", "pcgrad")
        for tasks in (("A", "B"), ("A", "C"))
        for seed in (0, 1)
    ]
    found = compare(group(runs), {"method": "uniform"})
    assert {(c.group.keys["condition"], c.baseline.keys["condition"]) for c in found} == {
        ("A+B", "A+B"),
        ("A+C", "A+C"),
    }


def test_a_task_alone_is_never_a_repetition_of_the_same_task_in_company():
    runs = [run(("A",), method="sgd", seed=0), run(("A", "B"), method="sgd", seed=1)]
    assert [len(each.runs) for each in group(runs)] == [1, 1]
    assert [each.keys["condition"] for each in group([run(("A",)), run(("B",))])] == [""]
    told = group(
        [run(("A",), method="sgd", condition="+x"), run(("A", "B"), method="sgd", condition="+x")]
    )
    assert [each.keys["condition"] for each in told] == ["+x A", "+x A+B"]


def test_a_comparison_says_of_itself_what_it_is_of():
    """A method that nobody recorded is not named, where something else is."""
    shared = {"setting": "s", "lr": 1e-3}
    runs = [
        run(("a",), **shared, condition="+x", seed=0),
        run(("a", "b", "c"), **shared, condition="+x", method="joint", seed=0),
        run(("a", "b", "c"), **shared, condition="+x", method="joint", seed=1),
        run(("a", "b", "c"), "recording", **shared, condition="+x", method="joint", seed=1),
    ]
    groups = group(runs, ["lr"])
    joint, single = sorted(groups, key=lambda each: each.keys["method"])
    assert single.label == "condition=+x, lr=0.001"
    assert joint.label == "method=joint, condition=+x, lr=0.001"
    assert group([run(("a",), setting="s")])[0].label == "method=single"
    assert (len(joint.runs), len(joint.incomplete)) == (2, 1)
    for wanted, there in (
        ({"lr": "1e-3"}, True),
        ({"lr": "0.002"}, False),
        ({"lr": 0.001, "method": "joint"}, True),
        ({"lr": "0.001", "method": "other"}, False),
        ({"width": ""}, True),
        ({"width": "4"}, False),
    ):
        assert joint.matches(wanted) == there
    first, second, _ = compare(groups, {"method": "single"})
    assert [each.tasks for each in first.runs] == [["a", "b", "c"]] * 2 + [["a"]]
    assert [each.tasks for each in second.runs] == [["a", "b", "c"]] * 2
    assert (first.beside, second.beside) == (2, 2)
    keys = {"setting": "s", "condition": "+x", "method": "joint", "lr": "0.001", "task": "a"}
    counts = {"baseline": single.label, "n_baseline": 3, "n_runs": 7}
    assert first.head(3, 7).columns == keys | counts
    assert second.head(3, 7).columns["baseline"] == ""
    assert one_task([single]) == ONE_TASK
    assert one_task(groups) == ""
    assert one_task(group([run(("a", "b"), "recording")])) == ""
    assert alone([single]).startswith("the runs are one group")
    assert alone(groups) == ""


def test_the_baseline_is_that_of_equal_keys_one_after_the_other():
    """Condition first; a key in which no baseline is alike narrows nothing."""
    runs = [
        run(method="single", condition=condition, lr=lr, width=width)
        for condition, lr, width in (("+x", 2, 2), ("", 1, 1), ("+x", 1, 2), ("+x", 1, 4))
    ]
    runs += [run(method="uniform", condition="+x", lr=1, width=4)]
    runs += [run(method="uniform", condition="+y", lr=2, width=9)]
    found = compared(runs, group_by=["lr", "width"])
    assert set(found.values()) == {
        "method=single, condition=+x, lr=1, width=4",
        "method=single, condition=+x, lr=2, width=2",
    }
    with pytest.raises(TrajlabError, match=r"task 'left' of .*lr=1, width=8 has several baselines"):
        compared(
            [*runs, run(method="uniform", condition="+x", lr=1, width=8)],
            None,
            None,
            ["lr", "width"],
        )
    with pytest.raises(TrajlabError, match=r"no setting.: left, .* have s: left"):
        compared([run(method="single", setting="s"), run(method="uniform")])


def test_against_may_name_what_does_not_tell_groups_apart():
    runs = [run(method=method, lr=0.1) for method in ("single", "uniform")]
    assert set(compared(runs, against={"lr": "1e-1"})) == {("method=uniform", "left")}
    with pytest.raises(TrajlabError, match="nothing is left to compare with the baseline method=s"):
        compared(runs, against={"lr": "0.2"})
