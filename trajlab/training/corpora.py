"""Parallel text: the help of LibreOffice, in many languages, or files of one's own."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from trajlab.errors import TrajlabError
from trajlab.training.data import DataSet

SPLITS = ("train", "validation", "test")
LANGUAGES = ("de", "fr", "es", "it", "nl", "pt", "ru", "cs", "pl", "da")
Pairs = list[tuple[str, str]]  # English, and what it is in another language

_SYSTEM = Path("/usr/share/libreoffice/help")
_SHARES = (0.05, 0.1)  # of the help's files: up to here test, up to there validation
_TEST_SEED = 0  # the test files are the same ones whatever the seed
_PAGE = "text/shared/guide/doc_open.html"  # one that every language has
_ELEMENTS = ("p", "h1", "h2", "h3", "h4", "h5", "h6")


def parallel(language: str, seed: int, root: Path | None = None) -> Mapping[str, Pairs]:
    """Return English sentences with their translation, by split.

    Parameters
    ----------
    language
        One of `LANGUAGES`.
    seed
        Of the validation split; the test split is always the same.
    root
        A folder with files of one's own, ``en-de/train.en`` and ``en-de/train.de``, and so for
        ``validation`` and ``test``, in UTF-8, a sentence a line (that of WMT's pairs); or the
        folder of the help, with ``en-US/text/`` and ``de/text/``. ``$TRAJLAB_DATA/translation``
        if not given, and then where the system has the help.

    Raises
    ------
    TrajlabError
        If the text is nowhere, or two files do not have as many lines; the sentence says how to get
        it.
    """
    home = os.environ.get("TRAJLAB_DATA")
    folder = root or (Path(home) / "translation" if home else None)
    if folder and (folder / f"en-{language}").is_dir():
        return {split: _lines(folder / f"en-{language}" / split, language) for split in SPLITS}
    return _help(language, seed, root)


def _lines(stem: Path, language: str) -> Pairs:
    """Read two files that are aligned by line; empty lines are left out."""
    sides = []
    for suffix in ("en", language):
        file = stem.with_name(f"{stem.name}.{suffix}")
        try:
            sides.append(file.read_text(encoding="utf-8").splitlines())
        except (OSError, UnicodeDecodeError) as error:
            raise TrajlabError(
                f"{file} cannot be read as UTF-8 text ({type(error).__name__}); put one sentence a "
                f"line there, beside {stem.name}.en"
            ) from error
    if len(sides[0]) != len(sides[1]):
        raise TrajlabError(
            f"{stem}.en has {len(sides[0])} lines and {stem}.{language} {len(sides[1])}; line i of "
            "one must translate line i of the other"
        )
    pairs = zip(*(map(str.strip, side) for side in sides), strict=True)
    return [(source, target) for source, target in pairs if source and target]


def _help(language: str, seed: int, root: Path | None) -> Mapping[str, Pairs]:
    packages = f"libreoffice-help-en-us libreoffice-help-{language}"
    data = DataSet(
        name="libreoffice-help",
        files={f"en-US/{_PAGE}": "", f"{language}/{_PAGE}": ""},
        package=f"install the Debian packages: apt-get install {packages}",
        system=_SYSTEM,
    )
    folder = data.folder(root)
    english, other = (_paragraphs(folder / name / "text") for name in ("en-US", language))
    files = sorted({file for file, _ in english})
    order = np.random.default_rng(_TEST_SEED).permutation(len(files))
    cuts = [round(share * len(files)) for share in _SHARES]
    rest = np.random.default_rng([seed, 1]).permutation(order[cuts[0] :])
    held = {**dict.fromkeys(order[: cuts[0]], "test")}
    held |= dict.fromkeys(rest[: cuts[1] - cuts[0]], "validation")
    split_of = {file: held.get(number, "train") for number, file in enumerate(files)}
    pairs: dict[str, Pairs] = {split: [] for split in SPLITS}
    seen = set()  # pages repeat what stands on others
    held_first = sorted(english, key=lambda place: SPLITS.index(split_of[place[0]]), reverse=True)
    for place in held_first:
        source, target = english[place], other.get(place, "")
        if target and target != source and source not in seen:
            seen.add(source)
            pairs[split_of[place[0]]].append((source, target))
    return pairs


def _paragraphs(folder: Path) -> dict[tuple[str, str], str]:
    """Return the text of every paragraph and heading, by file and the element's id."""
    try:
        from lxml import html
    except ModuleNotFoundError as error:
        raise TrajlabError(
            "the help is read with lxml; pip install 'trajlab[translation]'"
        ) from error
    texts: dict[tuple[str, str], str] = {}
    for file in sorted(folder.rglob("*.html")):
        name = file.relative_to(folder).as_posix()
        page = html.fromstring(file.read_bytes(), parser=html.HTMLParser(encoding="utf-8"))
        for element in page.iter(*_ELEMENTS):
            text = " ".join(element.text_content().split())
            if text and (identity := element.get("id")):
                texts.setdefault((name, identity), text)
    return texts


def shortened(pairs: Pairs, most: int | None, order: Sequence[int]) -> Pairs:
    """Return so many pairs in some order; all of them if there is no number."""
    return [pairs[number] for number in order[:most]]
