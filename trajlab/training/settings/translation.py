"""Translation of the help of LibreOffice from English, each language a task with its own sentences.

One transformer with one vocabulary (byte pairs) for all of them; the decoder's first token says the
language. As in Xin et al. (2022), where it is text of WMT. The vocabulary is that of German and
French, whichever of them is trained, so that a task alone is what it is beside the other; a
further language adds its own to it. ``translation_low_resource`` has 20,000 German sentences to
train on and 1,000 of every other language.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trajlab.errors import TrajlabError
from trajlab.training.conditions import Subsets
from trajlab.training.corpora import LANGUAGES, SPLITS, Pairs, parallel, shortened
from trajlab.training.metrics import mean
from trajlab.training.models import PLAIN, Shape
from trajlab.training.setting import MultiTaskModel, Problem, Setting, Split, Task, seeded
from trajlab.training.transformer import END, PAD, Translator

LONGEST = 48  # tokens of a sentence; longer ones are left out
_VOCABULARY = 4000
_PLAIN = ("de", "fr")
_LOW = {"de": 20_000}  # sentences to train on
_LOW_OTHERS = 1_000


class TokenLoss(nn.CrossEntropyLoss):
    """Cross-entropy a token: a batch's mean over sentences is the mean over its tokens."""

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return ``(n,)`` losses of logits ``(n, t, vocabulary)`` and tokens ``(n, t or more)``."""
        wanted = targets[:, : outputs.shape[1]]
        losses = super().forward(outputs.transpose(1, 2), wanted).sum(1)
        return losses * len(wanted) / (wanted != PAD).sum().clamp(min=1)


def _known(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return logits and targets of all tokens that there are."""
    wanted = targets[:, : outputs.shape[1]]
    return outputs[wanted != PAD], wanted[wanted != PAD]


def _token_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    logits, wanted = _known(outputs, targets)
    return nn.functional.cross_entropy(logits, wanted, reduction="none")


def _token_right(outputs: Tensor, targets: Tensor) -> Tensor:
    logits, wanted = _known(outputs, targets)
    return (logits.argmax(-1) == wanted).double() * 100


METRICS = {  # over tokens, not over sentences
    "loss": mean(_token_loss, higher_is_better=False),
    "token_accuracy": mean(_token_right),
}


def vocabulary(texts: Iterator[str]) -> Any:
    """Learn byte pairs of some texts; every language has a token of its own, ``<de>``.

    Parameters
    ----------
    texts
        Sentences of all languages.

    Returns
    -------
    tokenizers.Tokenizer

    Raises
    ------
    TrajlabError
        If the library is missing.
    """
    try:
        from tokenizers import ByteLevelBPETokenizer
    except ModuleNotFoundError as error:
        raise TrajlabError(
            "translation cuts text with tokenizers; pip install 'trajlab[translation]'"
        ) from error
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # a run has one thread
    made = ByteLevelBPETokenizer()
    marks = ["<pad>", "</s>", *(f"<{name}>" for name in LANGUAGES)]
    made.train_from_iterator(
        texts, _VOCABULARY, min_frequency=2, special_tokens=marks, show_progress=False
    )
    return made


def _coded(pairs: Pairs, words: Any, language: str) -> Split:
    """Return inputs and targets of the pairs that are not too long: `PAD` after each."""
    sources, targets = (
        [coded.ids for coded in words.encode_batch([pair[side] for pair in pairs])]
        for side in (0, 1)
    )
    tag = words.token_to_id(f"<{language}>")
    short = [
        (source, target)
        for source, target in zip(sources, targets, strict=True)
        if max(len(source), len(target)) < LONGEST
    ]
    if not short:
        raise TrajlabError(
            f"no sentence of {language} is shorter than {LONGEST} tokens; give shorter ones"
        )
    inputs = torch.full((len(short), 2 * LONGEST), PAD)
    wanted = torch.full((len(short), LONGEST), PAD)
    for row, (source, target) in enumerate(short):
        given = [tag, *target]
        inputs[row, : len(source)] = torch.tensor(source)
        inputs[row, LONGEST : LONGEST + len(given)] = torch.tensor(given)
        wanted[row, : len(given)] = torch.tensor([*target, END])
    return inputs, wanted


_tasks = Subsets("translation", LANGUAGES, _PLAIN)


def _build(
    condition: str,
    seed: int,
    root: Path | None = None,
    shape: Shape = PLAIN,
    *,
    low: bool = False,
) -> Problem:
    names = _tasks(condition)
    texts: dict[str, dict[str, Pairs]] = {}
    for name in dict.fromkeys((*_PLAIN, *sorted(names))):
        text = dict(parallel(name, seed, root))
        order = np.random.default_rng([seed, 2]).permutation(len(text["train"])).tolist()
        most = _LOW.get(name, _LOW_OTHERS) if low else None
        texts[name] = text | {"train": shortened(text["train"], most, order)}
    train = (side for own in texts.values() for pair in own["train"] for side in pair)
    words = vocabulary(train)
    tasks = {
        name: Task(
            {split: _coded(texts[name][split], words, name) for split in SPLITS},
            TokenLoss(ignore_index=PAD, reduction="none"),
            METRICS,
        )
        for name in names
    }
    trunk = seeded(lambda: Translator(words.get_vocab_size(), LONGEST, shape), seed)
    trunk.words = words  # by which it is read
    return Problem(tasks, MultiTaskModel(trunk, {name: nn.Identity() for name in names}))


_SOURCE = "help of LibreOffice in its Debian packages (MPL-2.0), or files of one's own"
translation = Setting(tasks=_tasks, build=_build, shapes=True, source=_SOURCE)
translation_low_resource = Setting(
    tasks=replace(_tasks, setting="translation_low_resource"),
    build=partial(_build, low=True),
    shapes=True,
    source=_SOURCE,
)
