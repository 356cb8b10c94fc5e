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
PLACES = {
    "train_loss": ("evaluations/train", "loss"),
    "test_acc": ("evaluations/test", "accuracy"),
    "sharpness": ("sharpness", "value"),
    "grad_cov": ("noise", "covariance_trace"),
    "fim": ("fisher", "trace"),
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
        for column, (table, name) in PLACES.items():
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
    "text": ("k,l\n0,1\n1,high\n", "'high' in line 3, column 'l'"),
    "broken step": ("k,l\n0.5,1\n", "'0.5' in line 2, column 'k'"),
    "negative step": ("k,l\n-1,1\n", "'-1' in line 2, column 'k'"),
    "short row": ("k,l\n0,1\n1\n", "an empty cell in line 3, column 'l'"),
    "long row": ("k,l\n0,1\n1,2,3\n", "is not a CSV table.*line 3"),
    "unknown column": ("k,loss\n0,1\n", "no column 'l'; it has k, loss"),
    "same point twice": ("k,l\n0,1\n1,1\n0,2\n", "second row .* line 4"),
    "header only": ("k,l\n", "no rows"),
    "empty": ("", "not a CSV table"),
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
