"""Projection: pictures come back, whatever the architecture; interrupted searches go on as if nothing had been."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from metagan.errors import MetaganError, OptionError
from metagan.lab.project import Distance, ProjectOptions, Projector, project
from metagan.lab.project_files import project_into, read_search, task_of, write_search
from metagan.lab.styles import draw, read_styles, stored_noise, write_styles
from metagan.lab.targets import Target
from metagan.lab.verdict import own_distances, verdict_on
from metagan.networks.upscaler.network import Upscaler, UpscalerConfig
from metagan.sampling.latents import latents
from metagan.sampling.sampler import Sampler, Settings
from tests.lab.nets import CPU, FILES, load, picture, small, target

QUICK = ProjectOptions(steps=40, start="mean")


@pytest.mark.parametrize("family", sorted(FILES))
def test_a_picture_of_each_architecture_is_approached(family):
    generator = load(family)
    wanted = target(generator, 7, psi=1.0)
    options = ProjectOptions(steps=50, start="mean", label=0 if generator.c_dim else None, noise="const")
    found = project(generator, [wanted], options)[0]
    with torch.no_grad():
        begun = generator.synthesize(found.path[0][None])
    assert found.distance < 0.25 * float(Distance([wanted], None, CPU)(begun))
    assert (found.styles.z is not None) == (family in ("r3gan", "dcgan"))


def test_a_picture_made_at_psi_0_7_comes_back_at_30_db_in_w_plus():
    generator = small()
    found = project(generator, [target(generator, 5, psi=0.7)], ProjectOptions(steps=100, noise="const"))[0]
    assert found.psnr_db >= 30


def test_latents_and_single_styles_can_be_searched_too():
    generator = small()
    for space in ("z", "w"):
        found = project(generator, [target(generator, 5, psi=0.9)], dataclasses.replace(QUICK, space=space))[
            0
        ]
        assert (found.styles.ws == found.styles.ws[0]).all()
        assert found.styles.info.space == space


def test_an_architecture_without_a_mapping_network_is_searched_in_z_only():
    with pytest.raises(OptionError, match=r"dcgan.*no mapping network.*\n  fix: use --space z"):
        Projector(load("dcgan"), ProjectOptions(space="w+"))


def test_the_nearest_start_begins_nearer_than_the_mean():
    generator = small()
    wanted = [target(generator, seed) for seed in range(4)]
    starts = {}
    for start in ("mean", "nearest"):
        found = project(generator, wanted, ProjectOptions(start=start, steps=1, noise="const"))
        with torch.no_grad():
            ws = torch.stack([one.path[0] for one in found])
            starts[start] = Distance(wanted, None, CPU)(generator.synthesize(ws))
    assert bool((starts["nearest"] < starts["mean"]).all())
    assert float(starts["nearest"].mean()) < 0.7 * float(starts["mean"].mean())


def test_only_a_search_from_the_mean_looks_around_itself(monkeypatch):
    """Noise on fitted styles would lead away from them."""
    generator = small()
    drawn = []
    synthesize = generator.synthesize
    monkeypatch.setattr(
        generator, "synthesize", lambda ws, *noise: drawn.append(ws) or synthesize(ws, *noise)
    )
    for start in ("nearest", "mean"):
        found = project(
            generator, [target(generator, 5)], ProjectOptions(start=start, steps=1, noise="const")
        )
        step = next(ws for ws in drawn if ws.requires_grad)
        assert torch.equal(step[0].detach(), found[0].path[0]) == (start == "nearest")
        drawn.clear()


def test_padding_counts_for_nothing():
    generator = small()
    whole = target(generator, 5)
    mask = torch.ones(1, 16, 16)
    mask[:, :4] = 0
    spoilt = whole.pixels.clone()
    spoilt[:, :4] = 1.0
    options = dataclasses.replace(QUICK, noise="const")
    a, b = (project(generator, [Target("x", pixels, mask)], options)[0] for pixels in (whole.pixels, spoilt))
    assert torch.equal(a.styles.ws, b.styles.ws)
    assert a.psnr_db == b.psnr_db


def test_a_resumed_search_equals_an_undisturbed_one(tmp_path):
    generator, options = small(), ProjectOptions(steps=20)
    targets = [target(generator, 5), target(generator, 6)]
    undisturbed = project(generator, targets, options)

    class Stopped(Exception):
        pass

    def stop(searches):
        if searches[0].step == 13:
            for index, search in enumerate(searches):
                write_search(tmp_path / f"{index}", "task", search)
            raise Stopped

    projector = Projector(generator, options)
    with pytest.raises(Stopped):
        projector.run(targets, projector.begin(targets), keep=stop)
    again = [read_search(tmp_path / f"{index}")[1] for index in range(2)]
    resumed = Projector(generator, options).run(targets, again)
    for one, other in zip(undisturbed, resumed, strict=True):
        assert torch.equal(one.styles.ws, other.styles.ws)
        assert all(map(torch.equal, one.styles.noise, other.styles.noise))
        assert len(one.path) == len(other.path)
        assert all(map(torch.equal, one.path, other.path))
        assert one.distance == other.distance


def test_a_folder_goes_on_where_it_was_left_and_isnt_done_twice(tmp_path):
    generator, targets = small(), [target(small(), seed) for seed in range(3)]
    options = ProjectOptions(steps=10, start="mean")
    every = {"state_every_s": 0.0}
    fresh = list(project_into(tmp_path / "a", Projector(generator, options), targets, **every))
    steps = 0

    def count(amount):
        nonlocal steps
        steps += amount
        if steps >= 15:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(project_into(tmp_path / "b", Projector(generator, options), targets, advance=count, **every))
    assert len(list((tmp_path / "b").glob(".*.search.safetensors"))) == 3
    list(project_into(tmp_path / "b", Projector(generator, options), targets))
    for one in fresh:
        name = f"{one.title}.safetensors"
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert not list((tmp_path / "b").glob(".*"))
    again = list(project_into(tmp_path / "b", Projector(generator, options), targets))
    assert all(one.projection is None for one in again)


def test_a_film_that_was_interrupted_is_made_after_all(tmp_path):
    generator, targets = small(), [target(small(), 0)]
    options, films = ProjectOptions(steps=3, start="mean"), []

    def fail(_title, _projection):
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        list(project_into(tmp_path, Projector(generator, options), targets, film=fail))
    steps = []
    film = lambda title, projection: films.append((title, len(projection.path)))  # noqa: E731
    list(project_into(tmp_path, Projector(generator, options), targets, film=film, advance=steps.append))
    assert films == [("own0", 4)]
    assert steps == [3]  # from where it was, and nothing searched again
    assert not list(tmp_path.glob(".*"))


def test_results_of_other_options_are_not_overwritten(tmp_path):
    generator, targets = small(), [target(small(), 0)]
    list(project_into(tmp_path, Projector(generator, ProjectOptions(steps=2)), targets))
    before = (tmp_path / "own0.safetensors").read_bytes()
    with pytest.raises(OptionError, match=r"own0\.safetensors: .*other options\n  fix: .*--again"):
        list(project_into(tmp_path, Projector(generator, ProjectOptions(steps=3)), targets))
    assert (tmp_path / "own0.safetensors").read_bytes() == before
    list(project_into(tmp_path, Projector(generator, ProjectOptions(steps=3)), targets, again=True))
    assert (tmp_path / "own0.safetensors").read_bytes() != before


def test_files_of_others_are_not_overwritten(tmp_path):
    generator, targets = small(), [target(small(), 0)]
    projector = Projector(generator, ProjectOptions(steps=2, start="mean"))
    for name, says in (("own0.png", "it is there already"), ("own0.safetensors", "not of styles")):
        folder = tmp_path / name
        folder.mkdir()
        save_file(generator.state_dict(), folder / name)
        before = (folder / name).read_bytes()
        for again in (False, True):
            with pytest.raises(MetaganError, match=says):
                list(project_into(folder, projector, targets, again=again))
            assert [path.name for path in folder.iterdir()] == [name]
            assert (folder / name).read_bytes() == before


def test_a_picture_is_begun_with_its_batch_only(tmp_path):
    generator, targets = small(), [target(small(), seed) for seed in range(9)]
    projector = Projector(generator, ProjectOptions(steps=2, start="mean"))

    def stop(amount):
        if amount:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(project_into(tmp_path, projector, targets, advance=stop))
    assert len(list(tmp_path.glob(".*.search.safetensors"))) == 8  # kept before the first step


def test_a_start_with_other_noise_is_another_task():
    generator = small()
    start = project(generator, [target(generator, 0)], ProjectOptions(steps=2))[0].styles
    projector = Projector(generator, ProjectOptions(steps=2))
    other = dataclasses.replace(start, noise=tuple(image + 1 for image in start.noise))
    wanted = target(generator, 1)
    assert task_of(projector, wanted, start) != task_of(projector, wanted, other)


def test_any_seed_begins_a_search():
    generator = small()
    for space in ("z", "w+"):
        options = ProjectOptions(steps=1, space=space, seed=2**32 - 1)
        assert project(generator, [target(generator, 0)], options)


def test_styles_draw_the_picture_that_was_found_with_its_noise(tmp_path):
    generator = small()
    found = project(generator, [target(generator, 5)], QUICK)[0]
    assert len(found.styles.noise) == len(stored_noise(generator)) == 5
    write_styles(tmp_path / "x.safetensors", found.styles)
    read = read_styles(tmp_path / "x.safetensors")
    assert np.array_equal(next(draw(Sampler(generator, CPU), [read])), found.picture)
    plain = dataclasses.replace(read, noise=())
    assert not np.array_equal(next(draw(Sampler(generator, CPU), [plain])), found.picture)


def test_styles_are_enlarged_by_an_upscaler_as_seeds_are(tmp_path):
    generator = small()
    torch.manual_seed(0)
    upscaler = Upscaler(UpscalerConfig(channels=8, blocks=1, factor=2)).eval()
    found = project(generator, [target(generator, 5)], ProjectOptions(steps=1, start="mean"))[0].styles
    sampler = Sampler(generator, CPU, 2, upscaler=upscaler)
    shapes = [next(draw(sampler, [styles])).shape for styles in (found, dataclasses.replace(found, noise=()))]
    assert shapes == [(32, 32, 3)] * 2
    seed = latents([5], 8)
    with torch.inference_mode():
        ws = generator.map_latents(seed)[0]
    ((_, drawn),) = sampler.pictures([5], Settings())
    assert np.array_equal(next(sampler.draw_styles([ws])), drawn)


def test_fitted_noise_stays_unit_normal_and_like_noise():
    generator = small(resolution=32)
    found = project(generator, [target(generator, 5)], QUICK)[0]
    for image in found.styles.noise:
        assert float(image.mean()) == pytest.approx(0, abs=1e-5)
        assert float(image.square().mean()) == pytest.approx(1, abs=1e-4)
        if len(image) >= 16:
            assert abs(float((image * image.roll(1, 0)).mean())) < 0.1


def test_a_search_leaves_the_generator_as_it_was():
    generator = small()
    before = copy.deepcopy(generator.state_dict())
    project(generator, [target(generator, 5)], ProjectOptions(steps=3))
    assert all(parameter.requires_grad for parameter in generator.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in generator.state_dict().items())


def test_a_stranger_is_told_from_the_generators_own(tmp_path, monkeypatch):
    monkeypatch.setenv("METAGAN_CACHE", str(tmp_path))
    generator = small()
    projector = Projector(generator, QUICK)
    own = own_distances(projector, 3)
    assert own == own_distances(projector, 3, lambda steps: None)
    kin = project(generator, [target(generator, 5)], QUICK)[0]
    checks = torch.full((3, 16, 16), -1.0)
    checks[:, ::2, ::2] = 1
    checks[:, 1::2, 1::2] = 1
    stranger = project(generator, [Target("x", checks, torch.ones(1, 16, 16))], QUICK)[0]
    assert "can't draw it" not in verdict_on(kin.distance, own).words
    assert "can't draw it" in verdict_on(stranger.distance, own).words


def test_verdicts_count_the_generators_own_pictures():
    own = [1.0, 2.0, 3.0, 4.0]
    assert verdict_on(2.5, own).words == "fits as well as 50% of its own pictures"
    assert verdict_on(0.5, own).share == 1
    assert "worse than all 4" in verdict_on(5.0, own).words
    assert "2.2 times as far off" in verdict_on(9.0, own).words


def test_pictures_are_searched_by_themselves_whatever_their_company():
    generator, options = small(), ProjectOptions(steps=8, start="mean")
    alone = project(generator, [target(generator, 6)], options)[0]
    together = project(generator, [target(generator, 5), target(generator, 6)], options)[1]
    assert torch.allclose(alone.styles.ws, together.styles.ws, atol=1e-3)
    assert picture(generator, 6).shape == alone.picture.shape
