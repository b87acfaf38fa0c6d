"""Loss terms against finite differences in float64, and against arithmetic by hand."""

import math

import pytest
import torch

from metagan.networks.generator import Noise
from metagan.networks.stylegan2.discriminator import Discriminator, DiscriminatorConfig
from metagan.networks.stylegan2.network import Config, MappingConfig, StyleGAN2
from metagan.training import networks
from metagan.training import trainer as losses

MAPPING = MappingConfig(z_dim=3, c_dim=0, embed_dim=0, widths=(3,))


@pytest.fixture
def discriminator() -> Discriminator:
    torch.manual_seed(0)
    config = DiscriminatorConfig(
        channels=(3, 3), activation="softplus", last_activation="softplus", group_size=2
    )
    return Discriminator(config).double()


@pytest.fixture
def generator() -> StyleGAN2:
    torch.manual_seed(0)
    return StyleGAN2(Config(MAPPING, channels=(3, 2), activation="softplus")).double()


def directional(function, parameters, step=1e-5):
    """The derivative along one random direction, by central differences and by autograd."""
    direction = [torch.randn_like(parameter) for parameter in parameters]
    gradients = torch.autograd.grad(function(), parameters, allow_unused=True)
    analytic = sum((g * d).sum() for g, d in zip(gradients, direction, strict=True) if g is not None)
    values = []
    for sign in (1, -1):
        with torch.no_grad():
            for parameter, d in zip(parameters, direction, strict=True):
                parameter.add_(sign * step * d)
        values.append(function().detach())
        with torch.no_grad():
            for parameter, d in zip(parameters, direction, strict=True):
                parameter.sub_(sign * step * d)
    return float((values[0] - values[1]) / (2 * step)), float(analytic)


def test_r1_has_the_gradient_that_finite_differences_give(discriminator):
    images = torch.randn(4, 3, 8, 8, dtype=torch.float64, requires_grad=True)
    numeric, analytic = directional(
        lambda: losses.r1_penalty(images, discriminator(images)).sum(), list(discriminator.parameters())
    )
    assert numeric == pytest.approx(analytic, rel=1e-6)


def test_r1_with_leaky_units_has_the_gradient_that_finite_differences_give():
    torch.manual_seed(1)
    discriminator = Discriminator(DiscriminatorConfig(channels=(3, 3, 3), group_size=2)).double()
    images = torch.randn(2, 3, 16, 16, dtype=torch.float64, requires_grad=True)
    numeric, analytic = directional(
        lambda: losses.r1_penalty(images, discriminator(images)).sum(),
        list(discriminator.parameters()),
        step=1e-8,
    )
    assert numeric == pytest.approx(analytic, rel=1e-4)


def test_path_lengths_have_the_gradient_that_finite_differences_give(generator):
    styles = torch.randn(2, generator.num_ws, 3, dtype=torch.float64, requires_grad=True)
    noise = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    parameters = [parameter for name, parameter in generator.named_parameters() if "mapping" not in name]

    def function():
        return losses.path_lengths(generator.synthesize(styles, Noise("none")), styles, noise).square().sum()

    numeric, analytic = directional(function, parameters)
    assert numeric == pytest.approx(analytic, rel=1e-6)


@pytest.mark.parametrize("loss", [losses.generator_loss, losses.real_loss, losses.fake_loss])
def test_losses_have_the_gradient_that_finite_differences_give(loss):
    assert torch.autograd.gradcheck(loss, (torch.randn(5, 1, dtype=torch.float64, requires_grad=True),))


def test_losses_are_negative_log_likelihoods():
    logits = torch.tensor([[0.0], [2.0]])
    want = [math.log(2), math.log(1 + math.exp(-2))]
    assert losses.generator_loss(logits).flatten().tolist() == pytest.approx(want)
    assert losses.real_loss(logits).flatten().tolist() == pytest.approx(want)
    assert losses.fake_loss(-logits).flatten().tolist() == pytest.approx(want)


def test_r1_of_a_linear_critic_is_its_weights_squared_norm():
    weight = torch.arange(12.0).view(1, 3, 2, 2)
    images = torch.randn(4, 3, 2, 2, requires_grad=True)
    logits = (images * weight).sum(dim=(1, 2, 3))[:, None]
    assert losses.r1_penalty(images, logits).tolist() == pytest.approx([506.0] * 4)


def test_a_path_length_of_a_linear_generator_is_its_jacobians():
    jacobian = torch.randn(3, 12)  # one style of width 3 to 12 pixels
    styles = torch.randn(2, 1, 3, requires_grad=True)
    images = (styles[:, 0] @ jacobian).view(2, 3, 2, 2)
    noise = torch.randn(2, 3, 2, 2)
    want = (jacobian @ noise.flatten(1).t() / 2).norm(dim=0)  # sqrt(2 x 2 pixels) = 2
    assert torch.allclose(losses.path_lengths(images, styles, noise), want, atol=1e-5)


def test_styles_are_mixed_from_each_pictures_cutoff_on():
    mixed = networks.mix_styles(torch.zeros(3, 2), torch.ones(3, 2), torch.tensor([1, 3, 4]), num_ws=4)
    assert mixed[:, :, 0].tolist() == [[0, 1, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0]]


def test_cutoffs_follow_their_probability():
    source = torch.Generator().manual_seed(0)
    cutoffs = networks.draw_cutoffs(4000, 8, 0.75, source)
    assert (cutoffs < 8).float().mean() == pytest.approx(0.75, abs=0.03)
    assert set(cutoffs.tolist()) == set(range(1, 9))
    assert networks.draw_cutoffs(50, 8, 0.0, source).tolist() == [8] * 50
