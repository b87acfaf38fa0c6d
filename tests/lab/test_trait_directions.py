"""Directions and traits: a name says what really changes, and a trait's direction makes it more frequent."""

import dataclasses

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

from metagan.checkpoints.write import write_safetensors
from metagan.cli import metagan
from metagan.errors import OptionError
from metagan.lab.dials import read_directions
from metagan.lab.directions import DirectionFinder, DirectionsOptions
from metagan.lab.trait_directions import TraitMeter, separate
from metagan.networks.loading.forms import describe
from metagan.networks.trait_classifier import (
    Head,
    TraitClassifier,
    TraitClassifierConfig,
    describe_classifier,
)
from tests.lab.nets import load, small
from tests.lab.test_directions import lopsided

FEW = DirectionsOptions(candidates=2, pictures=3, count=2, ranges=((0, 5),), psi=1.0)
HEADS = (Head("Size", ("small", "large")), Head("Tone", ("dark", "light")))


class Reddish(TraitClassifier):
    """Tells how red pictures are, exactly, and that all are small."""

    threshold = 0.0

    def forward(self, pictures: Tensor) -> list[Tensor]:
        red = 40 * (pictures[:, 0].mean(dim=(1, 2)) - self.threshold)
        size = torch.stack([torch.ones_like(red), -torch.ones_like(red)], dim=1)
        return [size, torch.stack([-red, red], dim=1)]


@pytest.fixture(scope="module")
def finder():
    return DirectionFinder(small(w_dim=16), FEW)


@pytest.fixture(scope="module")
def meter(finder):
    found = TraitMeter(finder, Reddish(TraitClassifierConfig(16, HEADS, channels=8)))
    with torch.inference_mode():
        pictures = finder.generator.synthesize(finder.base_of(200, seed=9))
    found.classifier.threshold = float(pictures.clamp(-1, 1)[:, 0].mean())
    return found


def test_separating_rows_finds_the_direction_by_which_they_were_told_apart():
    rows = torch.randn(1000, 12, generator=torch.Generator().manual_seed(1))
    rows = rows * torch.linspace(0.2, 4, 12) + 3  # of unlike scales, away from zero
    normal = torch.randn(12, generator=torch.Generator().manual_seed(2))
    normal /= normal.norm()
    side = rows @ normal
    vector, accuracy = separate(rows, side > side.quantile(0.9))  # one in ten belongs to the class
    assert float(vector @ normal) > 0.9
    assert vector.norm() == pytest.approx(1)
    assert accuracy > 0.9
    _, chance = separate(rows, torch.arange(1000) % 3 == 0)
    assert abs(chance - 0.5) < 0.12


def test_a_trait_s_direction_makes_it_more_frequent_and_its_opposite_less(meter):
    (found,) = meter.find(["tone=LIGHT"])
    assert found.trait == "Tone=light"
    assert found.accuracy > 0.8
    assert found.after > found.before + 0.3
    assert str(found).startswith("Tone=light: layers 0 to 5, in ")


def test_names_say_which_values_a_direction_exchanges(meter, finder):
    (wanted,) = meter.find(["Tone=light"])
    both = finder.find(given=[wanted.named])
    assert both.names[0] == "Tone: light"
    assert meter.name(both).names[0] == "Tone: light"  # it is the trait's direction already
    plain = finder.find(
        given=[finder.candidate(sign * wanted.candidate.vector, "pca", 0, 5) for sign in (1, -1)]
    )
    assert meter.name(plain).names[:2] == ("Tone: dark → light", "Tone: light → dark")


def test_the_longest_names_of_traits_are_shortened_to_a_dial_s(meter):
    (wanted,) = meter.find(["Tone=light"])
    name = dataclasses.replace(wanted, trait=f"Tone={'l' * 300}").named.name
    assert len(name) == 190
    assert name.endswith("l…")


def test_directions_that_change_no_trait_keep_their_numbers_and_names_are_not_repeated(meter, finder):
    (wanted,) = meter.find(["Tone=light"])
    vector = wanted.candidate.vector
    none = torch.zeros_like(vector)
    found = finder.find(given=[finder.candidate(each, "pca", 0, 5) for each in (vector, none, vector)])
    assert meter.name(found).names[:3] == ("Tone: dark → light", "dial 2", "Tone: dark → light (2)")


@pytest.mark.parametrize(
    ("trait", "message"),
    [
        (
            "Tone",
            "'Tone': the classifier knows no such trait\n  fix: did you mean Tone\\? write TYPE=VALUE",
        ),
        (
            "Tune=x",
            "knows no such trait\n  fix: did you mean Tone\\? write TYPE=VALUE; the traits are: Size, Tone",
        ),
        ("Tone=lite", "no such value of Tone\n  fix: did you mean light\\?"),
        ("Size=large", "--trait Size=large: 0 of 2,000 pictures have it"),
    ],
)
def test_traits_that_cannot_be_found_say_which_there_are(meter, trait, message):
    with pytest.raises(OptionError, match=message):
        meter.find([trait])


def test_the_classifier_takes_rgb_pictures_only():
    grey = small()
    grey.image_channels = 1
    finder = DirectionFinder(small(), FEW)
    finder.generator = grey
    with pytest.raises(OptionError, match="takes RGB pictures, the generator's have 1 channel"):
        TraitMeter(finder, TraitClassifier(TraitClassifierConfig(16, HEADS, channels=8)))


def test_latents_have_traits_too():
    generator = load("dcgan")
    finder = DirectionFinder(generator, DirectionsOptions(candidates=1, pictures=2))
    meter = TraitMeter(finder, Reddish(TraitClassifierConfig(32, HEADS, channels=8)))
    shares = meter.shares(finder.base_of(3))
    assert [tuple(head.shape) for head in shares] == [(3, 2), (3, 2)]


def test_the_command_names_directions_by_a_classifier_s_file(tmp_path):
    torch.manual_seed(0)
    classifier = TraitClassifier(TraitClassifierConfig(16, HEADS, channels=8))
    for head in classifier.heads:
        head.weight.data *= 40  # an untrained one that is sure of itself
    net, traits, out = (tmp_path / f"{name}.safetensors" for name in ("net", "traits", "out"))
    generator, _ = lopsided()
    write_safetensors(net, generator.state_dict(), describe(generator))
    write_safetensors(traits, classifier.state_dict(), describe_classifier(classifier))
    args = [
        "directions",
        str(net),
        "--out",
        str(out),
        "--lpips",
        "none",
        "--candidates",
        "2",
        "--pictures",
        "2",
    ]
    args += ["--count", "1", "--layers", "0-5"]
    run = CliRunner().invoke
    with pytest.raises(OptionError, match=r"--trait Tone=light: net.safetensors has no trait classifier"):
        run(metagan, [*args, "--trait", "Tone=light"], catch_exceptions=False)
    with pytest.raises(OptionError, match="--traits: want a file"):
        run(metagan, [*args, "--traits", str(tmp_path / "no.safetensors")], catch_exceptions=False)
    result = run(metagan, [*args, "--traits", str(traits)], catch_exceptions=False)
    assert result.exit_code == 0
    (name,) = read_directions(out).names
    assert name.startswith(("Size: ", "Tone: ", "dial 1"))
    assert result.stdout.startswith(name)
