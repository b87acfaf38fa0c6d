"""Latents that grow in the middle of a run: the same pictures at first, and more ways to differ after."""

import dataclasses

import pytest
import torch

from experiments import latents as latents_script
from metagan.networks.stylegan2.network import StyleGAN2
from metagan.training.networks import new_networks
from metagan.training.optimize import adam_tensors, make_adam
from metagan.training.recipe import Widths, discriminator_config, generator_config

OLD, NEW = 16, 24


@pytest.fixture
def state():
    """A state's tensors after one step of the generator, and its shape."""
    shape = generator_config(Widths(base=64, most=16, latent=OLD, mapping_layers=2), 16, 0)
    networks = new_networks(shape, discriminator_config(shape), seed=0)
    adam = make_adam(networks.generator, 0.01, 0)
    networks.generator.synthesize(networks.generator.map_latents(torch.randn(2, OLD), None)).sum().backward()
    adam.step()
    names = {parameter: name for name, parameter in networks.generator.named_parameters()}
    moments = {f"adam_g/{name}": tensor for name, tensor in adam_tensors(adam, names).items()}
    return {name: tensor.detach() for name, tensor in (networks.tensors() | moments).items()}, shape


def draw(tensors, config, z):
    network = StyleGAN2(config)
    network.load_state_dict(
        {
            name.removeprefix("generator/"): tensor
            for name, tensor in tensors.items()
            if name.startswith("generator/")
        }
    )
    with torch.no_grad():
        return network.synthesize(network.map_latents(z, None))


def latents(width):
    """Two latents whose first OLD numbers, and whose others, have a second moment of 1 each."""
    z = torch.randn(2, NEW, generator=torch.Generator().manual_seed(1))
    parts = [part / part.square().mean(dim=1, keepdim=True).sqrt() for part in (z[:, :OLD], z[:, OLD:])]
    return torch.cat(parts, dim=1)[:, :width]


def test_wider_latents_make_the_same_pictures_until_something_listens(state):
    tensors, config = state
    wide, wide_config = latents_script.widened(tensors, config, NEW)
    assert (wide_config.mapping.z_dim, wide_config.mapping.widths) == (NEW, (NEW, NEW))
    before = draw(tensors, config, latents(OLD))
    torch.testing.assert_close(draw(wide, wide_config, latents(NEW)), before, rtol=1e-4, atol=1e-5)
    other = torch.cat([latents(OLD), latents(NEW)[:, OLD:].flip(0)], dim=1)
    torch.testing.assert_close(draw(wide, wide_config, other), before, rtol=1e-4, atol=1e-5)

    heard = {
        name: tensor + (torch.arange(NEW) >= OLD) * 0.1 if name.endswith("affine.weight") else tensor
        for name, tensor in wide.items()
    }
    quiet, loud = (
        draw(latents_script.strengthened(heard, factor, OLD), wide_config, other) for factor in (0.0, 3.0)
    )
    torch.testing.assert_close(quiet, before, rtol=1e-4, atol=1e-5)
    step = (draw(heard, wide_config, other) - before).abs().mean()
    assert (loud - before).abs().mean() > 1.5 * step > 0


def test_spread_styles_make_what_styles_further_from_the_mean_made_before(state):
    tensors, config = state
    mean = torch.randn(OLD, generator=torch.Generator().manual_seed(2))
    tensors = tensors | {"generator/mapping.mean_style": mean}
    before, after = StyleGAN2(config), StyleGAN2(config)
    for network, of in ((before, tensors), (after, latents_script.spread_out(tensors, 1.3))):
        network.load_state_dict(
            {name.removeprefix("generator/"): of[name] for name in of if name.startswith("generator/")}
        )
    ws = torch.randn(2, config.num_ws, OLD, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        got, want = after.synthesize(ws), before.synthesize(mean + 1.3 * (ws - mean))
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)


def test_everything_that_a_state_remembers_has_the_new_shapes(state):
    tensors, config = state
    wide, wide_config = latents_script.widened(tensors, config, NEW)
    fresh = StyleGAN2(wide_config).state_dict()
    for name, tensor in wide.items():
        role, _, rest = name.partition("/")
        key = rest.rpartition("/")[0] if role == "adam_g" else rest
        if role != "discriminator" and tensor.ndim:
            assert tensor.shape == fresh[key].shape, name
    assert set(wide) == set(tensors)
    again, same_config = latents_script.widened(
        tensors, wide_config, NEW
    )  # a crash came after the configuration was written
    assert same_config == wide_config
    assert all(torch.equal(again[name], tensor) for name, tensor in wide.items())
    first = "mapping.layers.0.weight"
    assert torch.equal(wide[f"generator/{first}"][OLD:], wide[f"average/{first}"][OLD:])
    squares = wide[f"adam_g/{first}/exp_avg_sq"]
    torch.testing.assert_close(squares[:OLD, :OLD], tensors[f"adam_g/{first}/exp_avg_sq"] * OLD / NEW)
    assert float(squares.min()) >= 0 < float(squares[OLD:].min())


def test_only_plain_latents_can_grow(state):
    tensors, config = state
    with pytest.raises(SystemExit, match="want all of one width"):
        latents_script.widened(tensors, config, OLD - 1)
    labelled = dataclasses.replace(config, mapping=dataclasses.replace(config.mapping, c_dim=2))
    with pytest.raises(SystemExit, match="no labels"):
        latents_script.widened(tensors, labelled, NEW)
