"""The view: it grows with the runs, lets in only who knows the token, and writes nothing."""

import time
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import numpy as np
import pytest
from starlette.testclient import TestClient

from tests.report.test_page import record
from tests.runs import write
from trajlab.analysis import diagnose
from trajlab.report.live import state
from trajlab.report.live.progress import standing
from trajlab.report.live.server import application
from trajlab.report.live.state import Live, Sections
from trajlab.store import Column, Table, Writer, load, standard

TOKEN = "known"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed in range(3):
        record(tmp_path / f"single{seed}.h5", "single", seed, ["left"])
        record(tmp_path / f"uniform{seed}.h5", "uniform", seed, ["left", "right"])
    return tmp_path


def recording(path: Path) -> Writer:
    writer = Writer(path, ["left"], metadata={"method": "<i>new</i>", "seed": 7}, provenance={})
    loss = Table("evaluations/train", (Column("loss", ("step", "task")),), {"task": ["left"]})
    writer.declare(loss)
    return writer


def append(writer: Writer, step: int) -> None:
    writer.append("evaluations/train", {"step": step, "loss": np.array([1 / step])})
    writer.flush()


def settled(live: Live, where: str = "") -> Sections:
    """Return the sections once the page has been made of what there is now."""
    live._pages.pop(where, None)
    while len((sections := live.sections(where)).html) < 2:
        time.sleep(0.02)
    return sections


def client(live: Live) -> TestClient:
    return TestClient(application(live, TOKEN), base_url="http://127.0.0.1:8000")


def test_a_run_that_appears_and_grows_is_told_at_once(folder: Path) -> None:
    live = Live([str(folder)], {})
    assert "6 runs, 0 recording" in live.sections().html["progress"]
    writer = recording(folder / "new.h5")
    append(writer, 41)
    assert "7 runs, 1 recording" in live.sections().html["progress"]
    assert ">41<" in live.sections().html["progress"]
    append(writer, 42)
    assert ">42<" in live.sections().html["progress"]
    writer.close()
    assert "7 runs, 0 recording" in live.sections().html["progress"]


def test_the_page_follows_and_what_did_not_change_keeps_its_mark(folder: Path) -> None:
    live = Live([str(folder)], {})
    before = settled(live)
    assert {"overview", "verdict", "curves", "gap", "runs"} <= before.html.keys()
    assert settled(live).marks["gap"] == before.marks["gap"]
    record(folder / "single9.h5", "single", 9, ["left"])
    after = settled(live)
    assert after.marks["gap"] != before.marks["gap"]
    assert after.marks["left-out"] == before.marks["left-out"]


def test_runs_without_a_verdict_show_why_and_their_curves(tmp_path: Path) -> None:
    writer = recording(tmp_path / "new.h5")
    append(writer, 1)
    append(writer, 2)
    html = settled(Live([str(tmp_path)], {})).html
    assert "no run is complete" in html["verdict"]
    assert "curves" in html
    writer.close()


def test_nothing_there_yet_is_no_error(tmp_path: Path) -> None:
    assert "0 runs, 0 recording" in Live([str(tmp_path)], {}).sections().html["progress"]


def test_a_damaged_file_costs_its_own_row(folder: Path) -> None:
    live = Live([str(folder)], {})
    settled(live)
    path = folder / "single1.h5"
    path.write_bytes(b"no longer a run")
    html = settled(live).html
    assert "5 runs" in html["progress"]
    assert f"Cannot be read: {path}" in html["progress"]
    assert "against method=single" in html["overview"]


def test_descriptive_only_stands_until_three_seeds_are_complete(tmp_path: Path) -> None:
    def said(seed: int) -> str:
        record(tmp_path / f"single{seed}.h5", "single", seed, ["left"])
        record(tmp_path / f"uniform{seed}.h5", "uniform", seed, ["left", "right"])
        return settled(live).html["verdict"]

    live = Live([str(tmp_path)], {})
    said(0)
    assert "Descriptive only (n = 2 against 2): Δ" in said(1)
    assert "Descriptive only" not in said(2)


def test_runs_are_listed_and_filtered_while_the_verdict_is_being_made(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on, made = Event(), Event(), []

    def slow(*arguments: object, **settings: object) -> object:
        made.append(arguments)
        begun.set()
        assert go_on.wait(60)
        return diagnose(*arguments, **settings)

    monkeypatch.setattr(state, "diagnose", slow)
    live = Live([str(folder)], {})
    live.sections()
    assert begun.wait(60)
    record(folder / "single9.h5", "single", 9, ["left"])
    for where, number in (("", 7), ("method=single", 4), ("method=uniform", 3)):
        known = live.sections(where)
        assert list(known.html) == ["progress"]  # the verdict is not there, and nobody waits for it
        assert f"{number} runs" in known.html["progress"]
    for _ in range(5):
        live.sections()
    assert len(made) == 1  # one is made at a time, however often one looks
    go_on.set()
    assert "overview" in settled(live).html


def test_what_did_not_change_is_not_made_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def counted(*arguments: object, **settings: object) -> object:
        made.append(arguments)
        return diagnose(*arguments, **settings)

    monkeypatch.setattr(state, "diagnose", counted)
    live = Live([str(folder)], {})
    settled(live)
    live._pages[""].again = 0.0  # it has rested
    for _ in range(3):
        live.sections()
        assert not live._pages[""].making
    assert len(made) == 1


def test_a_page_rests_four_times_as_long_as_making_it_took(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = Live([str(folder)], {})
    settled(live)
    page = live._pages[""]
    record(folder / "single9.h5", "single", 9, ["left"])
    page.again = float("inf")
    live.sections()
    assert not page.making
    clock = iter([10.0, 15.0, 15.0])
    monkeypatch.setattr(state, "_sections", lambda runs, settings: {"curves": "anew"})
    monkeypatch.setattr(state, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    live._make(page, live._watched.look(), "as it stands")
    assert page.again == 15 + 4 * 5
    assert (page.state, page.sections) == ("as it stands", {"curves": "anew"})


def test_pages_of_the_last_eight_selections_are_kept(folder: Path) -> None:
    live = Live([str(folder)], {})
    for number in range(10):
        live.sections(f"seed={number}")
        live.sections("seed=1")
    assert list(live._pages) == [*(f"seed={number}" for number in (3, 4, 5, 6, 7, 8, 9)), "seed=1"]


def test_how_far_a_run_is_is_told_by_its_last_losses(tmp_path: Path) -> None:
    facts = {"metadata": {"seed": 3, "lr": 1, "condition": "+b", "setting": "s"}}
    tables = [standard(name, task=["l", "r"]) for name in ("losses", "evaluations/train")]
    rows = [
        {
            "losses": {"step": 7, "loss": [9.0, 9.0]},
            "evaluations/train": {"step": 4, "loss": [1, 2]},
        },
        {"losses": {"step": 9, "loss": [0.12345, 12.0]}},
    ]
    write(tmp_path / "b.h5", ["l", "r"], tables, rows, close=False, **facts)
    write(
        tmp_path / "a.h5",
        ["l", "r"],
        tables[1:],
        [{"evaluations/train": rows[0]["evaluations/train"]}],
    )
    write(tmp_path / "c.h5", ["l", "r"], tables, [])
    found = {run.path.name: standing(run) for run in load(tmp_path)}
    head = {"run": "b.h5", "status": "recording", "setting": "s", "condition": "+b", "seed": 3}
    assert found["b.h5"] == {**head, "step": 9, "last loss": "0.123, 12", "training loss": "1, 2"}
    assert found["a.h5"] == {
        "run": "a.h5",
        "status": "complete",
        "step": 4,
        "training loss": "1, 2",
    }
    assert found["c.h5"] == {"run": "c.h5", "status": "complete"}
    html = Live([str(tmp_path)], {}).sections().html["progress"]
    assert html.index("b.h5") < html.index("a.h5") < html.index("c.h5")  # what records is first


def test_only_runs_that_meet_the_conditions_are_shown(folder: Path) -> None:
    live = Live([str(folder)], {})
    assert "3 runs with <b>method=single</b>" in live.sections("method=single").html["progress"]
    assert "1 run with" in live.sections("method=single seed=2").html["progress"]
    assert "0 runs with" in live.sections("nothing=such").html["progress"]


def test_names_are_text(folder: Path) -> None:
    writer = recording(folder / "<b>evil.h5")
    append(writer, 1)
    progress = Live([str(folder)], {}).sections("<script>=1").html["progress"]
    assert "<script>" not in progress
    assert "&lt;i&gt;new" in Live([str(folder)], {}).sections().html["progress"]
    writer.close()


def test_who_does_not_know_the_token_sees_nothing(folder: Path) -> None:
    stranger = client(Live([str(folder)], {}))
    for address in ("/", "/state", "/?token=guess", "/state?token="):
        answer = stranger.get(address)
        assert answer.status_code == 403
        assert "single0" not in answer.text
    known = client(Live([str(folder)], {}))
    page = known.get(f"/?token={TOKEN}")
    assert page.status_code == 200
    assert "httponly; samesite=strict" in page.headers["set-cookie"].lower().replace("path=/; ", "")
    assert "single0.h5" in known.get("/state").json()["changed"]["progress"]


def test_another_hosts_name_is_refused(folder: Path) -> None:
    answer = client(Live([str(folder)], {})).get(f"/?token={TOKEN}", headers={"host": "evil.org"})
    assert answer.status_code == 400


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_written(folder: Path, method: str) -> None:
    known = client(Live([str(folder)], {}))
    for address in ("/", "/state"):
        assert known.request(method, f"{address}?token={TOKEN}").status_code == 405


def test_only_what_changed_is_sent(folder: Path) -> None:
    live = Live([str(folder)], {})
    settled(live)
    known = client(live)
    told = known.get(f"/state?token={TOKEN}").json()
    marks = [("mark", f"{name}:{mark}") for name, mark in told["marks"].items()]
    assert set(told["changed"]) == set(told["order"])
    assert known.get("/state", params=marks).json()["changed"] == {}


def test_the_page_of_the_view_may_run_its_scripts_and_ask_its_server_only(folder: Path) -> None:
    page = client(Live([str(folder)], {})).get(f"/?token={TOKEN}")
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "connect-src 'self'" in policy
    assert page.text.count("<script>") == policy.count("'sha256-")
