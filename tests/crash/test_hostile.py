"""Files damaged at random and sealed again: a sentence, or what was written; never a crash."""

import os

from tests.crash.hostile import GOLDEN, Inputs, measured

INPUTS = int(os.environ.get("TRAJLAB_INPUTS", "2000"))


def test_no_file_crashes_holds_or_deceives_its_reader(place):
    found = measured(Inputs(place, GOLDEN), 0, INPUTS)
    print(f"{INPUTS} inputs: {found}")
    words = {key.partition(": ")[2] for key in found["outcomes"]}
    assert words == {"told", "same"}, found["bad"]
    assert sum(n for key, n in found["outcomes"].items() if key.endswith("told")) > INPUTS // 2
    assert found["longest"] < 10
    assert found["MiB"] < 1024
