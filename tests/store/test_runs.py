"""Finding, opening and selecting runs; what a reader says of a file it cannot use."""

import os
import resource
import shutil

import h5py
import numpy as np
import pytest

from tests.runs import finish
from trajlab.errors import TrajlabError
from trajlab.store import Runs, Table, Trajectory, Writer, header, load, standard
from trajlab.store.table import AbsentError

TASKS = ["left", "right"]


def record(path, *, close=True, **metadata):
    """Write a run of three losses; without `close` it stays in its parts."""
    writer = Writer(path, TASKS, metadata=metadata)
    writer.declare(standard("losses", task=TASKS))
    for step in range(3):
        writer.append("losses", {"step": step, "loss": [step, 1]})
    writer.flush()
    return finish(writer, close=close)


@pytest.fixture
def folder(tmp_path):
    record(tmp_path / "a.h5", method="single", seed=0)
    record(tmp_path / "deep" / "b.h5", method="uniform", seed=0)
    record(tmp_path / "deep" / "c.h5", close=False, method="uniform", seed=1)
    return tmp_path


def names(runs):
    return [run.path.name for run in runs]


def test_a_folder_holds_runs_at_any_depth_and_in_parts(folder):
    runs = load(folder)
    assert names(runs) == ["a.h5", "b.h5", "c.h5"]
    assert [run.status for run in runs] == ["complete", "complete", "recording"]
    assert runs[2].table("losses")["loss"].shape == (3, 2)


def test_files_globs_and_parts_folders(folder):
    assert names(load(folder / "a.h5")) == ["a.h5"]
    assert names(load(folder / "deep" / "c.h5")) == ["c.h5"]
    assert names(load(folder / "deep" / "c.h5.parts")) == ["c.h5"]
    assert names(load(str(folder / "deep" / "*"))) == ["b.h5", "c.h5"]
    assert names(load(str(folder / "**" / "*.h5"))) == ["a.h5", "b.h5", "c.h5"]
    assert names(load(folder / "a.h5", folder, str(folder / "*.h5"))) == ["a.h5", "b.h5", "c.h5"]


def test_numbers_in_paths_are_ordered_as_numbers(tmp_path):
    for name in ("seed10", "seed9", "w/lr0.25", "w/lr0.5", "a2/seed1", "a10/seed1"):
        record(tmp_path / f"{name}.h5")
    found = [run.path.relative_to(tmp_path).as_posix() for run in load(tmp_path)]
    places = {name.removesuffix(".h5"): place for place, name in enumerate(found)}
    assert places["seed9"] < places["seed10"]
    assert places["w/lr0.25"] < places["w/lr0.5"]
    assert places["a2/seed1"] < places["a10/seed1"]


def test_a_run_sealed_and_resumed_is_found_once(folder):
    writer = Writer(folder / "a.h5", TASKS, resume=True)
    writer.append("losses", {"step": 3, "loss": [3, 3]})
    writer.flush()
    (run,) = load(folder / "a.h5").select(method="single")
    assert names(load(folder)) == ["a.h5", "b.h5", "c.h5"]
    assert run.table("losses")["step"].tolist() == [0, 1, 2, 3]
    writer.close()
    # what was taken before the merge still reads as it was
    assert run.table("losses")["loss"][:, 0].tolist() == [0, 1, 2, 3]


def test_select_and_slice(folder):
    runs = load(folder)
    assert names(runs.select(method="uniform")) == ["b.h5", "c.h5"]
    assert names(runs.select(method="uniform", seed=1)) == ["c.h5"]
    assert isinstance(runs[:2], Runs)
    assert names(runs[:2]) == ["a.h5", "b.h5"]
    with pytest.raises(TrajlabError, match="'lr'; there are method, seed"):
        runs.select(lr=0.1)
    with pytest.raises(TrajlabError, match="method is single, uniform"):
        runs.select(method="pcgrad")


def test_representations_name_what_there_is(folder):
    run = load(folder)[0]
    for text in (repr(run), run._repr_html_()):
        assert "a.h5" in text
        assert "complete" in text
        assert "left, right" in text
        assert "method=single" in text
        assert "3 rows, steps 0 to 2" in text
    runs = load(folder)
    runs.skipped.append((folder / "x.h5", "<x.h5> is damaged"))
    assert repr(runs).startswith("3 runs")
    assert "uniform" in repr(runs)
    assert "skipped: <x.h5>" in repr(runs)
    assert "<td>uniform</td>" in runs._repr_html_()
    assert "&lt;x.h5&gt;" in runs._repr_html_()
    assert "loss (step, task)" in repr(run.table("losses"))


def test_what_is_absent_is_named_with_what_exists(folder):
    run = load(folder / "a.h5")[0]
    with pytest.raises(AbsentError, match="no table 'hessian'; it has losses"):
        run.table("hessian")
    losses = run.table("losses")
    with pytest.raises(AbsentError, match="no column 'accuracy'; it has step, task, micro_step"):
        losses["accuracy"]
    with pytest.raises(KeyError):
        losses["accuracy"]
    assert losses.get("accuracy") is None
    assert "loss" in losses
    assert "accuracy" not in losses
    assert losses.axes("loss") == ("step", "task")
    assert losses.axes("task") == ("task",)


def wrong_format_version(path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(header, "FORMAT_VERSION", 3)
        record(path)


def other_hdf5(path, _):
    with h5py.File(path, "w") as file:
        file["x"] = 1


def truncated(path, _):
    record(path)
    path.write_bytes(path.read_bytes()[:-100])


def damaged(path, _):
    record(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


BAD = {
    "text": (lambda path, _: path.write_text("step,loss\n"), "is not a trajectory file"),
    "empty": (lambda path, _: path.write_bytes(b""), "is not a trajectory file"),
    "other HDF5": (other_hdf5, "is not a trajectory file"),
    "newer": (wrong_format_version, "has format version 3 .* upgrade trajlab"),
    "truncated": (truncated, "truncated"),
    "damaged": (damaged, "is damaged"),
    "folder": (lambda path, _: path.mkdir(), "cannot be read|holds no run"),
    "unflushed": (
        lambda path, _: path.with_name(path.name + ".parts").mkdir(),
        "holds nothing yet",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_file_that_cannot_be_used_is_one_sentence(tmp_path, monkeypatch, case):
    make, sentence = BAD[case]
    path = tmp_path / "bad.h5"
    make(path, monkeypatch)
    for read in (Trajectory, load):
        with pytest.raises(TrajlabError, match=sentence) as raised:
            read(path)
        assert "bad.h5" in str(raised.value)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_among_good_ones_is_skipped_with_its_sentence(folder, monkeypatch, case):
    make, sentence = BAD[case]
    make(folder / "bad.h5", monkeypatch)
    runs = load(folder)
    assert names(runs) == ["a.h5", "b.h5", "c.h5"]
    ((path, reason),) = runs.skipped
    assert path.name == "bad.h5"
    assert "bad.h5" in reason
    with pytest.raises(TrajlabError, match=sentence):
        load(folder / "bad.h5")


def test_nothing_found(tmp_path):
    with pytest.raises(TrajlabError, match="holds no run"):
        load(tmp_path)
    with pytest.raises(TrajlabError, match="matches no file"):
        load(str(tmp_path / "*.h5"))
    with pytest.raises(TrajlabError, match="does not exist"):
        load(tmp_path / "none.h5")
    with pytest.raises(TrajlabError, match="no run was named"):
        load()


def test_a_file_that_the_user_has_open_elsewhere_can_be_read(folder):
    with h5py.File(folder / "a.h5") as file:
        values = Trajectory(folder / "a.h5").table("losses")["loss"]
        np.testing.assert_array_equal(file["losses/loss"], values)


def test_a_large_file_is_verified_column_by_column(folder, monkeypatch):
    monkeypatch.setattr("trajlab.store.seal.WHOLE", 0)
    path = record(folder / "large.h5")
    with h5py.File(path) as file:
        offset = file["losses/loss"].id.get_offset()
    assert Trajectory(path).table("losses")["loss"].shape == (3, 2)
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)
    losses = Trajectory(path).table("losses")
    assert losses["step"].tolist() == [0, 1, 2]
    with pytest.raises(TrajlabError, match=r"large\.h5 is damaged"):
        losses["loss"]
    path.write_bytes(content[:-1])
    with pytest.raises(TrajlabError, match="truncated"):
        Trajectory(path)


def test_a_column_in_portions_is_the_whole_column(folder):
    for path in (folder / "a.h5", folder / "deep" / "c.h5"):
        table = Trajectory(path).table("losses")
        for name in table.declared.columns:
            pieces = list(table.portions(name.name, 1))
            assert len(pieces) > 1
            np.testing.assert_array_equal(np.concatenate(pieces), table[name.name])


def test_a_file_replaced_after_opening_reads_as_it_was_or_is_told(folder, monkeypatch):
    run = Trajectory(folder / "a.h5")
    (folder / "a.h5").unlink()
    record(folder / "a.h5", seed=7)
    assert run.table("losses")["loss"][:, 0].tolist() == [0, 1, 2]
    monkeypatch.setattr("trajlab.store.pool.OPEN", 1)
    Trajectory(folder / "deep" / "b.h5")  # takes the place of the descriptor
    with pytest.raises(TrajlabError, match="rewritten since it was opened; load it again"):
        run.table("losses")["loss"]


def test_many_runs_hold_few_descriptors(folder, monkeypatch):
    monkeypatch.setattr("trajlab.store.pool.OPEN", 2)
    before = len(os.listdir("/proc/self/fd"))
    runs = load(*[folder] * 3)
    for run in runs:
        assert run.table("losses")["step"].tolist() == [0, 1, 2]
    assert len(os.listdir("/proc/self/fd")) <= before + 2


def test_many_runs_are_read_where_a_process_may_have_few_descriptors(folder):
    for i in range(100):
        shutil.copy(folder / "a.h5", folder / f"more-{i}.h5")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = max(map(int, os.listdir("/proc/self/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + used // 2 + 10, hard))
    try:
        runs = load(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(runs) == 103
    assert runs.skipped == []


def test_links_are_followed_and_each_run_is_there_once(folder):
    (folder / "view").mkdir()
    (folder / "view" / "linked").symlink_to(folder / "deep")
    (folder / "view" / "loop").symlink_to(folder / "view")
    (folder / "view" / "same.h5").symlink_to(folder / "a.h5")
    (folder / "view" / "gone.h5").symlink_to(folder / "none.h5")
    runs = load(folder / "view")
    assert names(runs) == ["b.h5", "c.h5", "same.h5"]
    ((path, reason),) = runs.skipped
    assert path.name == "gone.h5"
    assert "does not exist" in reason
    assert names(load(folder)) == ["a.h5", "b.h5", "c.h5"]


def test_a_link_to_a_run_in_progress_shows_its_parts(folder):
    (folder / "view").mkdir()
    (folder / "view" / "link.h5").symlink_to(folder / "deep" / "c.h5")
    assert Trajectory(folder / "view" / "link.h5").table("losses")["step"].tolist() == [0, 1, 2]


@pytest.mark.skipif(os.getuid() == 0, reason="root reads everything")
def test_a_folder_that_cannot_be_read_is_told(folder):
    (folder / "deep").chmod(0)
    try:
        ((path, reason),) = load(folder).skipped
    finally:
        (folder / "deep").chmod(0o755)
    assert path == folder / "deep"
    assert "Permission denied" in reason


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda w: w.append("none", {"step": 0}), "table 'none' is not declared"),
        (lambda w: w.append("losses", {"loss": [1, 2]}), "lacks its step"),
        (lambda w: w.append("losses", {"step": 0.5}), "column step .* cannot hold 0.5"),
        (lambda w: w.append("losses", {"step": 0, "los": [1, 2]}), "no column 'los'"),
        (
            lambda w: w.append("losses", {"step": 0, "loss": [1]}),
            r"must be \(task: 2\), not \(1,\)",
        ),
        (lambda w: w.append("losses", {"step": 0, "epoch": 1.5}), "column epoch .* 1.5"),
        (lambda w: w.append("hessian", {"step": 0, "reason": 3}), "column reason"),
        (lambda w: w.set_attributes("losses", {"x": {"a": 1}}) or w.flush(), "attribute x"),
        (
            lambda w: w.declare(standard("losses", task=["left"])),
            r"task = \['left', 'right'\], not",
        ),
        (lambda w: w.declare(Table("losses/x", ())), "inside or around table losses"),
        (
            lambda w: w.declare(standard("gradients", task=TASKS)),
            "lacks the coordinates of .* layer",
        ),
        (lambda w: w.close(status="done"), "status 'done'"),
    ],
)
def test_a_wrong_call_is_one_sentence_and_spoils_nothing(tmp_path, call, sentence):
    writer = Writer(tmp_path / "run.h5", TASKS)
    writer.declare(standard("losses", task=TASKS))
    writer.declare(standard("hessian", task=TASKS))
    writer.append("losses", {"step": 0, "loss": [1, 2]})
    with pytest.raises(TrajlabError, match=sentence):
        call(writer)
    writer.append("losses", {"step": 1, "loss": [3, 4]})
    writer.close()
    assert Trajectory(writer.path).table("losses")["loss"].tolist() == [[1, 2], [3, 4]]


def test_a_list_of_paths_is_told_how_to_be_named(folder):
    with pytest.raises(TrajlabError, match=r"a list is no path.*load\(\*paths\)"):
        load([folder])


@pytest.mark.parametrize("facts", [{1: "a", "1": "b"}, {"record": {None: 1, "null": 2}}])
def test_metadata_that_one_file_cannot_keep_apart_are_refused(tmp_path, facts):
    with pytest.raises(TrajlabError, match=r"two keys among .* become one"):
        Writer(tmp_path / "run.h5", TASKS, metadata=facts)
    Writer(tmp_path / "run.h5", TASKS, metadata={1: "a", "2": {"1": "b"}}).close()
    assert Trajectory(tmp_path / "run.h5").metadata == {"1": "a", "2": {"1": "b"}}
