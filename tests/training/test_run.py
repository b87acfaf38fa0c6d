"""Runs in this process: that they learn, what they leave, and what they refuse."""

import dataclasses
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from metagan.checkpoints.model import Checkpoint
from metagan.checkpoints.read import read_checkpoint
from metagan.errors import (
    DeviceError,
    DivergedError,
    MalformedFileError,
    OptionError,
    TrainingError,
    UnknownArchitectureError,
)
from metagan.evaluation.quality import Quality
from metagan.networks.loading.detect import load_generator
from metagan.networks.stylegan2.discriminator import Discriminator, DiscriminatorConfig
from metagan.training import networks
from metagan.training.distributed import World
from metagan.training.options import Schedule, TrainOptions
from metagan.training.recipe import choose_gamma
from metagan.training.run import Run, Silent
from metagan.training.run_folder import FormerPace, RunFolder, read_config, write_config
from metagan.training.setup import (
    begin,
    change_pace,
    change_settings,
    networks_for_resume,
    refuse_changes,
    require_groups_on,
)
from metagan.training.snapshot import real_pictures, write_generator
from metagan.training.state import previous_state, read_last_state, read_state, write_state
from metagan.values import Size
from tests.training.toy import AUTOMATIC, OPTIONS, Discs, change

WORLD = World(0, 1, torch.device("cpu"))
GOLDEN = Path(__file__).parents[1] / "golden"
OFFICIAL = GOLDEN / "sg2ada_cuda16.pkl"
SHORT = Schedule(total_kimg=0.032, state_kimg=0.016, metrics_kimg=0.008, snapshot_kimg=0.016)


def make_run(
    path: Path, pictures: Discs, options: TrainOptions = OPTIONS, schedule: Schedule = SHORT, **more
) -> Run:
    config, networks = begin(options, pictures, WORLD)
    return Run(RunFolder(path), config, schedule, pictures, networks, WORLD, **more)


def fitting(weights: Path) -> Discs:
    """Pictures such as a generator makes."""
    generator = load_generator(read_checkpoint(weights))
    return Discs(16, resolution=generator.resolution, classes=generator.c_dim)


def same_weights(network: torch.nn.Module, others: dict[str, torch.Tensor]) -> set[bool]:
    """Whether the network's weights are these, for each of its convolutions and matrices."""
    return {
        torch.equal(parameter, others[name])
        for name, parameter in network.named_parameters()
        if name.endswith("weight")
    }


def lines_of(run: Run) -> list[dict]:
    return [json.loads(line) for line in run.folder.metrics.read_text().splitlines()]


def resumed(folder: RunFolder, pictures: Discs, kimg: float = 0.048, **more) -> Run:
    config = read_config(folder)
    schedule = dataclasses.replace(SHORT, total_kimg=kimg)
    return Run(folder, config, schedule, pictures, networks_for_resume(config), WORLD, **more)


class Listener(Silent):
    def __init__(self):
        self.said: list[str] = []

    def say(self, text):
        self.said.append(text)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1000] ^= 4
    path.write_bytes(data)


def test_a_generator_of_discs_measurably_improves(tmp_path):
    pictures = Discs(256)
    options = change(OPTIONS, batch=16, gamma=0.5, ema_kimg=0.3)
    schedule = Schedule(1.2, 100, 0.4, 1.2, measured_pictures=128)
    quality = Quality(real_pictures(pictures, 128))
    run = make_run(tmp_path / "run", pictures, options, schedule, measure=quality)
    run.train()
    measured = [line for line in lines_of(run) if "distance" in line]
    assert measured[-1]["kimg"] == 1.2
    assert measured[-1]["distance"] < measured[0]["distance"] / 2
    assert measured[-1]["precision"] > measured[0]["precision"]


@pytest.mark.parametrize(("width", "height"), [(384, 256), (192, 128)])
def test_automatic_portions_are_whole_groups_at_every_size(width, height):
    pictures = Discs(2, resolution=Size(width, height))
    recipe = begin(AUTOMATIC, pictures, WORLD)[0].recipe
    assert recipe.batch == 16
    assert recipe.micro_batch % 4 == 0


@pytest.mark.parametrize(
    ("asked", "rate", "decay", "mixing", "path"),
    [
        ({}, 0.01, 20, 0, 0),
        ({"preset": "official"}, 0.0025, 0, 0.9, 2),
        ({"learning_rate": 0.005}, 0.005, 0, 0, 0),  # a rate that was asked for stays as it is
        ({"learning_rate": 0.005, "lr_decay_kimg": 7.0}, 0.005, 7, 0, 0),
        ({"lr_decay_kimg": 0.0}, 0.01, 0, 0, 0),
        ({"preset": "official", "style_mixing": 0.0, "path_weight": 0.0}, 0.0025, 0, 0, 0),
        ({"style_mixing": 0.5, "path_weight": 1.0}, 0.01, 20, 0.5, 1),
    ],
)
def test_the_pace_goes_by_the_widths_unless_asked_for(asked, rate, decay, mixing, path):
    options = change(AUTOMATIC, batch=8, **asked)
    recipe = begin(options, Discs(16), WORLD)[0].recipe
    assert (recipe.learning_rate, recipe.lr_decay_kimg) == (rate, decay)
    assert (recipe.style_mixing, recipe.path_weight) == (mixing, path)


def test_both_networks_learn_at_the_rate_that_fell(tmp_path):
    options = change(OPTIONS, lr_decay_kimg=0.006)
    run = make_run(tmp_path / "run", Discs(16), options)
    first = [adam.param_groups[0]["lr"] for adam in (run.trainer.adam_g, run.trainer.adam_d)]
    run.train()
    last = [adam.param_groups[0]["lr"] for adam in (run.trainer.adam_g, run.trainer.adam_d)]
    before = run.trainer.seen - options.recipe.batch  # when the last step began
    assert last == [pytest.approx(rate * (6 / before) ** 0.5) for rate in first]


def test_a_run_leaves_everything_it_promises(tmp_path):
    run = make_run(tmp_path / "run", Discs(16), measure=lambda made: {"distance": float(made.mean())})
    run.train()
    names = {
        path.relative_to(run.folder.path).as_posix() for path in run.folder.path.rglob("*") if path.is_file()
    }
    assert names == {
        *("config.yaml", "state.safetensors", "latest.safetensors", "best.safetensors", "metrics.jsonl"),
        *("state.previous.safetensors", "report.html", "sheets/reals.png", ".lock"),
        *(f"sheets/000000_{n}.png" for n in ("000", "016", "032")),
        *(f"snapshots/000000_{n}.safetensors" for n in ("000", "016", "032")),
    }
    page = run.folder.report.read_text()
    assert "http" not in page.replace("http://www.w3.org", "")
    assert page.count("data:image/webp") == 4
    assert "<polyline" in page


def test_a_run_that_an_earlier_version_began_keeps_its_sheets_in_grids(tmp_path):
    former = tmp_path / "run" / "grids"
    former.mkdir(parents=True)
    run = make_run(tmp_path / "run", Discs(16))
    run.train()
    assert len(run.folder.sheets()) == len(list(former.glob("[0-9]*.png"))) == 3
    assert not (tmp_path / "run" / "sheets").exists()


def test_what_is_no_sheet_and_no_line_of_measurements_is_left_out(tmp_path):
    folder = RunFolder(tmp_path)
    folder.sheets_folder.mkdir()
    for name in ("2024-best.png", "000000_008.png", "8.png"):
        (folder.sheets_folder / name).touch()
    assert [kimg for kimg, _ in folder.sheets()] == [0.008]
    good = [{"kimg": 0.008 * steps, "steps": steps} for steps in (1, 2, 3)]
    lines = ["", json.dumps(good[0]), "[1]", '{"kimg": 0.0', json.dumps(good[1]), '{"steps": 2}', "\0\0"]
    folder.metrics.write_text("".join(f"{line}\n" for line in [*lines, json.dumps(good[2])]) + '{"kimg"')
    assert folder.read_metrics() == good
    folder.forget_after(2)
    assert folder.read_metrics() == good[:2]


def test_only_the_newest_snapshots_are_kept_when_asked_for_and_what_no_run_wrote_stays(tmp_path):
    snapshots = tmp_path / "run" / "snapshots"
    snapshots.mkdir(parents=True)
    foreign = {"000000_004.safetensors": b"another program's", "000000_016 copy.safetensors": b"a copy"}
    for name, content in foreign.items():
        (snapshots / name).write_bytes(content)
    schedule = dataclasses.replace(SHORT, keep_snapshots=2, snapshot_kimg=0.008)
    run = make_run(tmp_path / "run", Discs(16), schedule=schedule, measure=lambda _: {"distance": 1.0})
    run.train()
    found = {path.name for path in snapshots.iterdir()}
    assert found == {"000000_024.safetensors", "000000_032.safetensors", *foreign}
    assert all((snapshots / name).read_bytes() == content for name, content in foreign.items())
    assert read_checkpoint(run.folder.best).header.training["kimg"] == 0
    assert len(run.folder.sheets()) == 5


@pytest.mark.parametrize("interval", [math.inf, 1e306])
def test_an_interval_without_an_end_is_over_when_the_run_is(tmp_path, interval):
    schedule = Schedule(0.016, state_kimg=interval, metrics_kimg=interval, snapshot_kimg=interval)
    run = make_run(tmp_path / "run", Discs(16), schedule=schedule)
    run.train()
    assert [line["steps"] for line in lines_of(run)] == [2]
    assert [path.stem for path in run.folder.snapshots()] == ["000000_000", "000000_016"]
    assert not previous_state(run.folder.state).exists()


def test_a_number_in_a_configuration_that_is_none_is_refused(tmp_path):
    run = make_run(tmp_path, Discs(16))
    write_config(run.folder, dataclasses.asdict(run.config))
    text = run.folder.config.read_text()
    run.folder.config.write_text(text.replace("gamma: 0.64", "gamma: .nan"))
    with pytest.raises(TrainingError, match=r"recipe\.gamma: want a number, got nan"):
        read_config(run.folder)


def test_snapshots_are_generators_to_sample_from(tmp_path):
    options = change(OPTIONS, data=Path("/home/ada/discs.zip"), licence="CC0-1.0")
    run = make_run(tmp_path / "run", Discs(16), options)
    run.train()
    checkpoint = read_checkpoint(tmp_path / "run" / "latest.safetensors")
    generator = load_generator(checkpoint)
    assert checkpoint.header.licence == "CC0-1.0"
    assert checkpoint.header.training["kimg"] == 0.032
    assert checkpoint.header.training["data"] == "discs.zip", "where it lay is nobody's business"
    styles = generator.map_latents(torch.zeros(2, generator.z_dim), psi=0.5)
    assert generator.synthesize(styles).shape == (2, 3, 16, 16)
    average = run.networks.average.state_dict()
    assert all(torch.equal(tensor, average[name]) for name, tensor in generator.state_dict().items())


def test_a_run_with_labels_trains_a_conditional_generator(tmp_path):
    run = make_run(tmp_path / "run", Discs(16, classes=3))
    run.train()
    generator = load_generator(read_checkpoint(tmp_path / "run" / "latest.safetensors"))
    assert generator.c_dim == 3


def test_portions_of_a_batch_add_up_to_the_gradients_of_the_whole(tmp_path):
    moments = []
    for micro_batch in (8, 4):
        # The discriminator alone, on pictures that are all the same: minibatch std then is of any portion.
        options = change(
            OPTIONS, micro_batch=micro_batch, d_warmup_kimg=1.0, style_mixing=0.0, augmentation="none"
        )
        trainer = make_run(tmp_path / str(micro_batch), Discs(1), options).trainer
        for block in trainer.networks.generator.blocks:
            block.to_rgb.weight.detach().zero_()
        trainer.step()
        moments.append(
            {name: tensor for name, tensor in trainer.tensors().items() if name.endswith("exp_avg_sq")}
        )
    for name, of_whole in moments[0].items():
        torch.testing.assert_close(moments[1][name], of_whole, rtol=1e-3, atol=1e-3 * float(of_whole.max()))
    assert any(tensor.abs().sum() for tensor in moments[0].values())


@pytest.mark.parametrize("setting", ["none", "fixed"])
def test_augmentation_that_is_not_adaptive_keeps_its_strength(tmp_path, setting):
    run = make_run(tmp_path / "run", Discs(16), change(OPTIONS, augmentation=setting, augment_p=0.4))
    run.train()
    assert run.trainer.controller.p == 0.4


def test_bfloat16_keeps_weights_and_losses_in_float32(tmp_path):
    run = make_run(tmp_path / "run", Discs(16), change(OPTIONS, precision="bf16"))
    run.train()
    assert {parameter.dtype for parameter in run.networks.generator.parameters()} == {torch.float32}
    assert all(math.isfinite(value) for line in lines_of(run) for value in line.values())


def test_a_discriminators_frozen_layers_keep_their_weights(tmp_path):
    options = change(OPTIONS, start=OFFICIAL, freeze_d=2)
    run = make_run(tmp_path / "run", fitting(OFFICIAL), options)
    discriminator = run.networks.discriminator
    before = {name: tensor.clone() for name, tensor in discriminator.state_dict().items()}
    run.train()
    kept = {name for name, tensor in discriminator.state_dict().items() if torch.equal(tensor, before[name])}
    kept = {name for name in kept if "taps" not in name}
    assert kept == {
        f"blocks.0.{layer}.{part}" for layer in ("from_rgb", "conv0") for part in ("weight", "bias")
    }


def test_more_frozen_layers_than_there_are_are_refused(tmp_path):
    options = change(OPTIONS, start=OFFICIAL, freeze_d=99)
    with pytest.raises(OptionError, match=r"has \d convolutions"):
        make_run(tmp_path / "run", fitting(OFFICIAL), options)


def test_training_goes_on_from_official_weights(tmp_path):
    golden = GOLDEN / "sg2ada_cuda16.pkl"
    options = change(OPTIONS, start=golden, freeze_d=1)
    generator = load_generator(read_checkpoint(golden))
    run = make_run(
        tmp_path / "run", Discs(16, resolution=generator.resolution, classes=generator.c_dim), options
    )
    average = run.networks.average.state_dict()
    assert all(torch.equal(tensor, average[name]) for name, tensor in generator.state_dict().items())
    run.train()
    assert run.trainer.seen == 32


def test_training_goes_on_from_a_generator_alone_when_a_new_discriminator_has_caught_up(tmp_path):
    first = make_run(tmp_path / "first", Discs(16))
    first.train()
    snapshot = tmp_path / "first" / "latest.safetensors"
    options = change(OPTIONS, start=snapshot, d_warmup_kimg=0.016)  # half of the run
    run = make_run(tmp_path / "run", Discs(16), options)
    trained = first.networks.average.state_dict()
    discriminator = run.networks.discriminator
    assert discriminator.config == first.networks.discriminator.config
    new = {name: tensor.clone() for name, tensor in discriminator.state_dict().items()}
    while run.trainer.seen < 16:
        run.trainer.step()
    assert same_weights(run.networks.generator, trained) == {True}
    assert same_weights(discriminator, new) == {False}
    run.trainer.step()
    assert False in same_weights(run.networks.generator, trained)
    assert False in same_weights(run.networks.average, trained)


def test_the_average_stays_as_it_is_while_the_generator_does(tmp_path):
    options = change(OPTIONS, start=OFFICIAL, d_warmup_kimg=0.008)
    run = make_run(tmp_path / "run", fitting(OFFICIAL), options)
    average = run.networks.average
    before = {name: tensor.clone() for name, tensor in average.state_dict().items()}
    assert same_weights(run.networks.generator, before) == {False}
    run.trainer.step()
    assert same_weights(average, before) == {True}
    run.trainer.step()
    assert same_weights(average, before) == {False}


def test_a_run_goes_on_within_the_warm_up_as_if_it_had_not_stopped(tmp_path):
    pictures = Discs(16, classes=2)
    make_run(tmp_path / "first", pictures).train()
    start = tmp_path / "first" / "latest.safetensors"
    options = change(OPTIONS, start=start, d_warmup_kimg=0.024)
    whole = make_run(tmp_path / "whole", pictures, options)
    whole.train()
    half = dataclasses.replace(SHORT, total_kimg=0.016)
    make_run(tmp_path / "halves", pictures, options, half).train()
    folder = RunFolder(tmp_path / "halves")
    config = read_config(folder)
    assert config.recipe.d_warmup_kimg == 0.024
    Run(folder, config, SHORT, pictures, networks_for_resume(config), WORLD).train()
    wanted = read_state(whole.folder.state)[0]
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in read_state(folder.state)[0].items())
    assert "loss_g" not in lines_of(whole)[0]
    assert "loss_g" in lines_of(whole)[-1]


@pytest.mark.parametrize("name", ["ros_train16.pt", "tf_ada_cond16.pkl"])
def test_training_goes_on_from_other_peoples_formats(tmp_path, name):
    options = change(OPTIONS, start=GOLDEN / name)
    run = make_run(tmp_path / "run", fitting(GOLDEN / name), options)
    run.train()
    assert all(math.isfinite(value) for line in lines_of(run) for value in line.values())


@pytest.mark.parametrize(("has_critic", "warmup"), [(True, 0), (False, 10)])
def test_a_new_discriminator_is_given_ten_thousand_pictures_unless_told_otherwise(
    tmp_path, has_critic, warmup
):
    golden, generator = OFFICIAL, load_generator(read_checkpoint(OFFICIAL))
    if not has_critic:
        golden = tmp_path / "generator.safetensors"
        write_generator(golden, generator, {}, licence="CC0-1.0", source="", half=False)
    pictures, options = fitting(golden), change(OPTIONS, start=golden)
    recipe = begin(options, pictures, WORLD)[0].recipe
    assert (recipe.d_warmup_kimg, recipe.ema_rampup) == (warmup, 0)
    assert recipe.gamma == choose_gamma(generator.resolution, 8, max(generator.config.channels))
    asked = change(options, d_warmup_kimg=3)
    assert begin(asked, pictures, WORLD)[0].recipe.d_warmup_kimg == 3


@pytest.mark.parametrize("start", [False, True])
def test_layers_of_a_new_discriminator_are_not_frozen(tmp_path, start):
    make_run(tmp_path, Discs(16)).train()
    weights = tmp_path / "latest.safetensors" if start else None
    with pytest.raises(
        OptionError, match=r"--freeze-d keeps a trained discriminator's layers.*\n  fix: give --start"
    ):
        begin(change(OPTIONS, start=weights, freeze_d=1), Discs(16), WORLD)


def test_a_file_whose_discriminator_is_no_use_names_the_way_out(monkeypatch):
    options = change(OPTIONS, start=OFFICIAL)
    other = Discriminator(DiscriminatorConfig(channels=(8, 8, 8, 8)))
    monkeypatch.setattr(networks, "load_discriminator", lambda _: other)
    with pytest.raises(
        OptionError, match=r"scores other pictures .*\n  fix: .*`metagan convert FILE OUT.safetensors`"
    ):
        begin(options, fitting(OFFICIAL), WORLD)

    def unknown(_: Checkpoint) -> None:
        raise UnknownArchitectureError("no known architecture")

    monkeypatch.setattr(networks, "load_discriminator", unknown)
    with pytest.raises(UnknownArchitectureError, match=r"architecture\n  fix: take its generator alone"):
        begin(options, fitting(OFFICIAL), WORLD)


def test_pictures_of_four_channels_are_no_start():
    options = change(OPTIONS, start=GOLDEN / "sg2ada_gemaonly16.pkl")
    with pytest.raises(OptionError, match="its pictures have 4 channels"):
        begin(options, Discs(8), WORLD)


def test_only_stylegan2_is_a_start():
    golden = GOLDEN / "sg3t_cond16.pkl"
    with pytest.raises(
        OptionError, match="it holds StyleGAN3\n  fix: training goes on from StyleGAN2 and DCGAN files"
    ):
        begin(change(OPTIONS, start=golden), Discs(8), WORLD)


def test_weights_for_other_pictures_are_no_start(tmp_path):
    golden = GOLDEN / "sg2ada_cuda16.pkl"
    with pytest.raises(OptionError, match="the pictures have 32x32"):
        begin(change(OPTIONS, start=golden), Discs(8, resolution=32), WORLD)


def go_on(path: Path, pictures: Discs, options: TrainOptions, kimg: float, **more) -> Run:
    """As the command goes on with --change."""
    folder, options = RunFolder(path), change(options, change=True)
    config = read_config(folder)
    refuse_changes(config, options)
    config = change_settings(config, options, pictures, WORLD, read_last_state(folder.state).facts)
    schedule = dataclasses.replace(SHORT, total_kimg=kimg)
    run = Run(folder, config, schedule, pictures, networks_for_resume(config), WORLD, **more)
    run.train()
    return run


def test_a_run_goes_on_with_more_pictures_another_batch_and_augmentation(tmp_path):
    first, watcher = make_run(tmp_path / "run", Discs(16), measure=lambda _: {"distance": 1.0}), Listener()
    first.train()
    best = first.folder.best.read_bytes()
    asked = change(OPTIONS, batch=4, mirror=True, augmentation="fixed", augment_p=0.25, data=Path("/x/more"))
    run = go_on(
        tmp_path / "run", Discs(20), asked, 0.036, watcher=watcher, measure=lambda _: {"distance": 3.0}
    )
    assert (run.trainer.seen, run.trainer.steps, run.trainer.adversaries[0].data_loader.length) == (36, 5, 40)
    assert run.trainer.controller.p == 0.25
    (was,) = read_config(run.folder).changes
    assert was.at_kimg == 0.032
    assert was.was.items() >= {"pictures": 16, "data": "discs", "batch": 8, "mirror": False}.items()
    assert was.now.items() >= {"pictures": 20, "data": "/x/more", "batch": 4, "augment_p": 0.25}.items()
    assert {"batch", "pictures"} <= {
        *read_checkpoint(run.folder.latest).header.training["changes"][0]["now"],
        *re.findall(r"<td>(\w+)</td>", run.folder.report.read_text()),
    }
    assert "/x/" not in json.dumps(read_checkpoint(run.folder.latest).header.training)
    assert "pictures 16 -> 20" in watcher.said[0]
    assert (run.folder.path / "best.until-000000_032.safetensors").read_bytes() == best
    assert read_checkpoint(run.folder.best).header.training["kimg"] == 0.036
    # What comes after a change goes on exactly, and needs no option.
    run.folder.best.write_bytes(best)  # as from an archive
    whole = go_on(tmp_path / "run", Discs(20), AUTOMATIC, 0.044, measure=lambda _: {"distance": 2.0})
    assert read_checkpoint(run.folder.best).header.training["kimg"] == 0.044
    assert len(whole.config.changes) == 1


def test_a_change_goes_on_with_both_networks_optimizers_and_average(tmp_path):
    make_run(tmp_path / "run", Discs(16)).train()
    before = read_state(tmp_path / "run" / "state.safetensors")[0]
    after = go_on(tmp_path / "run", Discs(20), change(OPTIONS, mirror=True), 0.032).trainer.tensors()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_resumed_run_is_computed_in_groups_on_other_numbers_of_processes():
    config, _ = begin(change(OPTIONS, batch=12), Discs(8), WORLD)
    three, two = (World(0, size, torch.device("cpu")) for size in (3, 2))
    require_groups_on(config, three)
    with pytest.raises(OptionError, match=r"batch of 6 on each device.*\n  fix: .*number of processes"):
        require_groups_on(config, two)
    asked = change(OPTIONS, batch=24, change=True)
    config = dataclasses.replace(config, recipe=dataclasses.replace(config.recipe, batch=16, micro_batch=16))
    changed = change_settings(config, asked, Discs(8), three, {"seen": 32, "augment_p": 0.0})
    assert (changed.recipe.batch, changed.recipe.micro_batch) == (24, 8)


def test_a_change_that_was_never_trained_with_leaves_no_trace(tmp_path):
    make_run(tmp_path / "run", Discs(16)).train()
    go_on(tmp_path / "run", Discs(20), change(OPTIONS, batch=4), 0.032)
    back = go_on(tmp_path / "run", Discs(16), OPTIONS, 0.032)
    assert back.config.changes == ()
    assert back.config.pictures == 16


def test_augmentation_keeps_the_strength_that_it_found_when_it_becomes_fixed(tmp_path):
    make_run(tmp_path / "run", Discs(16), change(OPTIONS, augment_p=0.4)).train()
    found = read_state(tmp_path / "run" / "state.safetensors")[1]["augment_p"]
    run = go_on(tmp_path / "run", Discs(16), change(OPTIONS, augmentation="fixed"), 0.04)
    assert run.trainer.controller.p == run.config.recipe.augment_p == found


@pytest.mark.parametrize(
    ("pictures", "asked", "message"),
    [
        (Discs(16, resolution=32), {}, "made for 16x16 pixels and no labels; the pictures have 32x32 pixels"),
        (Discs(16, classes=3), {}, "the pictures have 16x16 pixels and 3 classes"),
        (Discs(16), {"preset": "small"}, "preset: this run has tiny, asked for small"),
        (Discs(16), {"batch": 6}, "want multiples of 4"),
    ],
)
def test_what_does_not_fit_the_networks_is_no_change(tmp_path, pictures, asked, message):
    config, _ = begin(OPTIONS, Discs(16), WORLD)
    options = change(OPTIONS, change=True, **asked)
    with pytest.raises(OptionError, match=message):
        refuse_changes(config, options)
        change_settings(config, options, pictures, WORLD, {"seen": 32, "augment_p": 0.0})


@pytest.mark.parametrize("damage", [None, cut])
def test_a_run_starts_from_another_runs_state_with_its_optimizers(tmp_path, damage):
    first = make_run(tmp_path / "first", Discs(16), change(OPTIONS, augment_p=0.3))
    first.train()
    state = first.folder.state
    if damage:
        damage(state)
    wanted, facts = read_state(previous_state(state) if damage else state)
    watcher = Listener()
    run = make_run(tmp_path / "run", Discs(20), change(OPTIONS, start=state), watcher=watcher)
    run.begin()
    assert all(torch.equal(tensor, run.trainer.tensors()[name]) for name, tensor in wanted.items())
    assert (run.trainer.seen, run.trainer.controller.p) == (0, facts["augment_p"])
    assert watcher.said[0] == f"{tmp_path}/run: begins with 20 pictures of 16x16 pixels, on cpu"
    assert ("state.previous.safetensors" in watcher.said[1]) is bool(damage)
    assert "both networks, their optimizers" in watcher.said[-1]
    assert run.config.recipe.d_warmup_kimg == 0


def test_a_state_without_its_networks_shapes_takes_them_from_the_configuration_beside_it(tmp_path):
    first = make_run(tmp_path / "first", Discs(16))
    first.train()
    tensors, facts = read_state(first.folder.state)
    del facts["networks"]
    write_state(first.folder.state, tensors, facts)
    _, started = begin(change(OPTIONS, start=first.folder.state), Discs(16), WORLD)
    assert torch.equal(started.average.constant, first.networks.average.constant)
    first.folder.config.unlink()
    with pytest.raises(TrainingError, match=r"config\.yaml"):
        begin(change(OPTIONS, start=first.folder.state), Discs(16), WORLD)


def test_a_state_is_no_weights_file_and_says_which_to_use(tmp_path):
    path = tmp_path / "state.safetensors"
    write_state(path, {"upscaler/a": torch.ones(2)}, {"seen": 8, "steps": 1})
    with pytest.raises(MalformedFileError, match=r"state of a training run.*\n  fix: .*latest\.safetensors"):
        read_checkpoint(path)
    with pytest.raises(OptionError, match="state of an upscaler's run"):
        begin(change(OPTIONS, start=path), Discs(16), WORLD)


def test_losses_that_are_no_numbers_stop_the_run_and_name_the_last_good_state(tmp_path):
    pictures = Discs(16)
    make_run(tmp_path / "run", pictures).train()
    folder = RunFolder(tmp_path / "run")
    before = folder.state.read_bytes()
    config = read_config(folder)
    longer = dataclasses.replace(SHORT, total_kimg=1)
    run = Run(folder, config, longer, pictures, networks_for_resume(config), WORLD)
    run.begin()
    with torch.no_grad():
        run.networks.generator.constant.fill_(float("nan"))
    with pytest.raises(DivergedError, match=r"last good state is .*state\.safetensors"):
        run.train()
    assert folder.state.read_bytes() == before


def test_a_state_without_numbers_is_never_written_where_losses_are_seldom_looked_at(tmp_path, monkeypatch):
    run = make_run(tmp_path / "run", Discs(16), schedule=Schedule(0.08, 0.008, 0.008, 100))
    run.trainer.step()  # the first of ten
    run.save()
    before = run.folder.state.read_bytes()
    monkeypatch.setattr(
        run.trainer.meter, "is_finite", lambda: True
    )  # the losses were numbers when last looked at

    def spoil() -> None:
        run.trainer.steps += 1
        run.trainer.seen += OPTIONS.recipe.batch
        with torch.no_grad():
            run.networks.discriminator.epilogue.fc.weight.fill_(float("nan"))

    monkeypatch.setattr(run.trainer, "step", spoil)
    with pytest.raises(DivergedError, match="last good state"):
        run.train()
    assert run.folder.state.read_bytes() == before


def test_a_run_goes_on_without_the_sheets_and_pages_that_can_be_made_again(tmp_path):
    make_run(tmp_path / "run", Discs(16)).train()
    for path in (tmp_path / "run").rglob("*"):
        if path.suffix in {".png", ".html", ".jsonl"}:
            path.unlink()
    run = make_run(tmp_path / "run", Discs(16), schedule=Schedule(0.048, 100, 100, 0.016))
    run.train()
    assert run.trainer.seen == 48
    assert run.folder.reals.exists()
    assert run.folder.report.exists()


def test_a_run_does_not_go_on_with_other_pictures(tmp_path):
    make_run(tmp_path / "run", Discs(16)).train()
    config = read_config(RunFolder(tmp_path / "run"))
    run = Run(RunFolder(tmp_path / "run"), config, SHORT, Discs(17), networks_for_resume(config), WORLD)
    with pytest.raises(TrainingError, match="other pictures"):
        run.train()


@pytest.mark.parametrize(
    ("damage", "word"),
    [(cut, "damaged or incomplete"), (flip, "doesn't match its checksum"), (Path.unlink, "missing")],
)
def test_a_run_whose_state_is_damaged_goes_on_from_the_one_before_it(tmp_path, damage, word):
    pictures, watcher = Discs(16), Listener()
    make_run(tmp_path / "run", pictures).train()
    make_run(tmp_path / "whole", pictures, schedule=dataclasses.replace(SHORT, total_kimg=0.048)).train()
    folder = RunFolder(tmp_path / "run")
    damage(folder.state)
    before = previous_state(folder.state).read_bytes()
    run = resumed(folder, pictures, watcher=watcher)
    run.begin()
    run.save()
    assert previous_state(folder.state).read_bytes() == before, "no damaged state takes its place"
    run.train()
    assert word in watcher.said[0]
    assert "state.previous.safetensors" in watcher.said[0]
    assert watcher.said[1].endswith("goes on at 0.016 kimg")
    same = read_state(tmp_path / "whole" / "state.safetensors")[0]
    assert all(torch.equal(tensor, same[name]) for name, tensor in read_state(folder.state)[0].items())


def test_a_run_with_no_whole_state_says_what_is_left(tmp_path):
    make_run(tmp_path / "run", Discs(16)).train()
    folder = RunFolder(tmp_path / "run")
    cut(folder.state)
    flip(previous_state(folder.state))
    wanted = r"state\.safetensors: damaged .*state\.previous\.safetensors: damaged.*\n  fix: .*--start"
    with pytest.raises(MalformedFileError, match=wanted):
        resumed(folder, Discs(16)).train()


def test_a_state_of_another_run_is_named(tmp_path):
    make_run(tmp_path / "run", Discs(16)).train()
    folder = RunFolder(tmp_path / "run")
    tensors, facts = read_state(folder.state)
    write_state(folder.state, {"path_mean": tensors["path_mean"]}, facts)
    with pytest.raises(MalformedFileError, match="no state of this run"):
        resumed(folder, Discs(16)).train()


def test_any_flipped_bit_of_a_state_is_noticed(tmp_path):
    path = tmp_path / "state.safetensors"
    write_state(path, {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(3)}, {"seen": 5, "best": None})
    assert path.stat().st_mode & 0o777 == 0o644  # as the run folder's other files
    good = path.read_bytes()
    for place in range(len(good) * 8):
        data = bytearray(good)
        data[place // 8] ^= 1 << place % 8
        path.write_bytes(data)
        with pytest.raises(MalformedFileError):
            read_state(path)


def test_a_state_of_an_earlier_version_has_no_checksum(tmp_path):
    path = tmp_path / "state.safetensors"
    save_file({"a": torch.ones(2)}, path, metadata={"metagan_training_state": '{"version": 1, "seen": 8}'})
    assert read_state(path)[1]["seen"] == 8


def test_going_on_from_an_older_state_replaces_no_better_snapshot(tmp_path):
    pictures, distances = Discs(16), iter((9.0, 8.0, 2.0, 5.0, 4.0))
    run = make_run(tmp_path / "run", pictures, measure=lambda made: {"distance": next(distances)})
    run.train()
    folder = run.folder
    best = folder.best.read_bytes()
    folder.state.unlink()
    resumed(folder, pictures, measure=lambda made: {"distance": next(distances)}).train()
    assert folder.best.read_bytes() == best
    assert read_state(folder.state)[1]["best"] == 2.0


def test_a_run_that_lost_its_newest_state_and_is_asked_for_no_more_keeps_its_measurements(tmp_path):
    make_run(tmp_path / "run", Discs(16)).train()
    folder = RunFolder(tmp_path / "run")
    before = folder.metrics.read_bytes()
    folder.state.unlink()
    resumed(folder, Discs(16), kimg=0.008).train()
    assert folder.metrics.read_bytes() == before
    assert read_state(folder.state)[1]["seen"] == 16


def test_a_disk_without_room_is_noticed_before_the_first_step(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    with pytest.raises(TrainingError, match="free some space"):
        make_run(tmp_path / "run", Discs(8)).train()


def test_a_disk_that_fills_up_is_named_and_the_state_kept(tmp_path, monkeypatch):
    pictures = Discs(8)
    make_run(tmp_path / "run", pictures).train()
    folder = RunFolder(tmp_path / "run")
    before, config = folder.state.read_bytes(), read_config(folder)

    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("metagan.training.snapshot.write_bytes", full)
    longer = dataclasses.replace(SHORT, total_kimg=1)
    with pytest.raises(TrainingError, match="No space left on device"):
        Run(folder, config, longer, pictures, networks_for_resume(config), WORLD).train()
    assert folder.state.read_bytes() == before


def test_two_runs_in_one_folder_are_refused(tmp_path):
    pictures = Discs(8)
    inner: list[Run] = []

    class Second(Silent):
        def stop_asked(self):
            with pytest.raises(TrainingError, match="another process trains here"):
                inner[0].train()
            return True

    inner.append(make_run(tmp_path / "run", pictures))
    make_run(tmp_path / "run", pictures, watcher=Second()).train()


def test_a_runs_processor_seconds_go_on_where_they_stopped(tmp_path):
    run = make_run(tmp_path / "run", Discs(8))
    run.train()
    goes_on = resumed(run.folder, Discs(8))
    goes_on.train()
    spent = [line["processor_s"] for line in lines_of(goes_on)]
    assert spent == sorted(spent)
    assert 0 < spent[3] < spent[4]
    assert read_state(run.folder.state)[1]["processor_s"] >= spent[-1]


def test_a_run_that_ended_before_its_first_state_begins_anew(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    folder.append_metrics({"kimg": 0.008, "steps": 1, "elapsed_s": 1})
    run = make_run(folder.path, Discs(8))
    run.train()
    assert [line["steps"] for line in lines_of(run)] == [1, 2, 3, 4]


def test_too_little_memory_names_a_smaller_portion(tmp_path, monkeypatch):
    run = make_run(tmp_path / "run", Discs(8))

    def exhausted() -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(run.trainer, "step", exhausted)
    with pytest.raises(DeviceError, match="--micro-batch 4"):
        run.train()


def test_a_configuration_reads_back_as_it_was_written(tmp_path):
    run = make_run(tmp_path / "run", Discs(8, classes=2), change(OPTIONS, mirror=True))
    run.train()
    assert read_config(run.folder) == run.config


def test_a_config_with_a_former_name_of_its_precision_is_read_as_today_s(tmp_path):
    run = make_run(tmp_path, Discs(16), change(OPTIONS, precision="bf16"))
    write_config(run.folder, dataclasses.asdict(run.config))
    text = run.folder.config.read_text()
    run.folder.config.write_text(text.replace("precision: bf16", "precision: bfloat16"))
    assert read_config(run.folder) == run.config
    run.folder.config.write_text(text.replace("precision: bf16", "precision: [bf16]"))
    with pytest.raises(TrainingError, match=r"recipe\.precision: Input should be 'fp32' or 'bf16'"):
        read_config(run.folder)


def test_a_configuration_that_says_nonsense_is_refused(tmp_path):
    folder = RunFolder(tmp_path)
    folder.config.write_text("recipe: 3\n")
    with pytest.raises(TrainingError, match="restore the file"):
        read_config(folder)


def test_options_of_a_continued_run_can_not_change():
    config, _ = begin(OPTIONS, Discs(8), WORLD)
    refuse_changes(config, OPTIONS)
    refuse_changes(config, change(OPTIONS, micro_batch=32))  # as large a portion as the batch
    refuse_changes(config, change(OPTIONS, micro_batch=4), processes=2)
    with pytest.raises(OptionError, match="micro_batch: this run has 8, asked for 4"):
        refuse_changes(config, change(OPTIONS, micro_batch=4))
    refuse_changes(config, change(OPTIONS, style_mixing=None, precision=None))  # left to us
    changed = change(OPTIONS, batch=16, style_mixing=0.5, mirror=True)
    changed = dataclasses.replace(changed, given=frozenset({"batch", "style_mixing"}))
    with pytest.raises(
        OptionError, match=r"batch: this run has 8, asked for 16\n  style_mixing: .* asked for 0.5\n  fix"
    ):
        refuse_changes(config, changed)


def test_a_continued_runs_pace_may_change_and_what_it_was_is_kept():
    config, _ = begin(change(OPTIONS, learning_rate=None), Discs(8), WORLD)
    same = change(OPTIONS, learning_rate=0.01)
    assert change_pace(config, same, 5000) is config
    lower = change_pace(config, change(OPTIONS, learning_rate=0.002), 5000)
    assert (lower.recipe.learning_rate, lower.recipe.lr_decay_kimg) == (0.002, 0)
    assert lower.former_rates == (FormerPace(5, 0.01, 20, 0.64),)
    again_lower = change_pace(lower, change(OPTIONS, learning_rate=0.001, lr_decay_kimg=8.0, gamma=0.2), 8000)
    recipe = again_lower.recipe
    assert (recipe.learning_rate, recipe.lr_decay_kimg, recipe.gamma) == (0.001, 8, 0.2)
    assert again_lower.former_rates == (*lower.former_rates, FormerPace(8, 0.002, 0, 0.64))
    unused = change_pace(lower, change(OPTIONS, learning_rate=0.003), 5000)
    assert unused.former_rates == lower.former_rates, "no picture was shown at the rate between"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"augment_groups": ("blit", "colors")}, "unknown colors"),
        ({"start": OFFICIAL, "preset": "tiny"}, "--preset: of no use with --start"),
        ({"batch": 12, "micro_batch": 5}, "multiples of 4"),
    ],
)
def test_options_that_do_not_fit_are_refused_before_the_first_step(tmp_path, asked, message):
    with pytest.raises(OptionError, match=message):
        make_run(tmp_path / "run", Discs(8), change(OPTIONS, **asked))


def test_a_watcher_can_stop_a_run_after_any_step(tmp_path):
    class Impatient(Silent):
        def __init__(self):
            self.steps = 0

        def progress(self, seen, readings):
            self.steps += 1

        def stop_asked(self):
            return self.steps == 3

    pictures = Discs(8)
    run = make_run(tmp_path / "run", pictures, watcher=Impatient(), measure=lambda _: {"distance": 1.0})
    run.train()
    assert run.trainer.steps == 3
    assert run.folder.state.exists()
    latest = read_checkpoint(run.folder.latest)
    assert (latest.header.training["kimg"], latest.header.training["quality"]) == (0.024, {})
    average = run.networks.average.state_dict()
    written = load_generator(latest).state_dict()
    assert all(torch.equal(written[name], tensor) for name, tensor in average.items())
    assert [path.stem for path in run.folder.snapshots()] == ["000000_000", "000000_016"]
    # Asked for no more, it ends there as any run does.
    watcher = Listener()
    ended = resumed(run.folder, pictures, 0.024, watcher=watcher, measure=lambda _: {"distance": 2.0})
    ended.train()
    assert watcher.said[-1].endswith("is at 0.024 kimg, and is asked for no more than 0.024")
    assert run.folder.snapshots()[-1].stem == "000000_024"
    assert lines_of(run)[-1]["distance"] == 2
    before = run.folder.latest.read_bytes()
    resumed(run.folder, pictures, 0.016).train()
    assert run.folder.latest.read_bytes() == before


def test_the_average_follows_the_generator(tmp_path):
    options = change(OPTIONS, ema_kimg=1e-9)
    run = make_run(tmp_path / "run", Discs(8), options)
    run.train()
    average, generator = run.networks.average, run.networks.generator
    assert torch.allclose(average.constant, generator.constant)
    assert not np.allclose(generator.mapping.mean_style, 0)
