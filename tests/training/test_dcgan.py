"""The DCGAN as a baseline: its networks, its recipe, and its runs beside StyleGAN2's."""

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch.nn import functional

from metagan.checkpoints.read import read_checkpoint
from metagan.cli import metagan
from metagan.errors import OptionError
from metagan.evaluation.quality import Quality
from metagan.lab.rank import read_discriminator
from metagan.networks.dcgan.network import DCGAN, Discriminator
from metagan.networks.loading.detect import load_generator
from metagan.training.distributed import World
from metagan.training.options import Schedule
from metagan.training.recipe import dcgan_config, dcgan_discriminator_config
from metagan.training.run import Run
from metagan.training.run_folder import RunFolder, read_config
from metagan.training.setup import begin, networks_for_resume
from metagan.training.snapshot import real_pictures
from metagan.training.trainer import real_loss
from metagan.values import Size
from tests.training.toy import AUTOMATIC, Discs, change, write_folder

WORLD = World(0, 1, torch.device("cpu"))
KERAS = Path(__file__).parents[1] / "golden" / "keras_dcgan32.zip"
OPTIONS = change(AUTOMATIC, architecture="dcgan", batch=8)
SHORT = Schedule(total_kimg=0.032, state_kimg=0.016, metrics_kimg=0.008, snapshot_kimg=0.016)


def make_run(path: Path, pictures: Discs, options=OPTIONS, schedule=SHORT, **more) -> Run:
    config, networks = begin(options, pictures, WORLD)
    return Run(RunFolder(path), config, schedule, pictures, networks, WORLD, **more)


@pytest.mark.parametrize("size", [Size(32, 32), Size(64, 64), Size(128, 128), Size(48, 64)])
@pytest.mark.parametrize("transposed", [True, False])
def test_a_generator_gives_what_its_discriminator_takes(size, transposed):
    generator = DCGAN(dcgan_config(4, size, transposed=transposed)).eval()
    with torch.inference_mode():
        images = generator.synthesize(generator.map_latents(torch.randn(2, 100)))
        logits = Discriminator(dcgan_discriminator_config(4, size)).eval()(images)
    assert images.shape == (2, 3, size.height, size.width)
    assert images.abs().max() <= 1
    assert logits.shape == (2, 1)


def test_the_widest_is_the_papers():
    shape = dcgan_config(128, Size(64, 64), transposed=True)
    assert shape.channels == (4 * 4 * 1024, 512, 256, 128, 3)
    assert dcgan_discriminator_config(128, Size(64, 64)).channels == (128, 256, 512, 1024, 1)


def test_its_recipe_is_the_published_one_unless_asked_for():
    recipe = begin(OPTIONS, Discs(16), WORLD)[0].recipe
    assert (recipe.learning_rate, recipe.beta1, recipe.beta2) == (0.0002, 0.5, 0.999)
    assert (recipe.discriminator_rate, recipe.label_smoothing, recipe.dropout) == (0.5, 0.1, 0.25)
    assert (recipe.r1_interval, recipe.path_weight, recipe.style_mixing, recipe.augmentation) == (
        0,
        0,
        0,
        "none",
    )
    asked = {"discriminator_rate": 2.0, "label_smoothing": 0.0, "dropout": 0.0, "augmentation": "adaptive"}
    own = begin(change(OPTIONS, beta1=0.0, **asked), Discs(16), WORLD)[0].recipe
    assert {name: getattr(own, name) for name in asked} == asked
    assert own.beta1 == 0


def test_smoothed_labels_are_the_cross_entropy_with_less_than_certainty():
    logits = torch.tensor([[-2.0], [0.3], [5.0]])
    want = functional.binary_cross_entropy_with_logits(logits, torch.full((3, 1), 0.9), reduction="none")
    assert torch.allclose(real_loss(logits, 0.1), want)
    assert torch.equal(real_loss(logits), functional.softplus(-logits))


def test_its_pictures_measurably_improve(tmp_path):
    pictures = Discs(128)
    options = change(OPTIONS, learning_rate=0.002, ema_kimg=0.05, discriminator_rate=1.0)
    schedule = Schedule(0.48, 100, 100, 0.48, measured_pictures=64)
    run = make_run(
        tmp_path / "run", pictures, options, schedule, measure=Quality(real_pictures(pictures, 64))
    )
    run.train()
    first, last = (line["distance"] for line in run.folder.read_metrics() if "distance" in line)
    assert last < 0.75 * first
    compare = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "compare_runs.py"))
    cells = compare["table"]([run.folder.path], minutes=60).splitlines()[-1].split(" | ")
    assert (cells[0], cells[3]) == ("| dcgan, `tiny`", "60")
    assert cells[4] == f"{last:.3g}"
    with pytest.raises(SystemExit, match="nothing was measured"):
        compare["table"]([run.folder.path], minutes=0)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_resumed_run_equals_an_undisturbed_one(tmp_path, precision):
    pictures = Discs(24)
    options = change(OPTIONS, precision=precision, augmentation="fixed", augment_p=0.3, upsampling="nearest")
    whole = make_run(tmp_path / "whole", pictures, options, Schedule(0.048, 100, 100, 100))
    whole.train()
    make_run(tmp_path / "half", pictures, options).train()
    config = read_config(RunFolder(tmp_path / "half"))
    networks = networks_for_resume(config)
    rest = Run(RunFolder(tmp_path / "half"), config, whole.schedule, pictures, networks, WORLD)
    rest.train()
    assert config.upsampling == "nearest"
    ours, theirs = whole.trainer.tensors(), rest.trainer.tensors()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    latest = [run.folder.latest.read_bytes() for run in (whole, rest)]
    assert latest[0] == latest[1]


def test_its_files_are_drawn_and_its_discriminator_is_read(tmp_path):
    run = make_run(tmp_path / "run", Discs(16))
    run.train()
    generator = load_generator(read_checkpoint(run.folder.latest))
    z = torch.randn(3, generator.z_dim)
    with torch.inference_mode():
        images = generator.synthesize(generator.map_latents(z))
        assert torch.allclose(images, run.networks.average.synthesize(z[:, None]), atol=1e-5)
        judged = read_discriminator(run.folder.path)(images)
        assert torch.allclose(judged, run.networks.discriminator.eval()(images), atol=1e-5)
    assert "<td>dcgan</td>" in run.folder.report.read_text()


@pytest.mark.parametrize("from_state", [True, False])
def test_another_run_starts_from_a_runs_state_or_weights(tmp_path, from_state):
    run = make_run(tmp_path / "run", Discs(16))
    run.train()
    start = run.folder.state if from_state else run.folder.latest
    config, networks = begin(change(OPTIONS, start=start, d_warmup_kimg=0.0), Discs(16), WORLD)
    assert config.generator == run.config.generator
    assert all(
        torch.equal(tensor, run.networks.tensors()[f"average/{name}"])
        for name, tensor in networks.average.state_dict().items()
    )
    assert networks.generator.training
    assert networks.discriminator.training
    with pytest.raises(OptionError, match=r"it holds DCGAN\n  fix: train it with --architecture dcgan"):
        begin(change(AUTOMATIC, start=start), Discs(16), WORLD)


def test_a_run_starts_from_a_keras_generator(tmp_path):
    pictures = Discs(16, resolution=32)
    run = make_run(tmp_path / "run", pictures, change(OPTIONS, start=KERAS, d_warmup_kimg=0.0))
    before = {name: tensor.clone() for name, tensor in run.networks.generator.named_parameters()}
    run.train()
    assert any(
        not torch.equal(tensor, before[name]) for name, tensor in run.networks.generator.named_parameters()
    )
    assert np.isfinite([line["loss_g"] for line in run.folder.read_metrics()]).all()


def test_options_of_the_other_architecture_are_refused():
    for options, named in (
        (
            change(OPTIONS, gamma=3.0, style_mixing=0.5),
            "--gamma, --style-mixing: of no use with --architecture dcgan",
        ),
        (change(AUTOMATIC, dropout=0.3, upsampling="nearest"), "--dropout, --upsampling: of no use with"),
        (change(OPTIONS, preset="web"), "--preset web: it is made for live pages"),
    ):
        with pytest.raises(OptionError, match=named):
            begin(options, Discs(16), WORLD)


def test_the_command_goes_on_with_it_unnamed_and_leaves_labels_out(tmp_path):
    data = write_folder(tmp_path / "discs", 16)
    names = sorted(path.name for path in data.iterdir())
    (data / "dataset.json").write_text(
        f'{{"labels": {[[n, i % 2] for i, n in enumerate(names)]}}}'.replace("'", '"')
    )
    words = ["train", data, "--out", tmp_path / "run", "--threads", "1", "--device", "cpu", "--measure", "0"]
    new = ["--architecture", "dcgan", "--preset", "tiny", "--batch", "8"]

    def call(*more: object):
        return CliRunner().invoke(metagan, [*map(str, words), *map(str, more)])

    begun = call(*new, "--kimg", "0.008")
    assert begun.exit_code == 0, begun.exception
    assert "note: labels not used" in begun.stderr
    assert call("--kimg", "0.016").exit_code == 0
    other = call("--architecture", "stylegan2")
    assert "architecture: this run has dcgan, asked for stylegan2" in str(other.exception)
    assert "--gamma: of no use with --architecture dcgan" in str(call("--gamma", "2").exception)
