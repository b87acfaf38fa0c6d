"""Made-up lines below pictures: a Markov chain over a corpus, drawn by the picture's seed.

The markovify library draws from the `random` module's one hidden generator. Here every line has a
generator of its own, made from its seed, so that a line depends on nothing but seed and corpus, and
nobody else's random numbers are touched.
"""

from __future__ import annotations

import copy
import random
import re
from bisect import bisect
from dataclasses import dataclass
from pathlib import Path

import markovify

from metagan.errors import OptionError, Problem

# Words of context, most first: more read better, fewer still make something new of a small corpus.
STATE_SIZES = (2, 1)
TRIES = 60
MAX_WORDS = 40
PROBES = 20

# Marks that come in pairs, of which a made-up line could keep one.
_LONELY = re.compile(r"""["“”„«»()\[\]{}]|(?:^|\s)['‘’]|['‘’](?:\s|$)""")


@dataclass(frozen=True)
class Corpus:
    """A text, ready to make lines from.

    Args:
        lines: The usable lines, each a list of words.
        models: One markovify text a state size, in the order of STATE_SIZES.
    """

    lines: tuple[tuple[str, ...], ...]
    models: tuple[markovify.Text, ...]


def read_corpus(path: Path) -> Corpus:
    """Read a corpus and learn its chains.

    Lines with quotation marks or brackets are left out: halves of them would turn up in made-up lines.

    Args:
        path: A UTF-8 text file, a sentence a line.

    Raises:
        OptionError: It can't be read, isn't UTF-8, or has no usable line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(
            f"want a UTF-8 text file with one sentence per line: {error}", where=path
        ) from error
    lines = [line.split() for line in text.splitlines() if _is_usable(line)]
    if not lines:
        raise OptionError(
            "it has no usable line; want one sentence per line, without quotes or brackets", where=path
        )
    models = (markovify.Text(None, size, parsed_sentences=lines) for size in STATE_SIZES)
    return Corpus(tuple(map(tuple, lines)), tuple(model.compile(inplace=True) for model in models))


def line_for(corpus: Corpus | Path, seed: int) -> str:
    """Make up a line: always the same for the same seed and corpus, and not one of the corpus's own.

    A corpus too small for anything new gives one of its own lines instead, drawn by the seed as well;
    `check_corpus` says so beforehand.

    Args:
        corpus: What `read_corpus` gave; a path is read anew at every call.
        seed: The picture's.

    Raises:
        OptionError: The path can't be used; see `read_corpus`.
    """
    known = read_corpus(corpus) if isinstance(corpus, Path) else corpus
    return _make_line(known, seed) or " ".join(random.Random(seed).choice(known.lines))  # noqa: S311


def check_corpus(path: Path) -> list[Problem]:
    """Say whether a corpus is large enough: nothing, or a problem with the figures."""
    try:
        corpus = read_corpus(path)
    except OptionError as error:
        return [Problem(path, error.what, error.fix or "give another file")]
    new = sum(_make_line(corpus, seed) is not None for seed in range(PROBES))
    if 2 * new >= PROBES:
        return []
    found = f"too small to generate lines: of {PROBES} lines generated from its {len(corpus.lines)}, {new} are new"
    return [Problem(path, found, "add sentences that share words, a hundred or more")]


def _make_line(corpus: Corpus, seed: int) -> str | None:
    rng = random.Random(seed)  # noqa: S311 - drawn for its repeatability
    for model in corpus.models:
        own = copy.copy(model)
        own.chain = _SeededChain(model.chain, rng)
        line: str | None = own.make_sentence(tries=TRIES, max_words=MAX_WORDS)
        if line is not None:
            return line
    return None


class _SeededChain(markovify.Chain):  # type: ignore[misc]  # markovify has no types
    """A trained and compiled chain that draws from a generator of its own."""

    def __init__(self, trained: markovify.Chain, rng: random.Random) -> None:
        super().__init__(None, trained.state_size, trained.model)
        self._rng = rng

    def move(self, state: tuple[str, ...]) -> str:
        """The next word, drawn by how often it followed."""
        words, sums = self.model[state]
        word: str = words[bisect(sums, self._rng.random() * sums[-1])]
        return word


def _is_usable(line: str) -> bool:
    return bool(line.strip()) and not _LONELY.search(line) and all(map(str.isprintable, line.split()))
