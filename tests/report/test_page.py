"""The page: whole, self-contained, valid, and saying what the diagnosis says."""

import base64
import hashlib
import io
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.plots.test_gap import result as gap_of
from trajlab.analysis import Diagnosis, diagnose
from trajlab.analysis.runs.groups import ONE_TASK
from trajlab.report.catalog import ANALYSES
from trajlab.report.figures import draw
from trajlab.report.page import _origins, _part, _title, render, without_verdict
from trajlab.report.sentences import left_out, sentences
from trajlab.store import Column, Runs, Table, Writer, load

VOID = {"meta", "br", "link", "img", "hr", "input"}
TASKS = ["left", "<b>right</b>"]


class Page(HTMLParser):
    """Checks that elements close in order; keeps attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.tags = Counter[str]()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def record(path: Path, method: str, seed: int, tasks: list[str]) -> None:
    noise = np.random.default_rng(seed)
    writer = Writer(
        path,
        tasks,
        metadata={"setting": "made up", "method": method, "seed": seed},
        provenance={"versions": {"torch": "2.0"}, "device": "cpu"},
    )
    axes = ("step", "task")
    for split, names in (("train", ["loss"]), ("test", ["accuracy"])):
        columns = tuple(Column(name, axes, attributes={"higher_is_better": True}) for name in names)
        writer.declare(Table(f"evaluations/{split}", columns, {"task": tasks}, kind="evaluation"))
    gram = Column("gram", ("step", "layer", "task", "other_task"))
    labels = {"layer": ["trunk"], "task": tasks, "other_task": tasks}
    writer.declare(Table("gradients", (gram,), labels))
    for step in range(30):
        accuracy = 50 + step + (method == "uniform") + noise.normal(0, 0.1, len(tasks))
        writer.append("evaluations/train", {"step": step, "loss": np.full(len(tasks), 0.8**step)})
        writer.append("evaluations/test", {"step": step, "accuracy": accuracy})
        gradients = noise.normal(size=(len(tasks), 5))
        writer.append("gradients", {"step": step, "gram": (gradients @ gradients.T)[None]})
    writer.close()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    folder = tmp_path_factory.mktemp("runs")
    for seed in range(3):
        record(folder / f"single{seed}.h5", "single", seed, ["left"])
        record(folder / f"uniform{seed}.h5", "uniform", seed, TASKS)
    (folder / "broken.h5").write_bytes(b"not a run")
    return load(folder)


@pytest.fixture(scope="module")
def diagnosis(runs: Runs) -> Diagnosis:
    return diagnose(runs)


@pytest.fixture(scope="module")
def page(diagnosis: Diagnosis, runs: Runs) -> Page:
    return Page(render(diagnosis, runs))


def test_every_sentence_of_the_verdict_comes_before_any_figure(page: Page, diagnosis) -> None:
    text = " ".join(page.text.split())
    for sentence in diagnosis.verdict["sentence"]:
        assert 0 < text.index(sentence) < text.index("How to read it")


def test_every_analysis_has_its_figure_and_its_numbers(page: Page, diagnosis) -> None:
    assert len(diagnosis.results) == 2
    drawn = [value for tag, name, value in page.attributes if (tag, name) == ("svg", "class")]
    assert drawn.count("forest") == diagnosis.results["gap"].summary["delta"].notna().sum()
    assert page.tags["svg"] - drawn.count("forest") == len(diagnosis.results)
    delta = diagnosis.results["gap"].tables()["summary"]["delta"][0]
    assert f"{delta:.3g} [" in page.text


def test_elements_close_and_ids_differ(page: Page) -> None:
    assert page.open == []
    ids = Counter(value for _, name, value in page.attributes if name == "id")
    assert ids.most_common(1)[0][1] == 1


def test_what_is_referred_to_is_on_the_page_itself(page: Page) -> None:
    ids = {value for _, name, value in page.attributes if name == "id"}
    for tag, name, value in page.attributes:
        assert name != "src"
        if name.endswith("href"):
            assert value.startswith(("#", "data:text/csv;base64,")), (tag, value)
            assert value.startswith("data:") or value[1:] in ids
        if "url(" in value:
            assert value.split("url(#")[1].split(")")[0] in ids
    assert not {"link", "iframe", "object"} & page.tags.keys()


def test_nothing_runs_but_the_scripts_that_the_policy_names(diagnosis, runs: Runs) -> None:
    text = render(diagnosis, runs)
    policy = re.search('Content-Security-Policy" content="([^"]*)"', text)[1].replace("&#39;", "'")
    written = re.findall("<script>(.*?)</script>", text, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(x.encode()).digest()).decode() for x in written]
    allowed = re.search("script-src ([^;]*);", policy)[1].split()
    assert allowed == [f"'sha256-{each}'" for each in hashes]
    assert policy.startswith("default-src 'none'; ")
    assert not re.search(r"<[^>]* on\w+=", re.sub("<script.*?</script>", "", text, flags=re.DOTALL))


def test_a_link_saves_the_table_that_it_names(page: Page, diagnosis) -> None:
    links = [value for _, name, value in page.attributes if name == "href" and "base64," in value]
    files = [value for _, name, value in page.attributes if name == "download"]
    saved = dict(zip(files, links, strict=True))
    text = base64.b64decode(saved["gap-summary.csv"].split(",")[1]).decode()
    table = pd.read_csv(io.StringIO(text), keep_default_na=False, na_values=[""])
    assert table["delta"].tolist() == pytest.approx(
        diagnosis.results["gap"].summary["delta"].tolist(), nan_ok=True
    )


def test_names_are_text_and_never_markup(page: Page) -> None:
    assert "<b>right</b>" in page.text


def test_runs_files_skipped_settings_and_versions_are_named(page: Page, runs: Runs) -> None:
    for run in runs:
        assert str(run.path) in page.text
    assert runs.skipped[0][1] in page.text
    assert "torch 2.0" in page.text
    assert "isotonic" in page.text


def test_runs_of_one_group_have_a_page_without_a_gap(runs: Runs) -> None:
    some = runs.select(method="uniform")
    made = diagnose(some)
    text = Page(render(made, some)).text
    assert made.skipped["gap"] in text


def test_headings_say_what_tells_comparisons_apart(diagnosis: Diagnosis) -> None:
    said = sentences(diagnosis)
    # one way of training is compared, and what its gradients do concerns all tasks
    assert list(said) == ["task left", "task <b>right</b>", "All tasks"]
    assert sum(map(len, said.values())) == len(diagnosis.verdict)


def test_where_one_task_was_trained_headings_name_the_way_of_training(tmp_path: Path) -> None:
    for seed in range(2):
        for method in ("single", "uniform"):
            record(tmp_path / f"{method}{seed}.h5", method, seed, ["left"])
    assert list(sentences(diagnose(load(tmp_path)))) == ["task left, method uniform"]


def test_a_figure_that_fails_costs_itself_alone(diagnosis, runs: Runs, monkeypatch) -> None:
    def fail(name: str, result: object, places: object) -> None:
        if name == "conflict":
            raise ValueError("no <room>")
        return draw(name, result, places)

    monkeypatch.setattr("trajlab.report.page.draw", fail)
    page = Page(render(diagnosis, runs))
    forests = sum(value == "forest" for _, name, value in page.attributes if name == "class")
    assert page.tags["svg"] - forests == len(diagnosis.results) - 1
    assert "This figure could not be drawn: ValueError: no <room>" in page.text
    text = " ".join(page.text.split())
    assert all(sentence in text for sentence in diagnosis.verdict["sentence"])


def test_an_interactive_figure_that_fails_is_told_in_its_place(
    diagnosis, runs: Runs, monkeypatch
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("no <room>")

    monkeypatch.setattr("trajlab.report.page.CHARTS", {"gap": fail})
    monkeypatch.setattr("trajlab.report.page.curves", fail)
    text = render(diagnosis, runs)
    page, said = Page(text), "The interactive figure could not be made: ValueError: no <room>"
    assert page.text.count(said) == 2
    assert 'class="static"' in text.partition('id="gap"')[2].partition("</figure>")[0]
    assert not any("live" in value for tag, _, value in page.attributes if tag == "figure")


def test_a_page_has_the_title_and_tells_the_command_that_it_was_given(
    diagnosis, runs: Runs
) -> None:
    text = render(diagnosis, runs, "For <Ada>", "trajlab diagnose 'a b'")
    assert "<title>For &lt;Ada&gt;</title>" in text
    assert "Made by trajlab diagnose 'a b'" in Page(text).text
    assert "Made by" not in Page(render(diagnosis, runs)).text


def test_a_part_has_rows_with_numbers_reasons_by_count_and_what_can_be_saved() -> None:
    made = gap_of({"+a": 1, "+b": 2, "+c": 3})
    summary = made.summary.assign(reason=["", "no baseline", "no baseline"])
    summary.loc[1:, summary.select_dtypes("float").columns] = np.nan
    long = pd.DataFrame({"x": range(201)})
    made = replace(made, summary=summary, steps=long, at=long[:200])
    part = _part("gap", made, {})
    assert part["reasons"] == {"no baseline": 2}
    assert part["main"].cells["condition"].tolist() == ["+a"]
    assert (part["name"], part["help"]) == ("gap", ANALYSES["gap"].help)
    assert list(part["others"]) == ["curve", "steps", "at"]  # not those without a row
    assert part["others"]["steps"] == 201  # too many to be shown
    assert len(part["others"]["at"].cells) == 200
    assert list(part["downloads"]) == ["curve", "summary", "steps", "at"]
    assert 'download="gap-steps.csv"' in part["downloads"]["steps"]
    assert part["figure"].startswith("<svg")
    assert [panel.title for panel in part["charts"]] == [""]
    nothing = _part("gap", replace(made, summary=summary[1:]), {})
    assert nothing["main"] is None


def test_a_page_is_named_after_its_settings_and_tells_every_origin_once() -> None:
    def stub(setting: str | None, **provenance: object) -> Any:
        return SimpleNamespace(metadata={"setting": setting}, provenance=provenance)

    runs: Any = [
        stub("digits", device="cpu", git_commit=""),
        stub("yeast", device="cuda", versions={"torch": "2.6"}),
        stub("digits", device="cpu"),
    ]
    compared, alone = (SimpleNamespace(results=results) for results in ({"gap": 1}, {"front": 1}))
    for diagnosis, about, title in (
        (compared, runs, "digits, yeast: the ways of training compared"),
        (alone, runs[:1], "digits: what the runs show"),
        (alone, [stub(None)], "What the runs show"),
        (compared, [stub("")], "The ways of training compared"),
    ):
        assert _title(diagnosis, about) == title  # type: ignore[arg-type]
    assert _origins(runs) == {"versions": "torch 2.6", "device": "cpu; cuda"}


def test_groups_that_a_key_tells_apart_have_a_colour_each(
    diagnosis: Diagnosis, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr("trajlab.report.page.curves", lambda *given: seen.append(given) or [])
    monkeypatch.setattr("trajlab.report.page.sentences", lambda _: {})
    by_seed = replace(diagnosis, results={}, options=replace(diagnosis.options, group_by=("seed",)))
    render(by_seed, runs)
    without_verdict("Nothing yet.", runs, ("seed",))
    names = [f"{method} · {seed}" for method in ("single", "uniform") for seed in range(3)]
    expected = {name: place for place, name in enumerate(names)}
    assert [places for _, _, places in seen] == [expected, expected]
    assert seen[1][1] == ["condition", "method", "seed"]


def test_what_does_not_apply_is_told_by_its_reason_but_not_that_there_is_one_task() -> None:
    skipped = {"gap": "no baseline", "conflict": ONE_TASK, "factors": "no baseline", "front": "x"}
    diagnosis: Any = SimpleNamespace(skipped=skipped)
    assert left_out(diagnosis) == {"no baseline": "gap, factors", "x": "front"}
