"""The forms that people's tables come in: read, or refused in a sentence that says what to do."""

import gzip
import json
import shlex
import subprocess
import sys
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from trajlab.analysis import front
from trajlab.errors import TrajlabError
from trajlab.store import load
from trajlab.store.importers.csv import import_csv
from trajlab.store.importers.logged import LoggedRun, Unreadable
from trajlab.store.importers.series import import_series
from trajlab.store.importers.wandb import read_wandb

TABLE = "epoch,loss,acc\n1,2.5,0.5\n2,1.25,0.625\n4,0.75,0.75\n"
MAP = {"train/t/loss": "loss", "test/t/acc": "acc"}
ROWS = [{"epoch": 1, "train": {"loss": 2.5}, "eval": {"acc": 0.5, "note": "first", "all": [1, 2]}}]
ROWS += [{"epoch": 2, "train": {"loss": float("nan")}, "best": True}]
NESTED = {"train/t/loss": "train/loss", "test/t/acc": "eval/acc"}


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(
    file: Path | Sequence[Path], out: Path, map: dict[str, str] = MAP, **how: Any
) -> dict[str, list[tuple[int, float]]]:
    """Import, and return the steps and numbers of the one run's tables."""
    import_csv(file, out, map=map, **{"step": "epoch", **how})
    (run,) = load(out)
    tables = {"loss": run.table("evaluations/train"), "acc": run.table("evaluations/test")}
    return {
        name: list(zip(table["step"].tolist(), table[name][:, 0].tolist(), strict=True))
        for name, table in tables.items()
    }


def refused(file: Path, map: dict[str, str] = MAP, **how: Any) -> str:
    with pytest.raises(TrajlabError) as told:
        import_csv(file, file.parent / "out", map=map, **{"step": "epoch", **how})
    assert not (file.parent / "out").exists()
    return str(told.value)


LOSS, ACC = [(1, 2.5), (2, 1.25), (4, 0.75)], [(1, 0.5), (2, 0.625), (4, 0.75)]


@pytest.mark.parametrize("code", ["utf-16", "utf-8-sig"])
def test_text_that_says_its_code_is_read(tmp_path, code):
    named = {"train/t/loss": "Verlust für Übung", "test/t/acc": "acc"}
    content = TABLE.replace("loss", "Verlust für Übung").encode(code)
    assert read(write(tmp_path / "a.csv", content), tmp_path / "o", named) == {
        "loss": LOSS,
        "acc": ACC,
    }


def test_text_of_another_code_is_refused(tmp_path):
    told = refused(write(tmp_path / "a.csv", TABLE.replace("acc", "Güte").encode("cp1252")))
    assert "is not UTF-8 text (byte 12); if it is WINDOWS-1252, convert it by: gzip" in told
    told = refused(write(tmp_path / "a.csv", TABLE.encode("utf-16")[:-1]))
    assert "is not UTF-16 text" in told
    assert "it is torn, copy it anew" in told


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("code", ["cp1252", "utf-16-le", "utf-16-be"])
def test_the_command_that_is_told_converts_the_file(tmp_path, code, pack):
    content = pack(TABLE.replace("acc", "Güte").encode(code))
    file = write(tmp_path / "Jim's runs.csv", content)  # a name that a shell would take apart
    told = refused(file)
    subprocess.run(told.split("convert it by: ")[1], shell=True, check=True)
    named = {"train/t/loss": "loss", "test/t/acc": "Güte"}
    assert read(file, tmp_path / "o", named) == {"loss": LOSS, "acc": ACC}
    assert [path.name for path in tmp_path.glob("*.csv*")] == [file.name]


@pytest.mark.parametrize("suffix", [".json", ".json.gz"])
@pytest.mark.parametrize(
    ("around", "before"),
    [
        (lambda lists: lists, ""),
        (lambda lists: {"lr": 0.1, **lists}, ""),  # a number beside the lists is no row
        (lambda lists: {"history": lists, "params": {"epochs": 3}}, "history/"),
    ],
)
def test_the_command_that_is_told_makes_a_table_of_lists(tmp_path, suffix, around, before):
    lists = {"loss": [2.5, 1.25, 0.75], "acc": [0.5, 0.625, 0.75]}
    content = json.dumps(around(lists)).encode()
    file = write(tmp_path / f"a b{suffix}", gzip.compress(content) if ".gz" in suffix else content)
    named = {"train/t/loss": f"{before}loss", "test/t/acc": f"{before}acc"}
    told = refused(file, named, step=None)
    command = told.split("to be read with --step row, by: ")[1].replace("python", sys.executable, 1)
    subprocess.run(command, shell=True, check=True)
    made = read(tmp_path / "a b.csv", tmp_path / "o", named, step="row")
    assert made == {
        "loss": list(zip([1, 2, 3], lists["loss"], strict=True)),
        "acc": list(zip([1, 2, 3], lists["acc"], strict=True)),
    }


def test_lists_of_other_names_and_rows_have_no_command(tmp_path):
    text = '{"epoch": 1, "loss": 1, "acc": 1, "betas": [0.9, 0.99], "names": ["a"], "none": []}\n'
    assert read(write(tmp_path / "a.jsonl", text), tmp_path / "o") == {
        "loss": [(1, 1)],
        "acc": [(1, 1)],
    }
    lists = '{"epoch": 1, "loss": [1, 2], "acc": 1}\n' * 2
    told = refused(write(tmp_path / "in" / "b.jsonl", lists))
    assert told.endswith("has a list in line 1, column 'loss', where a number must stand")


def test_json_files_of_a_folder_are_named_by_the_pattern_that_is_told(tmp_path):
    for step in (1, 2):
        results = {"results": {"t": {"acc,none": step / 4}}, "configs": {"t": {"tags": []}}}
        write(tmp_path / "in" / "big" / f"step{step}.json", json.dumps(results))
    how = {"name": "{method}/step[step]", "step": None}
    named = {"test/t/acc": "results/t/acc,none"}
    told = refused(tmp_path / "in", named, **how)
    pattern = shlex.split(told.split("named by a pattern, ")[1])[0]
    import_csv(pattern, tmp_path / "o", map=named, **{"name": how["name"]})
    (run,) = load(tmp_path / "o")
    assert run.table("evaluations/test")["acc"].ravel().tolist() == [0.25, 0.5]


def test_a_second_import_of_many_runs_is_told_once(tmp_path):
    for seed in (1, 2, 3):
        write(tmp_path / "in" / f"{seed}.csv", TABLE)
    how = {"name": "{seed}", "step": "epoch"}
    for map in ({"train/t/loss": "loss"}, {"test/t/acc": "acc"}):
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            import_csv(tmp_path / "in", tmp_path / "o", map=map, **how)
    (sentence,) = [str(one.message) for one in told]
    first = tmp_path / "o" / "seed1.h5"
    assert sentence == (
        f"3 files exist and are added to, as they are the same runs; the first is {first}"
    )


def test_packed_tables_are_read_and_torn_ones_told(tmp_path):
    packed = gzip.compress(TABLE.encode())
    write(tmp_path / "in" / "sgd" / "3.csv.gz", packed)
    found = read(tmp_path / "in", tmp_path / "o", name="{method}/{seed}")
    assert found == {"loss": LOSS, "acc": ACC}
    assert load(tmp_path / "o")[0].metadata == {"method": "sgd", "seed": 3}
    for torn in (packed[:-9], packed[:15] + b"??" + packed[17:]):
        told = refused(write(tmp_path / "torn.csv.gz", torn))
        assert "is packed by gzip and torn or damaged" in told


def test_other_separators_are_guessed_at(tmp_path):
    semicolons = TABLE.replace(",", ";").replace(".", ",")
    told = refused(write(tmp_path / "a.csv", semicolons))
    assert "its separator may be ';': --separator ';', and --decimal , for 0,5" in told
    told = refused(write(tmp_path / "a.csv", TABLE.replace(",", "\t")))
    assert "its separator may be tab: --separator tab" in told
    ragged = refused(write(tmp_path / "a.csv", TABLE + "5,1\n"))
    assert "line 5 has 2 cells and the header 3" in ragged
    assert "its separator" not in ragged
    assert "is line 1 a remark?" in refused(write(tmp_path / "a.csv", "# lr: 1\n" + TABLE))


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ("\n4,", '\n"4,000",', "take out the commas of thousands, or is its decimal a comma"),
        ("0.75,", '"0,75",', "must stand; is its decimal a comma"),
        ("0.625", "62.5%", "take the sign out"),
        ("\n4,", "\n,", "name a column of steps that every row has"),
        ("0.625", "fast", "where a number must stand ("),
    ],
)
def test_a_cell_that_is_no_number_says_what_to_do(tmp_path, before, after, sentence):
    assert before in TABLE
    told = refused(write(tmp_path / "a.csv", TABLE.replace(before, after, 1))) + " ("
    assert sentence in told


@pytest.mark.parametrize("blank", ["", "-", "N/A", "n/a", "#N/A", "NA", "<NA>", "null", "NULL"])
def test_blank_cells_are_nothing_logged(tmp_path, blank):
    found = read(write(tmp_path / "a.csv", TABLE.replace("1.25", blank)), tmp_path / "o")
    assert found["loss"] == [LOSS[0], LOSS[2]]
    assert found["acc"] == ACC


@pytest.mark.parametrize(
    ("text", "value"),
    [("NaN", np.nan), ("nan", np.nan), ("-inf", -np.inf), ("Infinity", np.inf), ("1E-3", 1e-3)],
)
def test_numbers_that_are_not_finite_are_numbers(tmp_path, text, value):
    found = read(write(tmp_path / "a.csv", TABLE.replace("1.25", text)), tmp_path / "o")
    assert [step for step, _ in found["loss"]] == [1, 2, 4]
    assert found["loss"][1][1] == pytest.approx(value, nan_ok=True)


@pytest.mark.parametrize(
    "text",
    [
        "".join(json.dumps(row) + "\n" for row in ROWS),
        "\n".join(json.dumps(row) for row in [*ROWS, {}]) + "\n\n",
        json.dumps(ROWS, indent=1),
    ],
    ids=["an object a line", "blank lines and an object", "a list"],
)
def test_rows_of_json_are_a_table(tmp_path, text):
    text = text.replace("{}\n", '{"epoch": 3}\n')
    found = read(
        write(tmp_path / "a.jsonl", text), tmp_path / "o", NESTED, decimal=",", separator=";"
    )
    assert found["loss"][0] == (1, 2.5)
    assert np.isnan(found["loss"][1][1])
    assert found["acc"] == [(1, 0.5)]


def test_an_object_a_file_is_a_checkpoint(tmp_path):
    for step in (10, 20, 100):
        made = {"results": {"piqa": {"acc": step / 100}, "arc": {"acc": 0.5}}, "config": {"n": "x"}}
        write(tmp_path / "in" / f"160m_step{step}.json", json.dumps(made))
    named = {f"test/{task}/acc": f"results/{task}/acc" for task in ("piqa", "arc")}
    files = sorted((tmp_path / "in").iterdir())
    import_csv(files, tmp_path / "o", map=named, name="{method}_step[step]")
    (run,) = load(tmp_path / "o")
    assert run.metadata == {"method": "160m"}
    table = run.table("evaluations/test")
    assert table["step"].tolist() == [10, 20, 100]
    assert table["acc"][:, list(table["task"]).index("piqa")].tolist() == [0.1, 0.2, 1.0]


def test_torn_and_other_json(tmp_path):
    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    with pytest.warns(UserWarning, match=r"line 3 of a\.jsonl, its last, is torn and left out"):
        read(write(tmp_path / "a.jsonl", lines + '{"epoch": 3, "tr'), tmp_path / "o", NESTED)
    told = refused(write(tmp_path / "b.jsonl", lines + '{"epoch\n' + lines), NESTED)
    assert "has a line 3 that is no JSON" in told
    told = refused(write(tmp_path / "c.json", '{"loss": [1, 2], "acc": [3, 4]}'))
    assert "is JSON without rows" in told
    assert "is JSON without rows" in refused(write(tmp_path / "d.json", "[1, 2]"))


def test_what_a_script_printed_is_no_table(tmp_path):
    told = refused(write(tmp_path / "a.log", "epoch 1: loss=2.5\nepoch 2: loss=1.5\n"))
    assert "what a script printed is made a table first" in told


def test_several_rows_without_a_column_of_steps_are_asked_for_it(tmp_path):
    file = write(tmp_path / "a.csv", TABLE)
    told = refused(file, None, step=None)
    assert "has several rows: name the column of steps (--step)" in told
    assert "found 'epoch', 'loss', 'acc'; name each one" in told


def charts(folder: Path, *, runs: Sequence[str] = ("A-1", "B-1")) -> Path:
    for series, values in (("train/loss", (2.5, 0.75)), ("eval/acc", (0.5, 0.75))):
        header = ",".join(f'"{run} - {series}"' for run in runs)
        rows = "".join(
            f"{10 * (i + 1)}," + ",".join(f"{value + place}" for place, _ in enumerate(runs)) + "\n"
            for i, value in enumerate(values)
        )
        write(folder / f"{series.replace('/', '_')}.csv", f'"Step",{header}\n{rows}')
    return folder


@pytest.mark.parametrize("name", [None, "{method}-{seed}"])
def test_charts_of_one_run_are_one_run(tmp_path, name):
    named = {"train/t/loss": "train/loss", "test/t/acc": "eval/acc"}
    alike = pytest.warns(UserWarning, match="have the same metadata and tasks")
    with alike if name is None else nullcontext():
        import_series(charts(tmp_path / "in"), read_wandb, tmp_path / "o", map=named, name=name)
    runs = load(tmp_path / "o")
    assert [run.path.stem[0] for run in runs] == ["A", "B"]
    for place, run in enumerate(runs):
        assert run.table("evaluations/train")["loss"][:, 0].tolist() == [2.5 + place, 0.75 + place]
        assert run.table("evaluations/test")["acc"][:, 0].tolist() == [0.5 + place, 0.75 + place]


def test_a_run_whose_step_series_does_not_count_is_left_out_and_told(tmp_path):
    counts = {"sound": [10.0, 20.0], "broken": [10.0, 20.5], "none": None}

    def logged(name: str) -> LoggedRun:
        series = {"loss": {0: 2.5, 1: 0.75}}
        if counts[name]:
            series["count"] = dict(enumerate(counts[name]))
        return LoggedRun(name, {"seed": name}, series)

    with pytest.warns(UserWarning, match="left out") as told:
        import_series(
            tmp_path,
            lambda _: [*map(logged, counts), Unreadable("a torn file")],
            tmp_path / "out",
            map={"train/t/loss": "loss"},
            step="count",
        )
    (run,) = load(tmp_path / "out")
    assert run.metadata["seed"] == "sound"
    assert run.table("evaluations/train")["step"].tolist() == [10, 20]
    sentences = " ".join(str(each.message) for each in told)
    assert "'broken' has step 20.5 in 'count'" in sentences
    assert "'none' has no series 'count'" in sentences
    assert "a torn file" in sentences


def test_fronts_are_told_apart_by_the_column_of_the_baseline():
    table = pd.DataFrame(
        {
            "optimizer": ["sgd"] * 3 + ["adam"] * 3,
            "a": [0.5, 0.51, 0.52, 0.7, 0.71, 0.72],
            "b": [0.5, 0.49, 0.5, 0.6, 0.61, 0.6],
        }
    )
    wanted = {"objective": {"a": "max", "b": "max"}, "baseline": {"optimizer": "sgd"}}
    found = front(table=table, **wanted).distance
    assert found["method"].tolist() == ["adam"]
    assert found["signed_distance"].iloc[0] > 0
    same = front(
        table=table.rename(columns={"optimizer": "method"}),
        **wanted | {"baseline": {"method": "sgd"}},
    ).distance
    assert found["signed_distance"].tolist() == same["signed_distance"].tolist()
    with pytest.raises(
        TrajlabError, match=r"no column 'method' .* or name the baseline by the col"
    ):
        front(table=table, **wanted | {"baseline": {"lr": "1"}})
