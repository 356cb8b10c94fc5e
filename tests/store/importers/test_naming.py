"""Names that say what a run is: matched in one pass, and never by a guess."""

import pytest

from trajlab.errors import TrajlabError
from trajlab.store.importers.naming import NamePattern
from trajlab.store.importers.numerals import labels


def test_fields_and_parts():
    match = NamePattern("{method}/seed_{seed}/log-[task]").match("pc grad/seed_3/log-left")
    assert match == ({"method": "pc grad", "seed": "3"}, {"task": "left"}, "pc grad/seed_3/log-")
    assert NamePattern("{a}-{b}").match("one") is None
    assert NamePattern("{a}-{b}").match("x/one-two") is None


def test_what_can_be_read_in_several_ways_is_refused():
    with pytest.raises(TrajlabError, match="in several ways"):
        NamePattern("{method}-{seed}").match("a-b-0")
    assert NamePattern("{method}-s{seed}").match("a-b-s0")[0] == {"method": "a-b", "seed": "0"}


@pytest.mark.parametrize("pattern", ["plain", "{a}{b}", "{a}-{a}"])
def test_no_pattern(pattern):
    with pytest.raises(TrajlabError, match="no pattern"):
        NamePattern(pattern)


def test_a_long_name_is_no_long_search():
    pattern = NamePattern("-".join(f"{{f{i}}}" for i in range(30)) + "x")
    assert pattern.match("-" * 20_000) is None


def test_labels_are_numbers_only_where_all_read_as_such():
    assert labels(["3", "10"]) == [3, 10]
    assert labels(["3", "0.5"]) == [3.0, 0.5]
    assert labels(["3", "b"]) == ["3", "b"]
    assert labels(["1_0", "2_0"]) == ["1_0", "2_0"]  # which Python reads as 10 and 20
