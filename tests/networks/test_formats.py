"""The table of formats."""

from metagan.networks.detect import ARCHITECTURES
from metagan.networks.formats import FORMATS


def test_every_family_is_in_the_table_once_and_metagans_own_comes_last():
    families = [row.family for row in FORMATS]
    assert len(set(families)) == len(families) == sum(len(arch.readings) for arch in ARCHITECTURES) + 1
    assert {"rosinality stylegan2-pytorch", "lucidrains stylegan2-pytorch"} < set(families)
    assert families[-1] == "metagan's own"
    assert {row.read_as for row in FORMATS[:-1]} == {arch.name for arch in ARCHITECTURES}


def test_no_cell_of_the_table_breaks_it():
    for row in FORMATS:
        for cell in (row.family, row.files, row.read_as):
            assert cell.strip()
            assert "|" not in cell
