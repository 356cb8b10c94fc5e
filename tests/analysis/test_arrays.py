"""The door to the functions of arrays, and the paths that led to them before."""

import re
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from trajlab.analysis import arrays, moved

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "python.md"


def test_what_the_documentation_names_is_there():
    text = DOCUMENTATION.read_text().partition("## From arrays")[2]
    table = [line for line in text.splitlines() if line.startswith("|")][2:]
    named = [name for row in table for name in re.findall(r"`(\w+)[`.]", row.split("|")[2])]
    assert len(named) > 30
    assert set(named) <= set(arrays.__all__)


@pytest.mark.parametrize("module", moved.MODULES)
def test_a_former_path_hands_on_its_functions_with_a_warning(module):
    former = import_module(f"trajlab.analysis.{module}")
    for name in moved.MODULES[module]:
        new = "factor_difference" if name == "difference" else name
        with pytest.warns(DeprecationWarning, match=rf"{module}.{name} is now .*arrays\.{new};"):
            assert getattr(former, name) is getattr(arrays, new)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        former.nothing  # noqa: B018


def test_the_warning_points_at_the_line_that_imports():
    with pytest.warns(DeprecationWarning, match="arrays.cosine") as caught:
        from trajlab.analysis.similarity import cosine
    assert caught[0].filename == __file__
    assert cosine(np.eye(2)).tolist() == [[1, 0], [0, 1]]
