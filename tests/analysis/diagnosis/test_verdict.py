"""What must never be said."""

import re

import pandas as pd
import pytest

from tests.analysis.conflict.test_sentences import pair, shares
from tests.analysis.gap.test_sentences import row
from tests.analysis.results import made_up
from trajlab.analysis import verdict


@pytest.mark.parametrize("reach", [3.0, -3.0])
@pytest.mark.parametrize("selection", [0.0, 2.0, -2.0])
def test_no_shares_and_no_causes(reach, selection):
    terms = {"delta": (2.0, 1.0), "matched": (-1.0, 0.5)}
    changed = row(**terms, reach=(reach, 1.0), selection=(selection, 1.0))
    results = [
        made_up("gap", summary=pd.DataFrame([changed])),
        made_up("conflict", summary=pd.DataFrame([pair()]), tasks=shares(0.25, 0.75)),
    ]
    told = " ".join(verdict(results)["sentence"])
    assert "Batch gradients of left and right" in told
    assert "%" not in told
    assert not re.search(r"because|caused|due to", told, re.IGNORECASE)
