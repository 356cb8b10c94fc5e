"""Two minutes of translation into two languages, on real text: ``make study-test``."""

import os
import time
from pathlib import Path

import pytest

from trajlab.study import runner
from trajlab.study.file import read
from trajlab.study.selection import runs

STUDY = """
setting = "translation"
condition = "de+fr"
optimizer = "adam"
schedule = { name = "inverse-sqrt", warmup = 200 }
label_smoothing = 0.1
dropout = 0.1
learning_rate = 0.003
batch_size = 64
epoch_steps = 100
epochs = 5
share = 0.2
[record]
Translations = { every = [0, 500], sentences = 100 }
"""


@pytest.mark.skipif("TRAJLAB_STUDY" not in os.environ, reason="takes minutes: make study-test")
def test_two_languages_are_learned_and_scored(tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    file.write_text(f"runs = '{tmp_path / 'runs'}'\n{STUDY}")
    made = read(file)
    start = time.monotonic()
    seen = runner.Progress()
    runner.train(made, runner.local(1), seen)
    assert not seen.failures, list(seen.failures)
    (run,) = runs(made, made.stages[0]) or []
    found = run.trajectory()
    assert found is not None
    losses, scores = found.table("evaluations/validation")["loss"], found.table("translations")
    print(f"\n{time.monotonic() - start:.0f} s; loss {losses[0]} to {losses[-1]} nats a token")
    print(f"BLEU {scores['bleu'][-1]}, chrF {scores['chrf'][-1]}: {scores.attributes}")
    assert (losses[-1] < losses[0] - 2).all()
    assert (scores["chrf"][-1] > scores["chrf"][0]).all()
    assert scores["step"].tolist() == [0, 500]
