"""Small data sets in the layouts of the real ones."""

import gzip
import pickle
import struct
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from PIL import Image
from scipy.io import savemat

from tests.models import TINY
from trajlab.training.settings.celeba import ATTRIBUTES

EXAM_COLUMNS = "rownames,school,normexam,schgend,schavg,vr,intake,standLRT,sex,type,student"


def _idx(path: Path, array: np.ndarray) -> None:
    sizes = np.array(array.shape, ">u4").tobytes()
    path.write_bytes(gzip.compress(bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()))


def mnist(folder: Path, rng: np.random.Generator) -> None:
    folder.mkdir()
    for name, count in (("train", 120), ("t10k", 30)):
        pixels = rng.integers(0, 256, (count, 28, 28), np.uint8)
        _idx(folder / f"{name}-images-idx3-ubyte.gz", pixels)
        _idx(folder / f"{name}-labels-idx1-ubyte.gz", np.arange(count, dtype=np.uint8) % 10)


def yeast(folder: Path, rng: np.random.Generator) -> None:
    (folder / "yeast").mkdir()
    table = np.column_stack((rng.normal(size=(2417, 103)), rng.integers(0, 2, (2417, 14))))
    names = [f"Att{i}" for i in range(1, 104)] + [f"Class{i}" for i in range(1, 15)]
    pd.DataFrame(table, columns=names).to_csv(folder / "yeast" / "yeast.csv.gz", index=False)


def water_quality(folder: Path, rng: np.random.Generator) -> None:
    (folder / "water-quality").mkdir()
    days = {}
    for part, count in (("tr", 423), ("te", 282)):
        listed = np.empty((1, count), object)
        listed[0] = [rng.normal(size=(37, 11)) for _ in range(count)]
        days |= {f"X_{part}": listed, f"Y_{part}": rng.normal(size=(37, count))}
    savemat(folder / "water-quality" / "water_dataset.mat", days)


def chem97(folder: Path, rng: np.random.Generator) -> None:
    (folder / "chem97").mkdir()
    lines = [
        f"{i},{1 + i % 131},1,{i},{2 * rng.integers(0, 6)},{'MF'[i % 2]},{i % 12 - 6},"
        f"{rng.normal(6)},0.1"
        for i in range(2620)
    ]
    head = "rownames,lea,school,student,score,gender,age,gcsescore,gcsecnt"
    (folder / "chem97" / "Chem97.csv").write_text("\n".join([head, *lines]))


def exam(folder: Path, rng: np.random.Generator) -> None:
    (folder / "exam").mkdir()
    lines = [
        f"{i},{1 + i % 65},{rng.normal()},mixed,0.1,mid 50%,top 25%,{rng.normal()},F,Mxd,{i}"
        for i in range(1300)
    ]
    (folder / "exam" / "Exam.csv").write_text("\n".join([EXAM_COLUMNS, *lines]))


NUMBERS = {
    "en-US": ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"],
    "de": ["null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun"],
    "fr": ["zéro", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf"],
}


def counting(language: str, digits: str) -> str:
    """Read digits aloud."""
    return " ".join(NUMBERS[language][int(digit)] for digit in digits)


def libreoffice_help(folder: Path, rng: np.random.Generator, pages: int = 40) -> None:
    """Pages of numbers read aloud, aligned by element; one paragraph is on each of them."""
    rows = [["".join(map(str, rng.integers(0, 10, 4))) for _ in range(12)] for _ in range(pages)]
    for language in NUMBERS:
        place = folder / "libreoffice-help" / language / "text" / "shared" / "guide"
        place.mkdir(parents=True)
        for number, digits in enumerate(rows):
            told = [counting(language, own) for own in digits]
            body = "".join(
                f'<p id="par_{i}" class="x">{text.replace(" ", " <b>", 1)}</b></p>'
                for i, text in enumerate(told)
            )
            body += f'<h1 id="same">{counting(language, "12345")}</h1><p>without id</p>'
            body += '<p id="par_name">LibreOffice</p>'  # not translated
            name = "doc_open" if number == 0 else f"page{number:02}"
            (place / f"{name}.html").write_text(f"<html><body>{body}</body></html>", "utf-8")


class _Python2(pickle._Pickler):
    """Writes bytes as Python 2 wrote its strings: with the opcode ``T``."""

    dispatch: ClassVar[dict[Any, Any]] = dict(pickle._Pickler.dispatch)

    def save_string(self, content: bytes) -> None:
        self.write(b"T" + struct.pack("<i", len(content)) + content)

    dispatch[bytes] = save_string


def cifar100(folder: Path, rng: np.random.Generator) -> None:
    """Write one image of every class in the test file and four in the other."""
    folder = folder / "cifar-100-python"
    folder.mkdir()
    for part, count in (("train", 4), ("test", 1)):
        classes = rng.permutation(np.repeat(np.arange(100), count))
        content: dict[Any, Any] = {
            b"data": rng.integers(0, 256, (len(classes), 3072), np.uint8),
            b"coarse_labels": [int(one) * 7 % 20 for one in classes],
            b"fine_labels": classes.tolist(),
            b"batch_label": b"training batch 1 of 1",
        }
        with (folder / part).open("wb") as file:
            _Python2(file, 2).dump(content)


def celeba(folder: Path, rng: np.random.Generator) -> None:
    """Write 20 images: 12 to train on, 4 for validation, 4 to test."""
    folder = folder / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    names = [f"{i:06}.jpg" for i in range(1, 21)]
    for name in names:
        pixels = rng.integers(0, 256, (218, 178, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "img_align_celeba" / name)
    signs = rng.choice([-1, 1], (20, 40))
    rows = [
        f"{name} " + " ".join(f"{s:2}" for s in row) for name, row in zip(names, signs, strict=True)
    ]
    lines = ["20", " ".join(ATTRIBUTES.split()), *rows]
    (folder / "list_attr_celeba.txt").write_text("\n".join(lines) + "\n")
    parts = np.repeat([0, 1, 2], [12, 4, 4])
    lines = [f"{name} {part}" for name, part in zip(names, parts, strict=True)]
    (folder / "list_eval_partition.txt").write_text("\n".join(lines[::-1]) + "\n")


def cityscapes(folder: Path, rng: np.random.Generator) -> None:
    """Write six scenes to train on and two to test, a sixteenth as wide and high."""
    for part, cities in (("train", ("aachen", "bochum")), ("val", ("lindau",))):
        for city in cities:
            count = 3 if part == "train" else 2
            for scene in (f"{city}_000000_{19 + i:06}" for i in range(count)):
                images = {
                    "leftImg8bit": rng.integers(0, 256, (64, 128, 3), np.uint8),
                    "gtFine": rng.integers(0, 34, (64, 128), np.uint8),
                    "disparity": rng.integers(0, 32_258, (64, 128), np.uint16),
                }
                for kind, pixels in images.items():
                    end = "gtFine_labelIds" if kind == "gtFine" else kind
                    path = folder / "cityscapes" / kind / part / city / f"{scene}_{end}.png"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(pixels).save(path)


WORDS = 'the a cat dog sat ran on mat None NA quickly, is it? "yes" no'
# The columns of each task's files, the texts among them, and the label's.
GLUE = {
    "CoLA": ("source label mark sentence", "sentence", "label", "0 1"),
    "SST-2": ("sentence label", "sentence", "label", "0 1"),
    "MRPC": ("Quality,#1 ID,#2 ID,#1 String,#2 String", "#1 String,#2 String", "Quality", "0 1"),
    "QQP": (
        "id qid1 qid2 question1 question2 is_duplicate",
        "question1 question2",
        "is_duplicate",
        "0 1",
    ),
    "STS-B": (
        "index genre filename year old_index source1 source2 sentence1 sentence2 score",
        "sentence1 sentence2",
        "score",
        "0.000 2.500 5.000 3.750",
    ),
    "MNLI": (
        "index promptID pairID genre sentence1_binary_parse sentence2_binary_parse sentence1_parse "
        "sentence2_parse sentence1 sentence2 label1 gold_label",
        "sentence1 sentence2",
        "gold_label",
        "contradiction neutral entailment",
    ),
    "QNLI": (
        "index question sentence label",
        "question sentence",
        "label",
        "entailment not_entailment",
    ),
    "RTE": (
        "index sentence1 sentence2 label",
        "sentence1 sentence2",
        "label",
        "entailment not_entailment",
    ),
}


def glue(folder: Path, rng: np.random.Generator) -> None:
    """Write 20 rows to train on and 6 to test for every task, and a row that is cut off."""
    for task, (listed, texts, label, labels) in GLUE.items():
        separator = "," if "," in listed else None
        columns, chosen = listed.split(separator), texts.split(separator)
        (folder / "glue" / task).mkdir(parents=True)
        for file, count in (("train", 20), ("dev_matched" if task == "MNLI" else "dev", 6)):
            lines = [] if task == "CoLA" else ["\t".join(columns)]
            for row in range(count):
                values = dict.fromkeys(columns, str(row))
                for text in chosen:
                    values[text] = " ".join(rng.choice(WORDS.split(), rng.integers(1, 9)))
                values[label] = labels.split()[row % len(labels.split())]
                lines.append("\t".join(values.values()))
            lines.append("cut")
            (folder / "glue" / task / f"{file}.tsv").write_text("\n".join(lines) + "\n")


def roberta(folder: Path) -> None:
    """Save a tiny model of RoBERTa's kind with random weights, and a tokenizer of its words."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast, RobertaConfig, RobertaModel

    names = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    words = {word: number for number, word in enumerate([*names, *WORDS.split()])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        **dict(zip(["bos_token", "pad_token", "eos_token", "unk_token"], names, strict=False)),
    ).save_pretrained(folder)
    config = RobertaConfig(
        vocab_size=len(words),
        max_position_embeddings=140,
        type_vocab_size=1,
        **TINY,
    )
    RobertaModel(config).save_pretrained(folder)
