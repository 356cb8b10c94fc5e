"""Two minutes of translation into two languages, on real text: ``make study-test``."""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import sacrebleu
import torch

from trajlab import load
from trajlab.errors import TrajlabError
from trajlab.record.probes import Probe
from trajlab.study import recorded
from trajlab.study.file import read
from trajlab.study.selection import runs
from trajlab.training import Problem, train
from trajlab.training.corpora import parallel
from trajlab.training.settings.translation import LONGEST
from trajlab.training.transformer import END, PAD

SENTENCES = 50
FALL = 1.5  # nats a token that the loss has to fall, and to lie below that of knowing nothing
STUDY = f"""
setting = "translation"
condition = "de+fr"
optimizer = "adam"
schedule = {{ name = "inverse-sqrt", warmup = 100 }}
label_smoothing = 0.1
dropout = 0.1
learning_rate = 0.003
batch_size = 16
epoch_steps = 300
epochs = 1
share = 0.05
seed = 3
[record]
Translations = {{ every = "epoch", sentences = {SENTENCES} }}
"""


@pytest.fixture(scope="module")
def texts() -> Mapping[str, list[tuple[str, str]]]:
    """Test sentences of both languages, as the packages have them."""
    if "TRAJLAB_STUDY" not in os.environ:
        pytest.skip("takes minutes: make study-test")
    try:
        return {language: parallel(language, 3)["test"] for language in ("de", "fr")}
    except TrajlabError as error:  # it says which command installs the text
        pytest.skip(str(error))


def test_two_languages_are_learned_and_scored(
    texts: Mapping[str, list[tuple[str, str]]], tmp_path: Path
) -> None:
    file = tmp_path / "study.toml"
    file.write_text(f"runs = '{tmp_path / 'runs'}'\n{STUDY}")
    made = read(file)
    (run,) = runs(made, made.stages[0]) or []
    trained: list[Problem] = []

    def probes(problem: Problem) -> list[Probe]:
        trained.append(problem)
        return recorded.build(run.configuration["record"], problem)

    train(run.plan, run.path, probes=probes)
    (found,) = load(run.path)
    losses, scores = found.table("evaluations/validation")["loss"], found.table("translations")
    print(f"\nloss {losses[0]} to {losses[-1]} nats a token")
    print(f"BLEU {scores['bleu'][-1]}, chrF {scores['chrf'][-1]}: {scores.attributes}")
    trunk: Any = trained[0].model.trunk
    assert (losses[-1] < losses[0] - FALL).all()
    assert (losses[-1] < math.log(trunk.words.get_vocab_size()) - FALL).all()
    assert scores["step"].tolist() == [0, 300]
    for index, task in enumerate(found.tasks):
        told, wanted = _decoded(trained[0], texts[task], f"<{task}>")
        bleu = sacrebleu.corpus_bleu(told, [wanted]).score
        chrf = sacrebleu.corpus_chrf(told, [wanted]).score
        assert min(bleu, chrf) > 0  # two zeros would agree whatever was scored
        assert scores["bleu"][-1, index] == pytest.approx(bleu)
        assert scores["chrf"][-1, index] == pytest.approx(chrf)
        print(f"{task}: {told[:3]} for {wanted[:3]}")


def _decoded(
    problem: Problem, pairs: list[tuple[str, str]], mark: str
) -> tuple[list[str], list[str]]:
    """Translate the first sentences word by likeliest word; return that and what they should be.

    From the text and the network's logits, a sentence at a time: neither the tokens that the
    setting made nor its own loop over batches are used.
    """
    trunk: Any = problem.model.trunk.eval()
    coded = [[trunk.words.encode(side).ids for side in pair] for pair in pairs]
    short = [number for number, both in enumerate(coded) if max(map(len, both)) < LONGEST]
    told = []
    for number in short[:SENTENCES]:
        memory = trunk.encode(torch.tensor([coded[number][0]]))
        given = [trunk.words.token_to_id(mark)]
        while len(given) < LONGEST and given[-1] != END:
            with torch.no_grad():
                given.append(int(trunk.decode(torch.tensor([given]), *memory)[0, -1].argmax()))
        told.append(trunk.words.decode([token for token in given[1:] if token not in (PAD, END)]))
    return told, [pairs[number][1] for number in short[:SENTENCES]]
