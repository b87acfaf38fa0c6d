"""Made-up lines depend on nothing but seed and corpus."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from metagan.errors import OptionError
from metagan.site.pages.text import check_corpus, line_for, read_corpus

CORPUS = """\
The ape sat on the wall and looked at the sea.
The ape looked at the moon and sat down again.
An ape on the moon is worth two at the sea.
Nobody on the wall looked at the ape again.
The sea sat down and looked at nobody.
The moon is worth two apes on the wall.
"""


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "apes.txt"
    path.write_text(CORPUS, encoding="utf-8")
    return path


def test_the_same_seed_and_corpus_give_the_same_line(corpus: Path):
    known = read_corpus(corpus)
    assert [line_for(known, seed) for seed in range(50)] == [line_for(corpus, seed) for seed in range(50)]


def test_a_known_line_stays_as_it_is(corpus: Path):
    assert line_for(corpus, 1) == "The moon is worth two at the ape again."


def test_seeds_give_different_lines(corpus: Path):
    known = read_corpus(corpus)
    assert len({line_for(known, seed) for seed in range(50)}) > 10


def test_lines_are_made_up_rather_than_copied(corpus: Path):
    known = read_corpus(corpus)
    assert not {line_for(known, seed) for seed in range(50)} & set(CORPUS.splitlines())


def test_the_global_random_numbers_are_neither_used_nor_touched(corpus: Path):
    # In a process of its own: the run-time type checks of this test run draw from the global numbers too.
    code = """
import random, sys, pathlib
from metagan.site.pages.text import line_for, read_corpus
known = read_corpus(pathlib.Path(sys.argv[1]))
lines = set()
for seed in (1, 2):
    random.seed(seed)
    before = random.getstate()
    lines.add(line_for(known, 7))
    assert random.getstate() == before
assert len(lines) == 1
"""
    subprocess.run([sys.executable, "-c", code, str(corpus)], check=True)


def test_threads_do_not_disturb_each_other(corpus: Path):
    known = read_corpus(corpus)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda seed: line_for(known, seed), range(200))) == [
            line_for(known, seed) for seed in range(200)
        ]


def test_a_corpus_too_small_says_so_and_gives_its_own_lines(tmp_path: Path):
    path = tmp_path / "small.txt"
    path.write_text("Only one line.\n")
    assert line_for(path, 5) == "Only one line."
    [problem] = check_corpus(path)
    assert problem.what == "too small to generate lines: of 20 lines generated from its 1, 0 are new"


def test_a_large_enough_corpus_is_no_problem(corpus: Path):
    assert check_corpus(corpus) == []


def test_lines_with_quotes_or_brackets_are_left_out(tmp_path: Path):
    path = tmp_path / "quotes.txt"
    path.write_text('He said "no" to it.\n(Not at all.)\n“Never” again.\nThe apes’ wall.\nDon’t stop here.\n')
    assert [" ".join(words) for words in read_corpus(path).lines] == ["Don’t stop here."]


@pytest.mark.parametrize("content", [b"\xff\xfe", b"", b"\n \n"])
def test_an_unusable_corpus_is_named(tmp_path: Path, content: bytes):
    path = tmp_path / "bad.txt"
    path.write_bytes(content)
    with pytest.raises(
        OptionError, match=r"bad\.txt: (?:can't be read: .*\n  fix: write a UTF-8|it has no usable line)"
    ):
        read_corpus(path)
    assert check_corpus(path)[0].where == path
    assert check_corpus(tmp_path / "gone.txt")
