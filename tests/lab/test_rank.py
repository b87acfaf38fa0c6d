"""Rankings: a picture's score is its own, real pictures calibrate it, copies are named, and interrupted ones go on."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from metagan.checkpoints.read import read_checkpoint
from metagan.cli import metagan
from metagan.datasets.source import PictureSource
from metagan.errors import MalformedFileError, OptionError
from metagan.images.encode import MOST_SIDE_PX
from metagan.lab.rank import (
    Ranker,
    RankOptions,
    Score,
    Scorer,
    order,
    read_discriminator,
    require_discriminator,
    score_all,
)
from metagan.networks.dcgan.network import Config, LayerConfig
from metagan.networks.dcgan.network import Discriminator as DCGANDiscriminator
from metagan.networks.loading.detect import load_generator
from metagan.networks.lucidrains.discriminator import DiscriminatorConfig as LucidrainsConfig
from metagan.networks.lucidrains.discriminator import LucidrainsDiscriminator
from metagan.networks.stylegan2.discriminator import Discriminator, DiscriminatorConfig
from metagan.sampling.sampler import Sampler, Settings
from metagan.training.options import Recipe
from metagan.training.run_folder import RunConfig, RunFolder, write_config
from metagan.training.state import write_state
from tests.lab.nets import CPU, GOLDEN, small

PICKLE = GOLDEN / "sg2ada_cuda16.pkl"


def noise_pictures(count, side=16, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, channels)).astype(np.uint8)


def critic(group=4, channels=(4, 6, 8)):
    torch.manual_seed(1)
    network = Discriminator(DiscriminatorConfig(channels=channels, group_size=group)).eval()
    return network.requires_grad_(requires_grad=False)


def networks():
    torch.manual_seed(2)
    dcgan = (
        LayerConfig("conv", 4, 3, stride=2, bias=True),
        LayerConfig("leaky_relu", slope=0.2),
        LayerConfig("flatten"),
        LayerConfig("dense", 1, bias=True, activation="sigmoid"),
    )
    yield "official", read_discriminator(PICKLE)
    yield "rosinality", read_discriminator(GOLDEN / "ros_train16.pt")
    yield "tensorflow", read_discriminator(GOLDEN / "tf_ada_cond16.pkl")
    yield "stylegan3", read_discriminator(GOLDEN / "sg3t_cond16.pkl")
    yield "r3gan", read_discriminator(GOLDEN / "r3_cond32.pkl")
    yield "rectangle", read_discriminator(GOLDEN / "rect_ada_4x6.pkl")
    yield "whole batch", critic(None)
    yield "lucidrains", LucidrainsDiscriminator(LucidrainsConfig(channels=(4, 4, 8, 8))).eval()
    yield "dcgan", DCGANDiscriminator(Config((16, 16, 3), dcgan)).eval()


def write_dataset(folder, pictures):
    folder.mkdir()
    for index, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"real{index:03d}.png")
    return PictureSource(folder)


@pytest.fixture(scope="module")
def sampler():
    return Sampler(small(), CPU, 4)


@pytest.mark.parametrize(("name", "network"), [pytest.param(*pair, id=pair[0]) for pair in networks()])
def test_a_score_depends_on_no_other_picture_of_the_list(name, network):
    from metagan.lab.rank import _classes, _takes

    channels, height, width = _takes(network)
    shape = (9, height, width, channels)
    pictures = np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)
    label = torch.eye(_classes(network))[1] if _classes(network) else None
    scorer = Scorer(network, pictures[-3:], CPU, label)
    together = scorer(pictures)
    alone = np.concatenate([scorer(pictures[index : index + 1]) for index in (8, 0, 5)])
    assert np.allclose(together[[8, 0, 5]], alone, atol=1e-4)
    assert len(set(together)) > 1


def test_a_score_is_the_networks_for_the_picture_among_the_companions():
    network, pictures = critic(), noise_pictures(9)
    scores = Scorer(network, pictures[6:], CPU)(pictures[:6])
    images = torch.from_numpy(pictures.transpose(0, 3, 1, 2)).float() / 127.5 - 1
    for index in range(6):
        group = torch.cat([images[index : index + 1], images[6:]])
        assert scores[index] == pytest.approx(float(network(group)[0]), abs=1e-5)
    plain = network(images[:4])[:, 0]  # its neighbours, as a naive ranking would take them
    assert not torch.allclose(plain.double(), torch.from_numpy(scores[:4]), atol=1e-3)


def test_a_runs_folder_gives_its_discriminator(tmp_path):
    network, generator = critic(), small()
    config = RunConfig("discs.zip", 8, "0" * 64, Recipe(), generator.config, network.config, "tiny")
    write_config(RunFolder(tmp_path), dataclasses.asdict(config))
    tensors = {f"discriminator/{name}": tensor for name, tensor in network.state_dict().items()}
    write_state(RunFolder(tmp_path).state, tensors | {"path_mean": torch.zeros(())}, {"steps": 1})
    found = read_discriminator(tmp_path)
    assert all(torch.equal(tensor, network.state_dict()[name]) for name, tensor in found.state_dict().items())
    with pytest.raises(OptionError, match="--second: this has one discriminator only"):
        read_discriminator(tmp_path, second=True)
    with pytest.raises(OptionError, match="--second: there is no discriminator"):
        require_discriminator(None, second=True)


def test_scores_stand_where_they_would_among_real_pictures(tmp_path, sampler):
    real = np.stack([picture for _, picture in sampler.pictures(range(100, 160), Settings())])
    dataset = write_dataset(tmp_path / "real", real)
    logits = Scorer(critic(), real, CPU)(real)
    ranker = Ranker(sampler, Settings(), RankOptions(), discriminator=critic(), dataset=dataset)
    scores = list(ranker.score(range(20)))
    for score in scores:
        assert score.logit_percentile == pytest.approx(100 * (logits < score.logit).mean(), abs=4)
    another = Sampler(small(seed=9), CPU, 4)
    strange = list(Ranker(another, Settings(), RankOptions(), dataset=dataset).score(range(20)))
    own, others = (np.mean([score.distance_percentile for score in each]) for each in (scores, strange))
    assert 20 < own < 80
    assert others < own / 2
    by_distance = Ranker(sampler, Settings(), RankOptions("realism"), dataset=dataset)
    ordered = [score.distance for score in by_distance.order(scores)]
    assert ordered == sorted(ordered)


def test_copies_are_named(tmp_path, sampler):
    own = dict(sampler.pictures(range(100), Settings()))
    real = [own[seed] for seed in range(40, 100)]
    real[7] = own[3]
    dataset = write_dataset(tmp_path / "real", real)
    scores = list(Ranker(sampler, Settings(), RankOptions(), dataset=dataset).score(range(8)))
    assert [score.seed for score in scores if score.copy] == [3]
    assert scores[3].nearest == "real007.png"


def test_a_mixture_orders_by_places_in_both():
    scores = [Score(0, 3.0, distance=9.0), Score(1, 2.0, distance=1.0), Score(2, 1.0, distance=2.0)]

    def seeds(by, mix=0.5):
        return [score.seed for score in order(scores, by, mix)]

    assert seeds("discriminator") == [0, 1, 2]
    assert seeds("realism") == [1, 2, 0]
    assert seeds("mixture") == [1, 0, 2]
    assert seeds("mixture", 0) == [0, 1, 2]
    assert seeds("mixture", 1) == [1, 2, 0]


def test_an_interrupted_ranking_goes_on_and_ends_with_the_same_scores(tmp_path, sampler):
    ranker = Ranker(sampler, Settings(), RankOptions(), discriminator=critic())
    whole, journal = score_all(ranker, range(12)), tmp_path / "scores.jsonl"
    score_all(ranker, range(5), journal)
    journal.write_bytes(journal.read_bytes()[:-7])  # killed in the middle of a line
    drawn = []
    again = score_all(ranker, range(12), journal, drawn.append)
    assert again == whole
    assert sum(drawn) == 12
    assert len(journal.read_text().splitlines()) == 13
    assert score_all(ranker, range(12), journal) == whole
    other = Ranker(sampler, Settings(psi=0.5), RankOptions(), discriminator=critic())
    with pytest.raises(OptionError, match="scores of another generator"):
        score_all(other, range(12), journal)
    journal.write_text("{]\n")
    with pytest.raises(MalformedFileError, match="no scores that"):
        score_all(ranker, range(12), journal)


def test_what_can_not_rank_is_refused(tmp_path, sampler):
    dataset = write_dataset(tmp_path / "real", noise_pictures(4, side=32))
    settings = Settings()
    with pytest.raises(OptionError, match="nothing to rank by"):
        Ranker(sampler, settings, RankOptions())
    with pytest.raises(OptionError, match="no real pictures"):
        Ranker(sampler, settings, RankOptions("mixture"), discriminator=critic())
    with pytest.raises(OptionError, match="no discriminator"):
        Ranker(sampler, settings, RankOptions("mixture"), dataset=dataset)
    with pytest.raises(OptionError, match="32x32 RGB, but the generator draws 16x16"):
        Ranker(sampler, settings, RankOptions(), dataset=dataset)
    with pytest.raises(OptionError, match="takes pictures of 8x8 pixels"):
        Ranker(sampler, settings, RankOptions(), discriminator=critic(channels=(4, 8)))
    with pytest.raises(OptionError, match="no such file or run folder"):
        read_discriminator(tmp_path / "nothing")


def test_the_command_writes_seeds_and_a_sheet_and_leaves_out_what_is_worse(tmp_path):
    side = load_generator(read_checkpoint(PICKLE)).resolution
    pictures = noise_pictures(12, side)
    write_dataset(tmp_path / "real", pictures)
    registry = tmp_path / "registry.yaml"
    registry.write_text(
        "site:\n  title: Cats\n  base_url: https://someone.example/\n"
        f"subjects:\n  cat:\n    title: Cat\n    weights: {PICKLE}\n    licence: CC0-1.0\n"
        "    source: drawn\n    class: 1\n    exclude: 77  # by hand\n"
    )
    outputs = ["--out", str(tmp_path / "seeds.txt"), "--sheet", str(tmp_path / "best.png")]
    words = ["rank", "cat", "--registry", str(registry), "--discriminator", str(PICKLE), "--psi", "1",
             "--data", str(tmp_path / "real"), "--seeds", "0-19", "--keep", "5", *outputs,
             "--exclude-below", "101"]  # fmt: skip
    result = CliRunner().invoke(metagan, words)
    assert result.exit_code == 2
    result = CliRunner().invoke(metagan, [*words[:-1], "100", "--json"])
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    logits = [score["logit"] for score in said["scores"]]
    assert logits == sorted(logits, reverse=True)
    assert (tmp_path / "seeds.txt").read_text() == ",".join(map(str, said["kept"])) + "\n"
    below = sorted(score["seed"] for score in said["scores"] if score["percentile"] < 100)
    text = registry.read_text()
    assert "77" in text.partition("exclude: ")[2]
    assert len(below) > 1
    assert CliRunner().invoke(metagan, ["check", "--registry", str(registry)]).exit_code == 0
    with Image.open(tmp_path / "best.png") as shown:
        assert shown.size == (8 * side, 4 * side + 8)
    result = CliRunner().invoke(metagan, ["rank", str(PICKLE), "--exclude-below", "5", "--data", "x"])
    assert isinstance(result.exception, OptionError)
    assert "is no subject" in str(result.exception)


def test_a_sheet_beyond_its_formats_limit_is_refused_before_ranking(tmp_path, monkeypatch):
    monkeypatch.setattr("metagan.lab.rank.Ranker.__init__", None)
    monkeypatch.setitem(MOST_SIDE_PX, "webp", 100)
    words = ["rank", str(PICKLE), "--discriminator", str(PICKLE), "--sheet", str(tmp_path / "t.webp")]
    assert "t.webp: WebP holds at most 100 pixels a side, got" in str(
        CliRunner().invoke(metagan, words).exception
    )
