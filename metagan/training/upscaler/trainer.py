"""Trains an upscaler step by step, with everything that the next step depends on.

References:
    [1] Ledig et al. 2017, SRGAN, arXiv:1609.04802: pixel, perceptual and adversarial loss.
    [2] Wang et al. 2018, ESRGAN, arXiv:1809.00219, section 3.3: first by pixels alone.
    [3] Zhu et al. 2017, CycleGAN, arXiv:1703.10593: pictures without an original are held by a cycle.
    [4] Lai et al. 2017, LapSRN, arXiv:1704.03915, section 3.3 (the Charbonnier distance).
    [5] Isola et al. 2017, Image-to-Image Translation with Conditional Adversarial Networks, arXiv:1611.07004 (a
        discriminator of patches).
    [6] Miyato et al. 2018, Spectral Normalization for GANs, arXiv:1802.05957.
    [7] Wang et al. 2018, High-Resolution Image Synthesis with Conditional GANs, arXiv:1711.11585, section 3.2 (feature
        matching: a perceptual loss on the discriminator's own features).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from metagan.networks.upscaler import Upscaler
from metagan.training.data_loader import DataLoader
from metagan.training.distributed import World
from metagan.training.optimize import adam_tensors, restore_adam
from metagan.training.trainer import (
    Meter,
    decay,
    ema_weight,
    fake_loss,
    generator_loss,
    real_loss,
    scale_rate,
    seed_of,
)
from metagan.training.upscaler.data import crop
from metagan.training.upscaler.degrade import degrade, reduce, reduce_variously
from metagan.training.upscaler.recipe import UpscalerRecipe

BETAS: Final = (0.9, 0.99)
CHARBONNIER_EPSILON: Final = 1e-3  # of a range of 2: below half a level of 255 the distance is square
EMA_RAMPUP: Final = 0.05
CHANNELS: Final = (32, 48, 64, 64)  # of the discriminator
SLOPE: Final = 0.2


class PatchDiscriminator(nn.Module):
    """Spectrally normalised convolutions of stride 2 [6], with a logit for each patch of 16x16 pixels [5].

    The perceptual loss compares its features [7].
    """

    def __init__(self) -> None:
        super().__init__()
        widths = (3, *CHANNELS)
        self.layers = nn.ModuleList(
            spectral_norm(nn.Conv2d(inputs, outputs, 4, stride=2, padding=1))
            for inputs, outputs in pairwise(widths)
        )
        self.logit = spectral_norm(nn.Conv2d(widths[-1], 1, 3, padding=1))
        self.activation = nn.LeakyReLU(SLOPE)

    def forward(self, pictures: Float[Tensor, "n 3 h w"]) -> tuple[list[Tensor], Float[Tensor, "m 1"]]:
        """Return the features of every layer, and the logits of all patches of all pictures in one column."""
        features, x = [], pictures
        for layer in self.layers:
            x = self.activation(layer(x))
            features.append(x)
        return features, self.logit(x).reshape(-1, 1)


class UpscalerTrainer:
    """Trains an upscaler step by step.

    Args:
        recipe: The hyper-parameters.
        upscaler: The upscaler to train, on the world's device.
        data_loader: Loads the originals.
        made: Generated pictures, [n, 3, h, w]; None for originals alone.
        world: One process.
    """

    def __init__(
        self,
        recipe: UpscalerRecipe,
        upscaler: Upscaler,
        data_loader: DataLoader,
        made: UInt8[Tensor, "n 3 h w"] | None,
        world: World,
    ) -> None:
        self.recipe, self.data_loader, self.world = recipe, data_loader, world
        self.upscaler = upscaler.train().requires_grad_(requires_grad=True)
        self.average = copy.deepcopy(upscaler).eval().requires_grad_(requires_grad=False)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(recipe.seed, 1))
            self.discriminator = PatchDiscriminator().to(world.device)
        for network in (self.upscaler, self.discriminator):
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.adam_g = _adam(self.upscaler, recipe.learning_rate)
        self.adam_d = _adam(self.discriminator, recipe.learning_rate * recipe.discriminator_rate)
        self.meter = Meter(world)
        self.steps = self.seen = 0
        self._made = None if made is None else made.to(world.device)
        self._rng = torch.Generator(world.device)

    def step(self) -> None:
        """Train on one batch of crops of originals and, with a generator, as many of generated pictures."""
        recipe, factor = self.recipe, self.upscaler.config.factor
        self._rng.manual_seed(seed_of(recipe.seed, 2, self.steps))
        for adam in (self.adam_g, self.adam_d):
            scale_rate(adam, decay(self.seen, recipe.lr_decay_kimg))

        # Originals, and the small pictures that an upscaler would be given of them.
        pictures = self.data_loader.batch(
            self.seen, recipe.batch, self.world.device, stride=recipe.batch
        ).images
        originals = crop(pictures, recipe.crop_px, factor, self._rng)
        small = degrade(reduce_variously(originals, factor, self._rng), recipe.degradation, self._rng)
        made = self._draw_made()
        upscaled = self.upscaler(small if made is None else torch.cat([small, made]))
        upscaled_originals = upscaled[: len(originals)]

        # The upscaler: near to the original, pixel by pixel and in the discriminator's eyes, and believable.
        pixel = _charbonnier(upscaled_originals - originals)
        loss = recipe.pixel_weight * pixel
        self.meter.add("loss_pixel", pixel)
        if made is not None:
            cycle = _charbonnier(reduce(upscaled[len(originals) :], factor) - made)
            loss = loss + recipe.cycle_weight * cycle
            self.meter.add("loss_cycle", cycle)
        warming_up = self.seen < recipe.warmup_kimg * 1000
        if not warming_up:
            loss = loss + self._discriminator_loss(upscaled, originals)
        torch.autograd.backward(loss)
        _apply(self.adam_g)

        # The discriminator, on the same pictures.
        if not warming_up:
            self._train_discriminator(upscaled.detach(), originals)
        self.steps += 1
        self.seen += recipe.batch
        survives = ema_weight(recipe.batch, self.seen, recipe.ema_kimg, EMA_RAMPUP)
        self._update_average(survives)

    @torch.no_grad()
    def _update_average(self, survives: float) -> None:
        own, new = list[Tensor](self.average.parameters()), list[Tensor](self.upscaler.parameters())
        torch._foreach_lerp_(own, new, 1 - survives)

    def _draw_made(self) -> Float[Tensor, "n 3 h w"] | None:
        if self._made is None:
            return None
        picks = torch.randint(
            len(self._made), (self.recipe.batch,), generator=self._rng, device=self._rng.device
        )
        side = min(self.recipe.crop_px // self.upscaler.config.factor, *self._made.shape[-2:])
        return crop(self._made[picks].float().div(127.5).sub(1), side, 1, self._rng)

    def _discriminator_loss(self, upscaled: Tensor, originals: Tensor) -> Tensor:
        """Return the weighted sum of the perceptual and the adversarial loss."""
        self.discriminator.requires_grad_(requires_grad=False)
        features, logits = self.discriminator(upscaled)
        with torch.no_grad():
            wanted, _ = self.discriminator(originals)
        self.discriminator.requires_grad_(requires_grad=True)
        distances = [
            (layer[: len(originals)] - want).abs().mean() / want.abs().mean().clamp_min(1e-6)
            for layer, want in zip(features, wanted, strict=True)
        ]
        perceptual = torch.stack(distances).mean()
        adversarial = generator_loss(logits).mean()
        self.meter.add("loss_perceptual", perceptual)
        self.meter.add("loss_adversarial", adversarial)
        recipe = self.recipe
        return recipe.perceptual_weight * perceptual + recipe.adversarial_weight * adversarial

    def _train_discriminator(self, upscaled: Tensor, originals: Tensor) -> None:
        _, real = self.discriminator(originals)
        _, fake = self.discriminator(upscaled)
        loss_real, loss_fake = real_loss(real).mean(), fake_loss(fake).mean()
        torch.autograd.backward(loss_real + loss_fake)
        _apply(self.adam_d)
        self.meter.add("loss_real", loss_real)
        self.meter.add("loss_fake", loss_fake)

    # ---------------------------------------------------------------------------------------------
    # What makes a step go on where another process stopped

    def tensors(self) -> dict[str, Tensor]:
        """Return all tensors that the next step depends on."""
        tensors = {
            f"{role}/{name}": tensor
            for role, network in self._networks()
            for name, tensor in network.state_dict().items()
        }
        for role, adam, network in self._optimizers():
            stored = adam_tensors(adam, _names(network))
            tensors |= {f"{role}/{name}": tensor for name, tensor in stored.items()}
        return tensors

    def facts(self) -> dict[str, Any]:
        """Return all other values that the next step depends on, as JSON-like values."""
        return {"steps": self.steps, "seen": self.seen}

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Restore the state that `tensors` and `facts` returned.

        Raises:
            KeyError: If a tensor is missing.
        """
        with torch.no_grad():
            for role, network in self._networks():
                for name, tensor in network.state_dict().items():
                    tensor.copy_(tensors[f"{role}/{name}"])
        for role, adam, network in self._optimizers():
            prefix = f"{role}/"
            mine = {
                name.removeprefix(prefix): tensor
                for name, tensor in tensors.items()
                if name.startswith(prefix)
            }
            restore_adam(adam, _names(network), mine)
        self.steps, self.seen = int(facts["steps"]), int(facts["seen"])

    def is_finite(self) -> bool:
        """Return whether all losses since the last reading, and all weights, are finite."""
        weights = [*self.upscaler.parameters(), *self.discriminator.parameters()]
        norms = torch._foreach_norm([weight.detach() for weight in weights])
        return self.meter.is_finite() and bool(torch.stack(list(norms)).isfinite().all())

    def _networks(self) -> tuple[tuple[str, nn.Module], ...]:
        return (
            ("upscaler", self.upscaler),
            ("discriminator", self.discriminator),
            ("average", self.average),
        )

    def _optimizers(self) -> tuple[tuple[str, torch.optim.Adam, nn.Module], ...]:
        return (("adam_g", self.adam_g, self.upscaler), ("adam_d", self.adam_d, self.discriminator))


def _charbonnier(difference: Tensor) -> Tensor:
    """Return the mean of sqrt(d^2 + eps^2): absolute, but smooth at 0 ([4] equation 2)."""
    return (difference.square() + CHARBONNIER_EPSILON**2).sqrt().mean()


def _adam(network: nn.Module, rate: float) -> torch.optim.Adam:
    return torch.optim.Adam(
        [{"params": list(network.parameters()), "initial_lr": rate}], lr=rate, betas=BETAS
    )


def _apply(adam: torch.optim.Adam) -> None:
    adam.step()
    adam.zero_grad(set_to_none=True)


def _names(network: nn.Module) -> dict[Tensor, str]:
    return {parameter: name for name, parameter in network.named_parameters()}
