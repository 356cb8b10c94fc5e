"""Count what verdicts on studies made up say."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.coverage.sentences import kinds
from benchmarks.coverage.studies import Study
from trajlab.analysis import factors, gap, runs_from_frame, verdict


def said(study: Study, rng: np.random.Generator) -> set[str]:
    """Draw a study, and return the kinds of sentences its verdict holds."""
    runs = runs_from_frame(study.frame(rng), metrics=["accuracy"])
    results = [gap(runs), *([factors(runs)] if study.factors else [])]
    return kinds(verdict(results, margin=study.margin)["sentence"])


def count(study: Study, trials: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Yield how often each kind of sentence that is judged is said, one row a kind.

    Parameters
    ----------
    study
        What is drawn, `trials` times.
    trials, seed
        How often, and of the draws.
    """
    rng = np.random.default_rng(seed)
    found = Counter(kind for _ in range(trials) for kind in said(study, rng))
    evaluations = "/".join(dict.fromkeys(str(how.evaluations) for how in study.methods))
    for truth, judged in (("false", study.false), ("true", study.true)):
        for kind in judged:
            yield {
                "study": study.name,
                "seeds": study.seeds,
                "tasks": study.tasks,
                "evaluations": evaluations,
                "sentence": kind,
                "is": truth,
                "said": found[kind] / trials,
                "trials": trials,
            }
