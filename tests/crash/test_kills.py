"""Random kills in chains of resume: nothing unreadable, wrong, or lost that was acknowledged."""

import os
from collections import Counter

from tests.crash.kills import CHAIN, chain
from tests.crash.trainer import ROWS

KILLS = int(os.environ.get("TRAJLAB_KILLS", "50"))
SHORT = 8  # kills a chain where there are few, so that each number of tables has its turn


def test_random_kills_in_chains_of_resume(place):
    places: Counter[str] = Counter()
    lost = 0
    each = CHAIN if KILLS >= 8 * CHAIN else SHORT
    for number in range(max(1, KILLS // each)):
        folder = place / str(number)
        folder.mkdir()
        outcome = chain(folder, number, each)
        places += outcome.places
        lost = max(lost, outcome.lost)
    print(f"{places.total()} kills: {dict(places)}; at most {lost} steps lost")
    assert lost <= ROWS
    assert {"recover", "flush", "seal", "rotate"} <= set(places)
