"""Generates lines of text below pictures with a Markov chain over a corpus, seeded by the picture's seed.

The markovify library draws from the `random` module's global generator. Here every line has its own
generator, made from its seed, so that a line depends only on seed and corpus, and the global random
state is not changed.
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
from metagan.files import read_bytes

# Words of context, largest first: more read better, but fewer still give new lines from a small corpus.
STATE_SIZES = (2, 1)
TRIES = 60
MAX_WORDS = 40
PROBES = 20

# Paired marks, of which a generated line could contain only one.
_LONELY = re.compile(r"""["“”„«»()\[\]{}]|(?:^|\s)['‘’]|['‘’](?:\s|$)""")


@dataclass(frozen=True)
class Corpus:
    """A text with its trained Markov chains.

    Args:
        lines: The usable lines, each a list of words.
        models: One markovify text per state size, in the order of STATE_SIZES.
    """

    lines: tuple[tuple[str, ...], ...]
    models: tuple[markovify.Text, ...]


def read_corpus(path: Path) -> Corpus:
    """Read a corpus and train its chains.

    Lines with quotation marks or brackets are left out, because generated lines would have unbalanced ones.

    Args:
        path: A UTF-8 text file, one sentence per line.

    Raises:
        OptionError: If it can't be read, isn't UTF-8, or has no usable line.
    """
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(
            f"can't be read: {error}", where=path, fix="write a UTF-8 text file with one sentence per line"
        ) from error
    lines = [line.split() for line in text.splitlines() if _is_usable(line)]
    if not lines:
        raise OptionError(
            "it has no usable line",
            where=path,
            fix="write one sentence per line, without quotes or brackets",
        )
    models = (markovify.Text(None, size, parsed_sentences=lines) for size in STATE_SIZES)
    return Corpus(tuple(map(tuple, lines)), tuple(model.compile(inplace=True) for model in models))


def line_for(corpus: Corpus | Path, seed: int) -> str:
    """Generate a line that isn't in the corpus; the same seed and corpus always give the same line.

    A corpus too small for new lines gives one of its own lines instead, also chosen by the seed;
    `check_corpus` warns of that.

    Args:
        corpus: The result of `read_corpus`, or a path, which is read anew at every call.
        seed: The picture's seed.

    Raises:
        OptionError: If the path can't be used; see `read_corpus`.
    """
    known = read_corpus(corpus) if isinstance(corpus, Path) else corpus
    return _make_line(known, seed) or " ".join(random.Random(seed).choice(known.lines))  # noqa: S311


def check_corpus(path: Path) -> list[Problem]:
    """Check whether a corpus is large enough; returns a problem with the figures if it isn't."""
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
    """A compiled chain that draws from its own random generator."""

    def __init__(self, trained: markovify.Chain, rng: random.Random) -> None:
        super().__init__(None, trained.state_size, trained.model)
        self._rng = rng

    def move(self, state: tuple[str, ...]) -> str:
        """Draw the next word, weighted by how often it followed."""
        words, sums = self.model[state]
        word: str = words[bisect(sums, self._rng.random() * sums[-1])]
        return word


def _is_usable(line: str) -> bool:
    return bool(line.strip()) and not _LONELY.search(line) and all(map(str.isprintable, line.split()))
