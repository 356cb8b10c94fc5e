"""What a notebook shows: numbers and figure of a result, and interactive ones on request."""

import pytest
from IPython.core.interactiveshell import InteractiveShell

from tests.report.test_page import Page
from trajlab.analysis import conflict, diagnose, gap
from trajlab.errors import TrajlabError
from trajlab.report.notebook import name_of
from trajlab.store import Runs


def test_a_result_is_its_figure_and_its_table(runs: Runs) -> None:
    result = gap(runs)
    page = Page(result._repr_html_())
    assert page.tags["svg"] == 1
    assert f"{result.summary['delta'][0]:.3g} [" in page.text
    assert page.open == []


def test_a_diagnosis_is_its_overview_and_its_verdict(runs: Runs) -> None:
    result = diagnose(runs)
    text = Page(result._repr_html_()).text
    assert all(sentence in " ".join(text.split()) for sentence in result.verdict["sentence"])
    assert "against method=single" in text


def test_every_result_knows_its_analysis(runs: Runs) -> None:
    assert {name_of(gap(runs)), name_of(conflict(runs))} == {"gap", "conflict"}


def test_interactive_figures_are_shown_in_a_notebook_only(runs: Runs, monkeypatch) -> None:
    result = gap(runs)
    with pytest.raises(TrajlabError, match="draws in a notebook"):
        result.show()
    shown = []
    monkeypatch.setattr("IPython.get_ipython", InteractiveShell)
    monkeypatch.setattr("IPython.display.publish_display_data", shown.append)
    result.show()
    table, bundle = shown
    assert "text/html" in table
    spec = bundle["application/vnd.vegalite.v5+json"]
    drawn = sum(len(row["gap"]) for row in spec["data"]["values"])
    assert drawn == len(result.curve) + 1  # and the end, at L_c
    assert bundle["text/plain"] == spec["description"]
