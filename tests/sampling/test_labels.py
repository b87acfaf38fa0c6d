"""What a conditional generator is asked for: classes by number and name, and labels that are numbers."""

import json
import unicodedata
from pathlib import Path

import pytest
from click.testing import CliRunner

import metagan
from metagan.checkpoints.read import read_checkpoint
from metagan.cli.inspect import command as inspect
from metagan.cli.sample import command as sample
from metagan.errors import MalformedFileError, OptionError
from metagan.networks.loading.convert import convert
from metagan.networks.loading.detect import load_generator
from metagan.sampling.latents import labels
from metagan.values import LabelSpace
from tests.labelled import CLASSES, NUMBERS, conditional, write_conditional
from tests.sampling.test_sampler import small_generator


def test_a_label_is_asked_for_where_there_are_labels_and_ignored_where_there_are_none():
    assert labels(small_generator(), 5, 2) is None
    assert labels(small_generator(), (0.2, 0.7), 2) is None
    generator = conditional(LabelSpace())
    assert labels(generator, 1, 2).tolist() == [[0, 1, 0], [0, 1, 0]]
    assert labels(generator, "2", 1).tolist() == [[0, 0, 1]]
    for wrong in (None, 3, -1, "3", "-1", "ape", "1_0", " 1", "\u0661", "9" * 5000):
        with pytest.raises(OptionError, match=r"has 3 classes, .*\n  fix: .* --class 0 to 2$"):
            labels(generator, wrong, 1)


def test_a_name_comes_before_a_number_of_the_same_text():
    generator = conditional()
    assert labels(generator, "3", 1).tolist() == [[0, 0, 1]]
    assert labels(generator, "bird", 1).tolist() == [[0, 1, 0]]
    assert labels(generator, "1", 1).tolist() == [[0, 1, 0]]
    for wrong in ("Bird", "birds", "", "7", 3):
        with pytest.raises(OptionError, match=r"has 3 classes \(ape, bird, 3\), got .*\n.* or its name"):
            labels(generator, wrong, 1)


def test_names_are_the_same_however_their_accents_are_written():
    generator = conditional(LabelSpace((unicodedata.normalize("NFD", "grün"), "b", "c")))
    assert labels(generator, unicodedata.normalize("NFC", "grün"), 1).tolist() == [[1, 0, 0]]


def test_numbers_are_no_classes():
    generator = conditional(NUMBERS)
    assert labels(generator, (0.25, -3.0, 10.0), 2).tolist() == [[0.25, -3, 10]] * 2
    for wrong in (None, 0, "age", (0.25,), (0.0, float("nan"), 0.0), (0.0, float("inf"), 0.0), (0.0,) * 4):
        with pytest.raises(OptionError) as caught:
            labels(generator, wrong, 1)
        assert "has labels of 3 numbers" in str(caught.value)
        assert "give --label 0.5,0,10.2; the training data had 0 to 1, -2 to 2, 10 to 10.5" in str(
            caught.value
        )


def test_numbers_given_as_a_class_are_shown_as_the_label_that_they_are():
    for meant in ("0.2,-1,10.3", "0.2, -1, 10.3"):
        with pytest.raises(OptionError, match=r"\n  fix: give --label 0.2,-1,10.3; the training"):
            labels(conditional(NUMBERS), meant, 1)
    for wrong in ("0.2", "0.2,nan,1", "a,b,c"):
        with pytest.raises(OptionError, match=r"\n  fix: give --label 0.5,0,10.2; the training"):
            labels(conditional(NUMBERS), wrong, 1)


def test_a_file_that_says_nothing_of_its_labels_takes_both():
    generator = conditional(LabelSpace())
    assert labels(generator, (0.5, 0.5, 0.0), 1).tolist() == [[0.5, 0.5, 0]]


@pytest.mark.parametrize("space", [CLASSES, NUMBERS, LabelSpace()])
def test_what_labels_mean_survives_every_file_of_metagan(tmp_path, space):
    written = write_conditional(tmp_path / "a.safetensors", space)
    convert(written, tmp_path / "b.safetensors", half=True)
    checkpoint = read_checkpoint(tmp_path / "b.safetensors")
    assert checkpoint.header.labels == load_generator(checkpoint).label_space == space


@pytest.mark.parametrize(
    "stated",
    ["[]", '{"names": "ape"}', '{"names": [1]}', '{"ranges": [[1, 0]]}', '{"ranges": [[0, 1, 2]]}',
     '{"ranges": [["0", 1]]}', '{"ranges": [[0, 1e300]]}', '{"names": ["a"], "ranges": [[0, 1], [0, 1]]}',
     '{"names": ["a", "b"]}', '{"ranges": [[0, 1]]}', '{"other": []}', "null"],
)  # fmt: skip
def test_a_header_with_other_labels_is_refused(tmp_path, stated):
    path = write_conditional(tmp_path / "a.safetensors")
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    directory = json.loads(data[8 : 8 + length])
    header = json.loads(directory["__metadata__"]["metagan"]) | {"labels": json.loads(stated)}
    directory["__metadata__"]["metagan"] = json.dumps(header)
    text = json.dumps(directory).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])
    with pytest.raises(MalformedFileError, match="labels"):
        load_generator(read_checkpoint(path))


def run(command, *arguments):
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def test_the_command_takes_names_and_numbers(tmp_path):
    named = write_conditional(tmp_path / "named.safetensors")
    for label, folder in (("bird", "a"), ("1", "b"), ("ape", "c")):
        done = run(
            sample, named, "--seeds", "3", "--class", label, "--out", tmp_path / folder, "--device", "cpu"
        )
        assert done.exit_code == 0, done.stderr
    a, b, c = ((tmp_path / folder / "seed0003.png").read_bytes() for folder in "abc")
    assert a == b != c
    numbers = write_conditional(tmp_path / "numbers.safetensors", NUMBERS)
    for label, folder in (("0,1,0", "d"), ("0,1,1", "e")):
        run(sample, numbers, "--seeds", "3", "--label", label, "--out", tmp_path / folder, "--device", "cpu")
    d, e = ((tmp_path / folder / "seed0003.png").read_bytes() for folder in "de")
    assert d != e


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("--label", "a"), "want numbers with commas"), (("--label", "0.2,nan"), "want numbers with commas"),
     (("--label", ""), "want numbers with commas"), (("--label", "1,2,3", "--class", "1"), "exclude each other")],
)  # fmt: skip
def test_nonsense_is_a_usage_error(arguments, said):
    done = run(sample, "a.pkl", *arguments)
    assert done.exit_code == 2
    assert said in done.stderr


def test_inspect_lists_the_classes_and_ranges(tmp_path):
    named = write_conditional(tmp_path / "named.safetensors")
    assert "\nclasses         0 ape, 1 bird, 2 3\n" in run(inspect, named).output
    assert json.loads(run(inspect, named, "--json").output)["classes"] == ["ape", "bird", "3"]
    numbers = write_conditional(tmp_path / "numbers.safetensors", NUMBERS)
    text = run(inspect, numbers).output
    assert "\nlabel ranges    age: 0 to 1, <b>smile</b>: -2 to 2, tilt: 10 to 10.5\n" in text
    assert "\nclass" not in text
    assert json.loads(run(inspect, numbers, "--json").output)["label_ranges"]["tilt"] == [10, 10.5]


def test_python_takes_names_and_numbers(tmp_path):
    named = metagan.load(write_conditional(tmp_path / "named.safetensors"), device="cpu")
    assert named.label_names == ("ape", "bird", "3")
    assert named.sample([1], class_index="bird")[0] == named.sample([1], class_index=1)[0]
    numbers = metagan.load(write_conditional(tmp_path / "numbers.safetensors", NUMBERS), device="cpu")
    one, other = (numbers.styles([1], label=label) for label in ([0, 0, 10], [1, 0, 10]))
    assert (one != other).any()
    for wrong in (
        {"label": "abc"},
        {"label": [0, 0, 0], "class_index": 1},
        {"label": 5},
        {"class_index": "age"},
    ):
        with pytest.raises(OptionError):
            numbers.sample([1], **wrong)


def test_a_subject_draws_its_class_by_name_and_its_label(tmp_path: Path):
    named = write_conditional(tmp_path / "named.safetensors")
    numbers = write_conditional(tmp_path / "numbers.safetensors", NUMBERS)
    terms = "licence: CC0-1.0, source: me"
    (tmp_path / "registry.yaml").write_text(f"""\
site: {{title: T, base_url: https://example.org/}}
subjects:
  a: {{title: A, weights: {named}, class: bird, {terms}}}
  b: {{title: B, weights: {numbers}, label: [0.5, 0, 10], {terms}}}
  c: {{title: C, weights: {numbers}, label: "0.5, 0,10", {terms}}}
""")
    registry = tmp_path / "registry.yaml"

    def drawn(what: str, **options: object):
        loaded = metagan.load(what, registry=registry, device="cpu")
        return loaded.sample([1], psi=1.0, **options)[0].tobytes()

    assert drawn("a") == drawn(str(named), class_index=1)
    assert drawn("b") == drawn("c") == drawn(str(numbers), label=(0.5, 0, 10))
    assert drawn("b", label=(0, 0, 10)) != drawn("b")
