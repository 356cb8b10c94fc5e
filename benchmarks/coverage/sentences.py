"""What kinds of sentences a verdict holds, by how they begin or what is in them."""

import re
from collections.abc import Iterable

_PATTERNS = {
    "improved or lowered": r"^(Improved|Lowered)",
    "present": r"^A gap is present at equal training loss",
    "present, better": r"^A gap is present at equal training loss.*?: \+",
    "present, worse": r"^A gap is present at equal training loss.*?: -",
    "the other sign": r"the gap has the other sign",
    "reach": r"^The gap (appears|comes)",
    "longer training": r"longer training",
    "got worse": r"got worse",
    "checkpoint": r"comes from the choice of checkpoint",
    "factor": r"differs at equal training loss",
    "no transfer": r"No transfer larger than",
    "no sentence": r"\bnan\b|[+-]0 \[|e-1\d comes",
}
_FINDINGS = ("improved or lowered", "present", "the other sign", "reach", "checkpoint", "factor")
ANY = "any finding"
KINDS = (*_PATTERNS, ANY)


def kinds(sentences: Iterable[str]) -> set[str]:
    """Return the kinds of sentences that are said."""
    said = {
        kind
        for sentence in sentences
        for kind, pattern in _PATTERNS.items()
        if re.search(pattern, sentence)
    }
    return said | ({ANY} if said.intersection(_FINDINGS) else set())
