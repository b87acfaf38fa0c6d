"""One case from another: which mutators fit a file, by what is in it."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from tests.fuzz.byte_mutators import mutate_bytes
from tests.fuzz.cases import Case
from tests.fuzz.container_mutators import mutate_hdf5, mutate_member, mutate_zip_fields, mutate_zip_members
from tests.fuzz.json_mutators import mutate_json, mutate_safetensors
from tests.fuzz.pickle_mutators import mutate_pickle
from tests.fuzz.programs import program
from tests.fuzz.rebuilt import rebuilt

PROGRAMS = 0.15  # share of the cases that are pickles from nothing
REBUILT = 0.3  # share of the genuine files whose networks are changed and written anew, if that can be done
BLIND = 0.25  # share of the mutations that know nothing of the format


def make_case(corpus: Sequence[Case], chance: Random) -> Case:
    """A case: a genuine file changed one to three times, or a pickle from nothing."""
    if chance.random() < PROGRAMS:
        return Case("a program", "program.pkl", {"program.pkl": program(chance)})
    case = chance.choice(corpus)
    if chance.random() < REBUILT and (made := rebuilt(case, chance)):
        return made
    other = chance.choice(corpus).content
    for _ in range(chance.choice((1, 1, 1, 1, 2, 3))):
        case = mutate(case, other, chance)
    return case


def mutate(case: Case, other: bytes, chance: Random) -> Case:
    """One change to one of the case's files."""
    name = chance.choice(list(case.files)) if chance.random() < 0.4 else case.entry
    if name not in case.files:  # a folder
        name = chance.choice(list(case.files))
    if chance.random() < BLIND:
        return mutate_bytes(case, name, other, chance)
    try:
        return case.with_file(name, _informed(name, case.files[name], chance))
    except RecursionError:  # nested too deep by an earlier change for a mutator that knows the format
        return mutate_bytes(case, name, other, chance)


def _informed(name: str, content: bytes, chance: Random) -> bytes:
    if not content:
        return chance.randbytes(8)
    if name.endswith(".json"):
        return mutate_json(content, chance)
    if "/" in name:
        return mutate_member(name, content, chance)
    if content[:1] == b"\x80":
        return mutate_pickle(content, chance)
    if content[:2] == b"PK":
        return chance.choice((mutate_zip_members, mutate_zip_members, mutate_zip_fields))(content, chance)
    if content[1:4] == b"HDF":
        return mutate_hdf5(content, chance)
    if content[8:9] == b"{":
        return mutate_safetensors(content, chance)
    return mutate_bytes(Case("", "x", {"x": content}), "x", b"", chance).content
