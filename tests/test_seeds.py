"""Seeds as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metagan.seeds import MAX_SEED, choose_seeds, parse_list, parse_seeds


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("0", (0,)),
        ("0-3,42", (0, 1, 2, 3, 42)),
        (" 7 , 3 - 5 ", (7, 3, 4, 5)),
        ("5-5", (5,)),
        ("007", (7,)),
        (str(MAX_SEED), (MAX_SEED,)),
        ("3,1-4,3", (3, 1, 2, 4)),
    ],
)
def test_seeds_are_read_in_the_order_written_and_each_once(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "want seeds and ranges like 0-35,42, got no text; write at least one seed"),
        ("1,,2", "got nothing between two commas, or a comma at an end; remove the extra comma"),
        ("1,", "got nothing between two commas, or a comma at an end"),
        ("a-b", "got 'a-b'; write whole numbers separated by commas, and ranges as 0-35"),
        ("-4", "got '-4'"),
        ("1.5", "got '1.5'"),
        ("²", "got '²'"),
        ("1-2-3", "got '1-2-3'"),
        ("35-0", "want a range from the smaller seed to the larger, got '35-0'; write 0-35"),
        ("4294967296", "want seeds from 0 to 4294967295, got '4294967296'"),
        ("9" * 5000, "..."),
        ("0-1000000", "want at most 1,000,000 seeds, got 1,000,001; ask for fewer"),
        ("0-4294967295", "want at most 1,000,000 seeds"),
    ],
)
def test_anything_else_is_a_value_error_that_says_what_to_write(text, message):
    with pytest.raises(ValueError, match=r"^want ") as caught:
        parse_seeds(text)
    assert message in str(caught.value)


def test_every_faulty_part_is_named():
    with pytest.raises(ValueError, match=r"'x'.*'y'"):
        parse_seeds("x,1,y")


def test_a_text_of_nothing_but_faults_gives_a_short_message():
    with pytest.raises(ValueError) as caught:
        parse_seeds("x," * 100_000)
    assert len(str(caught.value)) < 3000


@given(st.lists(st.integers(0, MAX_SEED), min_size=1))
def test_a_list_of_seeds_written_with_commas_reads_as_itself(seeds):
    assert parse_seeds(",".join(map(str, seeds))) == tuple(dict.fromkeys(seeds))


@given(st.text())
def test_no_text_raises_anything_but_value_error(text):
    try:
        parsed = parse_seeds(text)
    except ValueError:
        return
    assert all(0 <= seed <= MAX_SEED for seed in parsed)


def test_list_items_may_be_seeds_or_ranges():
    assert parse_list([3, "5-7"]) == (range(3, 4), range(5, 8))


def test_complaints_about_a_list_say_which_item():
    with pytest.raises(ValueError) as caught:
        parse_list([1, True, -1, 2.0, None])
    assert [complaint.at for complaint in caught.value.complaints] == [(1,), (2,), (3,), (4,)]


def test_a_count_takes_the_first_seeds_that_are_not_excluded():
    assert choose_seeds(4, [range(1, 3)]) == (0, 3, 4, 5)


def test_a_list_loses_its_excluded_seeds():
    assert choose_seeds([range(5), range(9, 10)], [range(1, 3)]) == (0, 3, 4, 9)
