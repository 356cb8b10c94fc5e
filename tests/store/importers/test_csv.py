"""The CSV importer: exact numbers, one-sentence errors, nothing half-written."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from trajlab.errors import TrajlabError
from trajlab.store import Trajectory, Writer, load
from trajlab.store.importers.csv import import_csv

REFERENCE = Path(__file__).parents[2] / "data" / "fashion_mtl" / "fashion_mtl_trajectories.csv"
ARGUMENTS = {
    "meta": {"method": "setting", "seed": "seed"},
    "const": {"setting": "FashionMTL", "task": "fashion1"},
    "step": "epoch",
    "train_loss": "train_loss",
    "metric": {"accuracy": "test_acc"},
    "quantity": {
        "sharpness": "sharpness",
        "gradient_covariance": "grad_cov",
        "fisher": "fim",
    },
}
PLACES = {  # table/column of each column of the file
    "train_loss": "evaluations/train/loss",
    "test_acc": "evaluations/test/accuracy",
    "sharpness": "sharpness/value",
    "grad_cov": "noise/covariance_trace",
    "fim": "fisher/trace",
}


def test_the_reference_comes_back_exactly(tmp_path):
    paths = import_csv(REFERENCE, tmp_path / "runs", **ARGUMENTS)
    assert len(paths) == 9
    reference = pd.read_csv(REFERENCE, dtype=str).astype(
        {"seed": int} | dict.fromkeys(PLACES, float)
    )
    runs = load(tmp_path / "runs")
    for (method, seed), expected in reference.groupby(["setting", "seed"]):
        (run,) = runs.select(method=method, seed=seed)
        assert run.metadata == {"setting": "FashionMTL", "method": method, "seed": seed}
        assert run.tasks == ["fashion1"]
        assert run.status == "complete"
        for column, place in PLACES.items():
            table, _, name = place.rpartition("/")
            np.testing.assert_array_equal(run.table(table)["step"], range(100))
            np.testing.assert_array_equal(run.table(table)[name].ravel(), expected[column])
    assert np.isnan(run.table("sharpness")["rho"]).all()
    assert run.table("evaluations/test").column_attributes("accuracy")["higher_is_better"] is True
    assert sorted(tmp_path.joinpath("runs").iterdir()) == sorted(paths)


def write(path, text):
    path.write_text(text)
    return path


def test_several_tasks_and_steps_out_of_order(tmp_path):
    file = write(tmp_path / "a.csv", "k,t,l,mae\n1,b,4,inf\n0,b,2,20\n0,a,1,nan\n\n")
    (path,) = import_csv(
        file,
        tmp_path,
        meta={},
        const={"seed": "3"},
        step="k",
        task="t",
        train_loss="l",
        metric={"mae": "mae"},
        lower_is_better=["mae"],
        split="validation",
    )
    run = Trajectory(path)
    assert path.name == "a.h5"
    assert run.tasks == ["b", "a"]
    assert run.metadata == {"seed": 3}
    table = run.table("evaluations/validation")
    np.testing.assert_array_equal(table["mae"], [[20, np.nan], [np.inf, np.nan]])
    np.testing.assert_array_equal(run.table("evaluations/train")["loss"], [[2, 1], [4, np.nan]])
    assert table.column_attributes("mae")["higher_is_better"] is False


BAD = {
    "missing cell": ("k,l\n0,1\n1,\n", "an empty cell in line 3, column 'l'"),
    "missing cell below a blank line": ("k,l\n\n0,1\n1,\n", "line 4, column 'l'"),
    "missing step": ("k,l\n0,1\n,1\n", "an empty cell in line 3, column 'k'"),
    "missing step below a blank line": ("k,l\n\n0,1\n,1\n", "line 4, column 'k'"),
    "decimal comma": ('k,l\n0,"1,5"\n', "is its decimal a comma"),
    "other separator": ("k;l\n0;1\n", "its separator may be ';'"),
    "pointer": ("version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    "same name twice": ("k,l,l\n0,1,2\n", "several columns 'l'"),
    "text": ("k,l\n0,1\n1,high\n", "'high' in line 3, column 'l'"),
    "broken step": ("k,l\n0.5,1\n", "'0.5' in line 2, column 'k'"),
    "negative step": ("k,l\n-1,1\n", "'-1' in line 2, column 'k'"),
    "short row": ("k,l\n0,1\n1\n", "line 3 has 1 cells and the header 2"),
    "long row": ("k,l\n0,1\n1,2,3\n", "is not a CSV table.*line 3"),
    "unknown column": ("k,loss\n0,1\n", "no column 'l'; it has k, loss"),
    "same point twice": ("k,l\n0,1\n1,1\n0,2\n", "second row .* line 4"),
    "header only": ("k,l\n", "no rows"),
    "empty": ("", "is empty"),
    "JSON": ('{"k": [0], "l": [1]}', "is JSON without rows, which are objects"),
    "JSON lines": ('{"k": 0, "l": 1}\n{"k": 1, "l"\n{"k": 2}\n', "a line 2 that is no JSON"),
    "Python's thousands": ("k,l\n0,1_000\n", "'1_000' in line 2"),
    "a tabulator": ("k\tl\n0\t1\n", "its separator may be tab"),
    "binary": ("\x89HDF\r\n\x1a\n\0\0", "a.csv"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_table_is_one_sentence_and_leaves_nothing(tmp_path, case):
    text, sentence = BAD[case]
    file = write(tmp_path / "a.csv", text)
    with pytest.raises(TrajlabError, match=sentence) as raised:
        import_csv(file, tmp_path / "out", meta={}, const={"task": "t"}, step="k", train_loss="l")
    assert "\n" not in str(raised.value)
    assert "a.csv" in str(raised.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"split": "dev"}, "split 'dev'"),
        ({"quantity": {"hessian": "l"}}, "quantity 'hessian'"),
        ({"lower_is_better": ["mae"]}, "'mae' is lower_is_better"),
        ({"const": {}}, "task"),
        ({"task": "l"}, "task"),
        ({"meta": {"seed": "s"}}, "no column 's'"),
        ({"separator": "||"}, "no single character"),
        ({"decimal": "·"}, "neither . nor ,"),
        ({"decimal": ","}, "stands between cells too"),
    ],
)
def test_wrong_arguments(tmp_path, arguments, sentence):
    file = write(tmp_path / "a.csv", "k,l\n0,1\n")
    right = {"meta": {}, "const": {"task": "t"}, "step": "k", "train_loss": "l"}
    with pytest.raises(TrajlabError, match=sentence):
        import_csv(file, tmp_path / "out", **{**right, **arguments})
    assert not (tmp_path / "out").exists()


def test_a_missing_file(tmp_path):
    with pytest.raises(TrajlabError, match=r"none\.csv cannot be read"):
        import_csv(tmp_path / "none.csv", tmp_path, meta={}, const={"task": "t"}, step="k")


def test_an_existing_file_is_replaced_only_by_force(tmp_path):
    out = tmp_path / "out"
    file = write(tmp_path / "a.csv", "seed,k,l\n0,0,1\n1,0,2\n2,0,3\n")
    arguments = {"meta": {"seed": "seed"}, "const": {"task": "t"}, "step": "k", "train_loss": "l"}
    paths = import_csv(file, out, **arguments)
    paths[0].unlink()
    before = {path: path.read_bytes() for path in paths[1:]}
    with pytest.raises(TrajlabError, match=r"seed1\.h5 exists; use force"):
        import_csv(file, out, **arguments)
    assert {path: path.read_bytes() for path in out.iterdir()} == before
    import_csv(file, out, **arguments, force=True)
    assert len(load(out)) == 3
    assert paths[1].read_bytes() != before[paths[1]]


def test_a_run_in_progress_is_never_replaced(tmp_path):
    writer = Writer(tmp_path / "STL-seed0.h5", ["t"])
    writer.flush()
    with pytest.raises(TrajlabError, match="in progress"):
        import_csv(REFERENCE, tmp_path, **ARGUMENTS, force=True)
    writer.close()


def test_a_failure_while_writing_leaves_nothing(tmp_path, monkeypatch):
    def fail(writer):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Writer, "close", fail)
    with pytest.raises(TrajlabError, match="No space left"):
        import_csv(REFERENCE, tmp_path / "out", **ARGUMENTS)
    assert list((tmp_path / "out").iterdir()) == []


def test_names_that_differ_only_in_odd_characters_stay_apart(tmp_path):
    file = write(tmp_path / "a.csv", "k,l,m\n0,1,a/b\n0,2,a b\n")
    paths = import_csv(
        file, tmp_path, meta={"m": "m"}, const={"task": "t"}, step="k", train_loss="l"
    )
    assert [path.name for path in paths] == ["a_b.h5", "a_b-2.h5"]
    assert [Trajectory(path).metadata["m"] for path in paths] == ["a/b", "a b"]


def test_one_column_a_task_with_blank_cells_and_several_splits(tmp_path):
    text = "k;a;b;va;cos\n0;1,5;2;;\n1;1;;0,5;-0,25\n"
    arguments = {"step": "k", "separator": ";", "decimal": ","}
    (path,) = import_csv(
        write(tmp_path / "a.csv", text),
        tmp_path,
        map={
            "train/a/loss": "a",
            "train/b/loss": "b",
            "test/a/accuracy": "va",
            "similarity/a/b": "cos",
        },
        **arguments,
    )
    run = Trajectory(path)
    assert run.tasks == ["a", "b"]
    np.testing.assert_array_equal(run.table("evaluations/train")["loss"], [[1.5, 2], [1, np.nan]])
    np.testing.assert_array_equal(run.table("evaluations/test")["accuracy"], [[0.5, np.nan]])
    cosine = run.table("similarity")["cosine"]
    assert cosine[0, 0, 1] == cosine[0, 1, 0] == -0.25


def test_names_of_files_are_metadata_and_brackets_join_the_parts_of_a_run(tmp_path):
    for method, level in (("single", 1), ("joint", 2)):
        for task in ("a", "b"):
            file = tmp_path / "in" / method / "study_3" / f"{task}.csv"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"k,l\n0,{level + (task == 'b')}\n")
    arguments = {"step": "k", "map": {"train/{task}/loss": "l"}}
    name = "{method}/study_{seed}/"
    import_csv(tmp_path / "in", tmp_path / "one", name=name + "[task]", **arguments)
    runs = load(tmp_path / "one")
    assert [r.metadata for r in runs] == [
        {"method": "joint", "seed": 3},
        {"method": "single", "seed": 3},
    ]
    assert [r.table("evaluations/train")["loss"].tolist() for r in runs] == [[[2, 3]], [[1, 2]]]
    import_csv(tmp_path / "in", tmp_path / "apart", name=name + "{task}", **arguments)
    assert sorted(tuple(r.tasks) for r in load(tmp_path / "apart")) == [
        ("a",),
        ("a",),
        ("b",),
        ("b",),
    ]


def test_a_melted_table_says_in_its_cells_what_a_number_is(tmp_path):
    text = "k,split,task,metric,value\n0,train,a,loss,1\n0,test,a/x,acc,0.5\n"
    (path,) = import_csv(
        write(tmp_path / "a.csv", text),
        tmp_path,
        step="k",
        map={"{split}/{task}/{metric}": "value"},
    )
    run = Trajectory(path)
    assert run.tasks == ["a", "a/x"]
    assert run.table("evaluations/test")["acc"][0, 1] == 0.5


def test_one_row_a_run_has_no_known_step(tmp_path):
    file = write(tmp_path / "a.csv", "run,acc\nx,1\ny,2\n")
    arguments = {"meta": {"method": "run"}, "map": {"test/a/acc": "acc"}}
    with pytest.warns(UserWarning, match="steps are not known"):
        import_csv(file, tmp_path / "o", **arguments)
    paths = import_csv(file, tmp_path / "p", **arguments, const={"step": "70"})
    assert [Trajectory(p).table("evaluations/test")["step"].tolist() for p in paths] == [[70], [70]]
    with pytest.raises(TrajlabError, match=r"second row .* the column of steps"):
        import_csv(file, tmp_path / "q", map={"test/a/acc": "acc"})


def test_a_second_import_adds_to_the_same_run_and_to_no_other(tmp_path):
    first = {"step": "k", "const": {"method": "m"}}
    file = write(tmp_path / "a.csv", "k,l,err,r\n0,1,5,7\n")
    import_csv(file, tmp_path, map={"test/a/mae": "err"}, lower_is_better=["mae"], **first)
    with pytest.warns(UserWarning, match="added to"):
        import_csv(file, tmp_path, map={"train/a/loss": "l"}, **first)
    run = Trajectory(tmp_path / "a.h5")
    assert run.table("evaluations/train")["loss"].tolist() == [[1]]
    assert run.table("evaluations/test").column_attributes("mae")["higher_is_better"] is False
    for arguments, why in (
        ({"map": {"train/a/loss": "r"}, **first}, "it has evaluations/train loss"),
        ({"map": {"validation/b/loss": "r"}, **first}, "it is of a, not b"),
        ({"map": {"validation/a/loss": "r"}, "step": "k"}, "its metadata are method=m, not none"),
    ):
        with pytest.raises(TrajlabError, match=why):
            import_csv(file, tmp_path, **arguments)


def test_a_column_called_as_a_clock_goes_with_the_others(tmp_path):
    text = "k,l,acc,epoch,tokens\n10,1,,0.5,100\n10,,0.5,0.6,110\n20,,0.7,1,200\n"
    mapping = {"train/a/loss": "l", "test/a/acc": "acc"}
    (path,) = import_csv(write(tmp_path / "a.csv", text), tmp_path, step="k", map=mapping)
    table = Trajectory(path).table("evaluations/test")
    # the first at each step: when it was reached
    assert table["tokens"].tolist() == [100, 200]
    assert table["epoch"].tolist() == [0.5, 1]
    named = {**mapping, "tokens": "epoch"}
    (path,) = import_csv(tmp_path / "a.csv", tmp_path / "o", step="k", map=named)
    assert Trajectory(path).table("evaluations/test")["tokens"].tolist() == [0.5, 1]


def test_clocks_of_a_second_import_join_those_that_are_there(tmp_path):
    file = write(tmp_path / "a.csv", "k,l,acc,tokens\n0,1,,0\n1,,0.5,9\n")
    import_csv(file, tmp_path, step="k", map={"train/a/loss": "l"})
    with pytest.warns(UserWarning, match="added to"):
        import_csv(file, tmp_path, step="k", map={"test/a/acc": "acc"})
    run = Trajectory(tmp_path / "a.h5")
    assert run.table("evaluations/train")["tokens"].tolist() == [0]
    assert run.table("evaluations/test")["tokens"].tolist() == [9]
    write(file, "k,l,acc,tokens\n0,1,2,5\n")
    with pytest.raises(TrajlabError, match="it has tokens"):
        import_csv(file, tmp_path, step="k", map={"validation/a/acc": "acc"})


def test_parts_whose_clocks_contradict_each_other_have_none(tmp_path):
    for task, time in (("a", 3), ("b", 4)):
        write(tmp_path / f"r-{task}.csv", f"k,l,wall_time\n0,1,0\n1,1,{time}\n")
    arguments = {"step": "k", "name": "{run}-[task]", "map": {"train/{task}/loss": "l"}}
    with pytest.warns(UserWarning, match="differ in 'wall_time', which is left out"):
        (path,) = import_csv(tmp_path, tmp_path / "o", **arguments)
    table = Trajectory(path).table("evaluations/train")
    assert table["loss"].tolist() == [[1, 1], [1, 1]]
    assert "wall_time" not in table


def test_each_task_alone_and_all_together_is_told_once_a_task(tmp_path):
    for name, tasks in (("single-a", "a"), ("single-b", "b"), ("joint", "ab")):
        head = "".join(f",loss_{t},acc_{t}" for t in tasks)
        write(tmp_path / f"{name}.csv", f"k{head}\n1{',1' * 2 * len(tasks)}\n")
    mapping = {f"train/{t}/loss": f"loss_{t}" for t in "ab"}
    mapping |= {f"test/{t}/acc": f"acc_{t}" for t in "ab"}
    with pytest.warns(UserWarning, match="without") as told:
        import_csv(tmp_path, tmp_path / "o", step="k", map=mapping)
    assert [str(warning.message) for warning in told] == [
        "the run 'single-a' without anything of b, but of a",
        "the run 'single-b' without anything of a, but of b",
    ]
    write(tmp_path / "single-a.csv", "k,loss_a\n1,1\n")
    pair = [tmp_path / "joint.csv", tmp_path / "single-a.csv"]
    with pytest.warns(UserWarning, match="without") as told:
        import_csv(pair, tmp_path / "o2", step="k", map=mapping)
    assert str(told[0].message) == "the run 'single-a' without the series 'acc_a'"


def test_files_that_cannot_be_read_are_one_sentence_where_all_are(tmp_path):
    for name in "abc":
        write(tmp_path / f"{name}.csv", "k,l\n0\n")
    with pytest.raises(TrajlabError, match=r"a\.csv .* \(2 more could not be read either\)"):
        import_csv(tmp_path, tmp_path / "o", step="k", map={"train/t/loss": "l"})
