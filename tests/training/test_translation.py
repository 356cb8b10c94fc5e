"""Translation: text from pages or files, a causal model, losses a token, scores by sacrebleu."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import sacrebleu
import torch

from tests.training.layouts import counting
from trajlab import load
from trajlab.errors import TrajlabError
from trajlab.study import recorded
from trajlab.training import Plan, train
from trajlab.training.corpora import parallel
from trajlab.training.evaluation import evaluate
from trajlab.training.models import Shape
from trajlab.training.settings import setting
from trajlab.training.settings.translation import LONGEST, TokenLoss, _coded
from trajlab.training.transformer import END, PAD, Translator
from trajlab.training.translations import Translations, _text

PLAN = Plan(setting("translation"), "", "uniform", 0, 12, 16, 0.01, 0.0, optimizer="adam")


def test_pages_are_aligned_by_element_and_split_by_file(data: Path) -> None:
    found = parallel("de", 0)
    sources = [source for pairs in found.values() for source, _ in pairs]
    assert len(sources) == len(set(sources))  # what is on many pages is there once
    assert sources.count(counting("en-US", "12345")) == 1
    assert "LibreOffice" not in sources
    assert ("without id", "without id") not in found["train"]
    for source, target in found["test"]:
        words = [counting("en-US", str(digit)) for digit in range(10)]
        digits = "".join(str(words.index(word)) for word in source.split())
        assert target == counting("de", digits)
    again, other = parallel("de", 0), parallel("de", 1)
    assert again == found
    assert other["test"] == found["test"]
    assert other["validation"] != found["validation"]
    # of 40 pages two each, with 12 paragraphs; what is on all pages counts as a test
    assert {split: len(pairs) // 12 for split, pairs in found.items()} == {
        "train": 35,
        "validation": 2,
        "test": 2,
    }
    assert counting("en-US", "12345") in [source for source, _ in found["test"]]
    # the same pages for every language
    assert [s for s, _ in parallel("fr", 0)["test"]] == [s for s, _ in found["test"]]


def test_files_of_ones_own_are_aligned_by_line(tmp_path: Path) -> None:
    folder = tmp_path / "en-de"
    folder.mkdir()
    for split in ("train", "validation", "test"):
        (folder / f"{split}.en").write_text(f"one\n\n{split}\n", "utf-8")
        (folder / f"{split}.de").write_text(f"eins\nleer\nfünf {split}\n", "utf-8")
    found = parallel("de", 0, tmp_path)
    assert found["train"] == [("one", "eins"), ("train", "fünf train")]
    (folder / "test.de").write_text("eins\n", "utf-8")
    with pytest.raises(TrajlabError, match=r"test\.en has 3 lines and .*test\.de 1"):
        parallel("de", 0, tmp_path)
    (folder / "test.de").write_bytes(b"\xff\n")
    with pytest.raises(TrajlabError, match="cannot be read as UTF-8 text"):
        parallel("de", 0, tmp_path)


def test_missing_text_is_a_sentence_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAJLAB_DATA", str(tmp_path))
    monkeypatch.setattr("trajlab.training.corpora._SYSTEM", tmp_path / "nothing")
    with pytest.raises(
        TrajlabError, match="apt-get install libreoffice-help-en-us libreoffice-help-it"
    ):
        parallel("it", 0)
    with pytest.raises(TrajlabError, match="the tasks are de, fr"):
        setting("translation").problem("en", 0)


def test_low_resource_has_fewer_sentences_and_the_same_tests(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = "trajlab.training.settings.translation"
    monkeypatch.setattr(f"{module}._LOW", {"de": 50})
    monkeypatch.setattr(f"{module}._LOW_OTHERS", 7)
    low, whole = (setting(f"translation{kind}").problem("", 0) for kind in ("_low_resource", ""))
    assert [len(task.splits["train"][1]) for task in low.tasks.values()] == [50, 7]
    assert [len(task.splits["train"][1]) for task in whole.tasks.values()] != [50, 7]
    for name, task in low.tasks.items():
        assert len(task.splits["test"][1]) == len(whole.tasks[name].splits["test"][1])


def test_low_resource_has_the_first_of_the_sentences_that_all_have_in_the_order_of_the_seed(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trajlab.training.settings.translation._LOW_OTHERS", 7)
    texts = []
    for kind in ("_low_resource", ""):
        problem = setting(f"translation{kind}").problem("fr", 3)
        trunk: Any = problem.model.trunk
        inputs, targets = problem.tasks["fr"].splits["train"]
        rows = torch.arange(7)
        texts.append(
            [
                (trunk.words.decode(row[row != PAD].tolist()), _text(trunk.words, target))
                for row, target in zip(inputs[rows][:, : trunk.longest], targets[rows], strict=True)
            ]
        )
    pairs = parallel("fr", 3)["train"]
    order = np.random.default_rng([3, 2]).permutation(len(pairs))
    assert texts[0] == texts[1] == [pairs[row] for row in order[:7]]


class Words:
    """A vocabulary of numbers, told apart by blanks."""

    def encode_batch(self, texts: list[str]) -> list[Any]:
        return [SimpleNamespace(ids=[int(word) for word in text.split()]) for text in texts]

    def token_to_id(self, word: str) -> int:
        return {"<de>": 2, "<fr>": 3}[word]


def test_a_pair_is_its_source_the_language_and_what_came_before_each_token() -> None:
    def of(length: int) -> str:
        return " ".join(map(str, range(100, 100 + length)))

    lengths = [(2, 3), (LONGEST - 1, 1), (1, LONGEST - 1), (LONGEST, 1), (1, LONGEST)]
    pairs = [(of(source), of(target)) for source, target in lengths]
    inputs, targets = _coded(pairs, Words(), "fr")
    assert inputs.shape == (3, 2 * LONGEST)  # the last two are too long
    for row, wanted, (source, target) in zip(inputs, targets, lengths, strict=False):
        given, before = row[:LONGEST].tolist(), row[LONGEST:].tolist()
        filled = [PAD] * LONGEST
        assert given == [*range(100, 100 + source), *filled][:LONGEST]
        assert before == [3, *range(100, 100 + target), *filled][:LONGEST]
        assert wanted.tolist() == [*range(100, 100 + target), END, *filled][:LONGEST]
    with pytest.raises(TrajlabError, match="no sentence of de is shorter than 48 tokens"):
        _coded(pairs[3:], Words(), "de")


def model() -> Translator:
    torch.manual_seed(0)
    return Translator(20, 6).eval()


@pytest.mark.parametrize(
    ("shape", "width", "layers"),
    [(Shape(), 64, 2), (Shape(width=1.5, depth=2, dropout=0.25), 96, 4), (Shape(width=0.8), 52, 2)],
)
def test_a_translator_has_the_size_that_is_documented(
    shape: Shape, width: int, layers: int
) -> None:
    """By hand: attention is four square maps, and the inner layer four times as wide."""
    made = Translator(20, 6, shape)
    attention = 4 * (width * width + width)
    inner = 2 * 4 * width * width + 4 * width + width
    norm = 2 * width
    encoder = layers * (attention + inner + 2 * norm) + norm
    decoder = layers * (2 * attention + inner + 3 * norm) + norm
    assert sum(p.numel() for p in made.parameters()) == 20 * width + encoder + decoder
    heads = {m.num_heads for m in made.modules() if isinstance(m, torch.nn.MultiheadAttention)}
    assert heads == {4}
    assert {m.p for m in made.modules() if isinstance(m, torch.nn.Dropout)} == {shape.dropout}


def test_no_token_sees_a_later_one_and_filling_up_changes_nothing() -> None:
    made = model()
    tokens = torch.tensor(
        [[5, 6, 7, 0, 0, 0, 2, 8, 9, 10, 0, 0], [5, 6, 0, 0, 0, 0, 2, 8, 0, 0, 0, 0]]
    )
    logits = made(tokens)
    assert logits.shape == (2, 4, 20)
    later = tokens.clone()
    later[0, 9] = 11
    torch.testing.assert_close(made(later)[:, :3], logits[:, :3])
    assert not torch.allclose(made(later)[0, 3], logits[0, 3])
    torch.testing.assert_close(made(tokens[1:])[0, :2], logits[1, :2])  # alone it is shorter
    other = tokens.clone()
    other[0, 2] = 12
    assert not torch.allclose(made(other)[0, 0], logits[0, 0])  # it sees the whole source


def test_a_translation_is_the_likeliest_word_each_time() -> None:
    made = model()
    source = torch.tensor([[5, 6, 7, 0, 0, 0], [9, 4, 0, 0, 0, 0]])
    found = made.translate(source, 2, 5)
    for row, own in zip(found, source, strict=True):
        given = [2]
        for token in row.tolist():
            if given[-1] == END or (given[-1] == PAD and len(given) > 1):
                assert token == PAD
            else:
                tokens = torch.tensor([[*own.tolist(), *given]])
                assert token == int(made(tokens)[0, len(given) - 1].argmax())
            given.append(token)


@pytest.mark.parametrize(("most", "length"), [(2, 2), (3, 3), (9, 3)])
def test_a_translation_ends_where_all_have_ended_or_after_the_most(
    monkeypatch: pytest.MonkeyPatch, most: int, length: int
) -> None:
    said = torch.tensor([[5, END, 6, 7], [8, 9, END, 4], [END, 5, 5, 5]])
    made = model()

    def decode(given: torch.Tensor, *_: Any) -> torch.Tensor:
        assert given[:, 0].tolist() == [2] * 3
        return torch.nn.functional.one_hot(said[:, : given.shape[1]], 20)

    monkeypatch.setattr(made, "decode", decode)
    wanted = torch.tensor([[5, END, PAD], [8, 9, END], [END, PAD, PAD]])
    assert torch.equal(made.translate(torch.full((3, 6), 5), 2, most), wanted[:, :length])


def test_the_loss_is_a_mean_over_tokens_and_can_be_smoothed() -> None:
    loss = TokenLoss(ignore_index=PAD, reduction="none")
    logits = torch.randn(3, 4, 9)
    targets = torch.tensor([[3, 1, 0, 0, 0], [4, 5, 6, 1, 0], [1, 0, 0, 0, 0]])
    known = [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (1, 3), (2, 0)]
    by_hand = [-logits[i, t].log_softmax(-1)[targets[i, t]] for i, t in known]
    assert float(loss(logits, targets).mean()) == pytest.approx(float(torch.stack(by_hand).mean()))
    loss.label_smoothing = 0.1
    smooth = [-logits[i, t].log_softmax(-1).mean() for i, t in known]
    expected = 0.9 * torch.stack(by_hand).mean() + 0.1 * torch.stack(smooth).mean()
    assert float(loss(logits, targets).mean()) == pytest.approx(float(expected))


def test_evaluation_counts_tokens_whatever_the_batches(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = setting("translation").problem("de", 0)
    whole = evaluate(problem, "test")["de"]
    monkeypatch.setattr("trajlab.training.evaluation.BATCH", 3)
    parts = evaluate(problem, "test")["de"]
    assert parts["loss"] == pytest.approx(whole["loss"], rel=1e-5)
    inputs, targets = problem.tasks["de"].splits["test"]
    with torch.no_grad():
        logits = problem.model({"de": inputs})["de"]
    wanted = targets[:, : logits.shape[1]]
    right = (logits.argmax(-1) == wanted)[wanted != PAD]
    assert whole["token_accuracy"] == pytest.approx(100 * float(right.double().mean()))


def test_a_tiny_run_learns_and_is_scored_by_the_library(data: Path, tmp_path: Path) -> None:
    record = {"Translations": {"every": "epoch", "sentences": 20}}
    recorded.check(record, "the study")
    probes: list[Translations] = []

    def build(problem):  # type: ignore[no-untyped-def]
        probes.extend(recorded.build(record, problem))
        return probes

    train(PLAN, tmp_path / "run.h5", probes=build)
    (run,) = load(tmp_path / "run.h5")
    losses = run.table("evaluations/train")["loss"]
    assert (losses[-1] < losses[0] / 4).all()
    scores = run.table("translations")
    assert scores["bleu"].shape == (13, 2)
    assert (scores["bleu"][-1] > scores["bleu"][0] + 10).all()
    # the library's own score of the same texts, by the model as it was at the end
    for index, task in enumerate(run.tasks):
        with torch.no_grad():
            probes[0]._problem.model.eval()
            made, wanted = probes[0].texts(task)
        assert len(made) == 20
        assert set(wanted[0].split()) <= {counting(task, str(digit)) for digit in range(10)}
        assert scores["bleu"][-1, index] == pytest.approx(
            sacrebleu.corpus_bleu(made, [wanted]).score
        )
        assert scores["chrf"][-1, index] == pytest.approx(
            sacrebleu.corpus_chrf(made, [wanted]).score
        )
    assert "version" in scores.attributes["bleu_signature"]


def test_only_translations_are_scored(data: Path) -> None:
    with pytest.raises(TrajlabError, match="scores translated text, and this setting has none"):
        Translations(setting("mnists").problem("", 0))
