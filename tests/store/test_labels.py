"""Labels in the order that a reader expects."""

import pytest

from trajlab.store.labels import ranks, same


@pytest.mark.parametrize(
    ("labels", "ordered"),
    [
        (["1.4B", "160M", "410M"], ["160M", "410M", "1.4B"]),
        (["pythia-1b", "pythia-70m", "pythia-6.9b"], ["pythia-70m", "pythia-1b", "pythia-6.9b"]),
        (["lr=0.1", "lr=0.01", "lr=1e-3"], ["lr=1e-3", "lr=0.01", "lr=0.1"]),
        (["adam-0.1", "adam-0.01"], ["adam-0.01", "adam-0.1"]),  # a hyphen is no sign
        (["-1", "-10"], ["-10", "-1"]),
        (["10", "9", "100"], ["9", "10", "100"]),
        (["uniform", "single", "adam"], ["uniform", "single", "adam"]),  # words stay as they come
        (["w=2", "single", "w=1"], ["w=1", "w=2", "single"]),
        (["10 many", "9 may"], ["10 many", "9 may"]),  # no suffix but a word, and other words
        (["2k", "500"], ["500", "2k"]),
    ],
)
def test_labels_are_ordered_by_their_numbers(labels, ordered):
    places = ranks([*labels, *labels])
    assert sorted(labels, key=places.__getitem__) == ordered
    assert sorted(places.values()) == list(range(len(labels)))


@pytest.mark.parametrize(
    ("suffix", "times", "below"),
    [("k", 1e3, ""), ("M", 1e3, "k"), ("B", 1e3, "M"), ("g", 1e3, "m"), ("T", 1e3, "b")],
)
def test_a_suffix_is_a_thousand_of_the_one_below_it(suffix, times, below):
    less, equal, more = (f"{times + moved:g}{below}" for moved in (-1, 0, 1))
    places = ranks([more, f"1{suffix}", less])
    assert sorted(places, key=places.__getitem__) == [less, f"1{suffix}", more]
    for pair in ([equal, f"1{suffix}"], [f"1{suffix}", equal]):  # as they come
        assert list(ranks(pair)) == pair


def test_labels_are_the_same_as_numbers_too():
    assert same("0.001", "1e-3")
    assert same("sgd", "sgd")
    assert not same("0.001", "1e-4")
    assert not same("sgd", "SGD")
