"""One training step of StyleGAN2-ADA, and all that it changes.

References:
    [1] Karras et al. 2020, Analyzing and Improving the Image Quality of StyleGAN, arXiv:1912.04958.
    [2] Karras et al. 2020, Training GANs with Limited Data, arXiv:2006.06676.

A step is a function of what `Trainer.tensors` and `Trainer.facts` hold and of the data: chance is drawn anew in each
step from (seed, step, process), so that no generator's state can get lost. It is made of parts that a Recorder plays;
what a part reads and leaves lies in tensors that stay in their place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from metagan.networks.generator import Noise
from metagan.networks.stylegan2.fast import (
    features_for_training,
    logits_for_training,
    synthesize_for_training,
)
from metagan.training.augment.augmenter import Augmenter, Controller
from metagan.training.cuda_graphs import Recorder
from metagan.training.data_loader import Batch, Feed
from metagan.training.distributed import World
from metagan.training.losses import (
    draw_cutoffs,
    fake_loss,
    generator_loss,
    mix_styles,
    path_lengths,
    r1_penalty,
    real_loss,
)
from metagan.training.networks import Networks, trainable
from metagan.training.optimize import (
    adam_tensors,
    decay,
    ema_weight,
    make_adam,
    restore_adam,
    scale_rate,
    update_average,
)
from metagan.training.options import Recipe

# --------------------------------------------------------------------------------------------
# Where a training step's chance comes from.


def seed_of(*place: int) -> int:
    """A seed of its own for each place, such as (seed, step, process)."""
    words = np.random.SeedSequence(place).generate_state(2)
    return int(words[0]) << 31 ^ int(words[1])


class DrawnNoise(Noise):
    """Fresh noise for every layer and picture, from the step's own source."""

    def __init__(self, source: torch.Generator) -> None:
        super().__init__("random")
        self._source = source

    def image(self, stored: Tensor, batch: int, *, uniform: bool = False) -> Tensor:
        """The next layer's noise, [batch, 1, h, w]."""
        draw = torch.rand if uniform else torch.randn
        return draw((batch, 1, *stored.shape), generator=self._source, device=stored.device)


# --------------------------------------------------------------------------------------------
# Means of what a training run measures of itself.


class Meter:
    """Sums and counts on the device, each in one place; nothing waits for the device until they are read."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._sums: dict[str, Tensor] = {}

    def add(self, name: str, values: Tensor) -> None:
        """So many more values of this name."""
        values = values.detach().to(self._world.sum_dtype)
        entry = torch.stack([values.sum(), values.new_full((), values.numel())])
        if name in self._sums:
            self._sums[name] += entry
        else:
            self._sums[name] = entry

    def is_finite(self) -> bool:
        """Whether every value since the last reading was a number; on this process only."""
        return not self._sums or bool(torch.cat(list(self._sums.values())).isfinite().all())

    def read(self) -> dict[str, float]:
        """The means over all processes since the last reading, by name."""
        if not self._sums:
            return {}
        names = sorted(self._sums)
        totals = self._world.mean(torch.stack([self._sums[name] for name in names])).tolist()
        torch._foreach_zero_(list(self._sums.values()))
        return {name: total / count for name, (total, count) in zip(names, totals, strict=True) if count}


MEAN_STYLE_SURVIVES = 0.998  # a step's share of the old mean style
PATH_MEAN_SURVIVES = 0.99  # [1] section 3.2


class Trainer:
    """Trains a generator against a discriminator, a step at a time.

    Args:
        recipe: The hyper-parameters.
        networks: What to train, on the world's device.
        feed: The pictures.
        world: Who else takes part.
        records: Whether a single GPU records the step's parts as CUDA graphs.
    """

    def __init__(
        self, recipe: Recipe, networks: Networks, feed: Feed, world: World, *, records: bool = True
    ) -> None:
        self.recipe, self.networks, self.feed, self.world = recipe, networks, feed, world
        self.steps = 0
        self.seen = 0
        self.batch = world.share(recipe.batch)
        self.critic_parameters = trainable(networks.discriminator, recipe.freeze_d)
        self._let_critic_learn(learns=False)
        self._let_critic_learn(learns=True)
        path_interval = recipe.path_interval if recipe.path_weight else 0
        self.adam_g = make_adam(networks.generator, recipe.learning_rate, path_interval)
        rate = recipe.learning_rate * recipe.discriminator_rate
        self.adam_d = make_adam(networks.discriminator, rate, recipe.r1_interval)
        self.augment = Augmenter(recipe.augment_groups if recipe.augmentation != "none" else ())
        self.controller = Controller(recipe.augment_p, recipe.augment_target, recipe.augment_kimg)
        self.path_mean = torch.zeros([], device=world.device)
        self.meter = Meter(world)
        self._signs = torch.zeros(2, dtype=world.sum_dtype, device=world.device)
        self._source = torch.Generator(world.device)
        self._strengths = torch.Generator()  # augmentation has a source of its own, on the CPU
        self._recorder = Recorder(self._source, records=records and world.size == 1)
        self._reals = Batch(torch.empty(0, 3, 0, 0), None)
        self._drawn: dict[str, Tensor] = {}
        self._row = 0

    @property
    def records(self) -> bool:
        """Whether the step's parts are recorded as CUDA graphs."""
        return self._recorder.records

    # ---------------------------------------------------------------------------------------------
    # A step

    def step(self) -> None:
        """Train both networks on one batch."""
        with self._recorder.stream():
            self._step()

    def _step(self) -> None:
        recipe, play = self.recipe, self._recorder.play
        self._source.manual_seed(seed_of(recipe.seed, self.steps, self.world.rank, 0))
        self._strengths.manual_seed(seed_of(recipe.seed, self.steps, self.world.rank, 1))
        for adam in (self.adam_g, self.adam_d):
            scale_rate(adam, decay(self.seen, recipe.lr_decay_kimg))
        self._take_reals()
        warming_up = self.seen < recipe.d_warmup_kimg * 1000
        if warming_up:
            disturbs = self._draw_disturbances("critic", 2 * self.batch)
            play(("critic", disturbs), self._catch_up)
        else:
            disturbs = self._draw_disturbances("both", 3 * self.batch)
            play(("both", disturbs), self._train_both)
        if recipe.path_weight and not warming_up and self.steps % recipe.path_interval == 0:
            play("paths", self._regularise_paths)
        if recipe.r1_interval and self.steps % recipe.r1_interval == 0:
            disturbs = self._draw_disturbances("r1", self.batch)
            play(("r1", disturbs), self._regularise_discriminator)
        self.steps += 1
        self.seen += recipe.batch
        if not warming_up:
            survives = ema_weight(recipe.batch, self.seen, recipe.ema_kimg, recipe.ema_rampup)
            update_average(self.networks.average, self.networks.generator, survives)
        if recipe.augmentation == "adaptive" and self.steps % recipe.augment_interval == 0:
            self._adapt()

    def _take_reals(self) -> None:
        position, hold = self.seen + self.world.rank * self.batch, self._recorder.hold
        reals = self.feed.batch(position, self.batch, self.world.device, stride=self.recipe.batch)
        labels = None if reals.labels is None else hold("labels", reals.labels)
        self._reals = Batch(hold("reals", reals.images), labels)

    def _draw_disturbances(self, part: str, n: int) -> bool:
        """What augmentation does to the n pictures that a part judges; whether it does anything."""
        side = self._reals.images.shape[-1]
        drawn = self.augment.draw(n, side, self.controller.p, self._strengths)
        self._drawn = {name: self._recorder.hold(f"{part}/{name}", rows) for name, rows in drawn.items()}
        self._row = 0
        return bool(drawn)

    def _train_both(self) -> None:
        self._train_discriminator(self._train_generator())

    def _catch_up(self) -> None:
        """Train the discriminator against a generator that stays as it is."""
        self._train_discriminator(self._make_fakes())

    @torch.no_grad()
    def _make_fakes(self) -> list[Batch]:
        made = []
        for n in self._portions(self.batch):
            labels = self.feed.random_labels(n, self._source)
            made.append(Batch(self._synthesize(self._styles(n, labels)), labels))
        return made

    def _train_generator(self) -> list[Batch]:
        """Step the generator; the pictures it made are the discriminator's next ones."""
        self._let_critic_learn(learns=False)
        made = []
        for n in self._portions(self.batch):
            labels = self.feed.random_labels(n, self._source)
            images = self._synthesize(self._styles(n, labels))
            logits = self._judge(self._disturb(images), labels)
            loss = generator_loss(logits)
            torch.autograd.backward(loss.sum() / self.batch)
            self.meter.add("loss_g", loss)
            made.append(Batch(images.detach(), labels))
        self._apply(self.adam_g)
        self._let_critic_learn(learns=True)
        return made

    def _train_discriminator(self, fakes: list[Batch]) -> None:
        for fake in fakes:
            logits = self._judge(self._disturb(fake.images), fake.labels)
            loss = fake_loss(logits)
            torch.autograd.backward(loss.sum() / self.batch)
            self.meter.add("logit_fake", logits)
            self.meter.add("loss_fake", loss)
        for real in self._split(self._reals):
            logits = self._judge(self._disturb(real.images), real.labels)
            loss = real_loss(logits)
            torch.autograd.backward(loss.sum() / self.batch)
            self.meter.add("logit_real", logits)
            self.meter.add("sign_real", logits.sign())
            self.meter.add("loss_real", loss)
            signs = logits.detach().sign()
            self._signs += torch.stack([signs.sum(), signs.new_full((), len(signs))])
        self._apply(self.adam_d)

    def _regularise_discriminator(self) -> None:
        """R1 on what the discriminator sees: disturbed pictures, where augmentation is on."""
        weight = self.recipe.gamma / 2 * self.recipe.r1_interval
        for real in self._split(self._reals):
            images = self._disturb(real.images).detach().requires_grad_()
            penalty = r1_penalty(images, self._judge(images, real.labels))
            torch.autograd.backward(penalty.sum() * (weight / self.batch))
            self.meter.add("r1", penalty)
        self._apply(self.adam_d)

    def _regularise_paths(self) -> None:
        """Steer the paths' lengths to their moving mean ([1] section 3.2)."""
        recipe = self.recipe
        total = max(1, self.batch // recipe.path_shrink)
        weight = recipe.path_weight * recipe.path_interval / total
        measured = []
        for n in self._portions(total):
            styles = self._styles(n, self.feed.random_labels(n, self._source))
            images = self._synthesize(styles)
            noise = torch.randn(images.shape, generator=self._source, device=images.device)
            lengths = path_lengths(images, styles, noise)
            mean = torch.lerp(lengths.detach().mean(), self.path_mean, PATH_MEAN_SURVIVES)
            penalty = (lengths - mean).square()
            torch.autograd.backward(penalty.sum() * weight)
            self.meter.add("path_length", lengths)
            measured.append(lengths.detach())
        mean = self.world.mean(torch.cat(measured).mean())
        self.path_mean.copy_(torch.lerp(mean, self.path_mean, PATH_MEAN_SURVIVES))
        self._apply(self.adam_g)

    # ---------------------------------------------------------------------------------------------
    # Its parts

    def _portions(self, total: int) -> Iterator[int]:
        for start in range(0, total, self.recipe.micro_batch):
            yield min(self.recipe.micro_batch, total - start)

    def _split(self, batch: Batch) -> Iterator[Batch]:
        start = 0
        for n in self._portions(len(batch.images)):
            labels = None if batch.labels is None else batch.labels[start : start + n]
            yield Batch(batch.images[start : start + n], labels)
            start += n

    def _styles(self, n: int, labels: Tensor | None) -> Tensor:
        """Styles of n pictures, mixed of two latents for some; their mean is followed on the way."""
        generator, device, source = self.networks.generator, self.world.device, self._source
        first, second = (
            generator.map_latents(torch.randn(n, generator.z_dim, generator=source, device=device), labels)
            for _ in range(2)
        )
        mean_style = generator.mapping.mean_style
        if mean_style is not None:
            mean = self.world.mean(first[:, 0].detach().mean(dim=0))
            mean_style.copy_(torch.lerp(mean, mean_style, MEAN_STYLE_SURVIVES))
        return mix_styles(first, second, draw_cutoffs(n, generator.num_ws, self.recipe.style_mixing, source))

    def _half(self) -> AbstractContextManager[None]:
        device, enabled = self.world.device.type, self.recipe.precision == "bf16"
        return torch.autocast(device, torch.bfloat16, enabled=enabled)

    def _synthesize(self, styles: Tensor) -> Tensor:
        with self._half():
            images = synthesize_for_training(self.networks.generator, styles, DrawnNoise(self._source))
        return images.float()

    def _disturb(self, images: Tensor) -> Tensor:
        rows = slice(self._row, self._row + len(images))
        self._row = rows.stop
        drawn = {name: of_all[rows] for name, of_all in self._drawn.items()}
        return self.augment(images, drawn, self._source)

    def _judge(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """Logits; the last layers, which the losses are most sensitive to, are computed in float32."""
        critic = self.networks.discriminator
        with self._half():
            x, image = features_for_training(critic, images)
        image = None if image is None else image.float()
        return logits_for_training(critic, x.float(), image, labels)

    def _let_critic_learn(self, *, learns: bool) -> None:
        parameters = self.critic_parameters if learns else self.networks.discriminator.parameters()
        for parameter in parameters:
            parameter.requires_grad_(learns)

    def _apply(self, adam: torch.optim.Adam) -> None:
        self.world.average_gradients(
            parameter for group in adam.param_groups for parameter in group["params"]
        )
        adam.step()
        adam.zero_grad(set_to_none=True)

    def _adapt(self) -> None:
        total, count = self.world.mean(self._signs).tolist()
        self.controller.adjust(total / count, self.recipe.batch * self.recipe.augment_interval)
        self._signs.zero_()

    # ---------------------------------------------------------------------------------------------
    # What makes a step go on where another process stopped

    def tensors(self) -> dict[str, Tensor]:
        """Everything that the next step depends on and that isn't a plain number."""
        tensors = self.networks.tensors()
        for role, adam, network in self._optimizers():
            stored = adam_tensors(adam, _names(network))
            tensors |= {f"{role}/{name}": tensor for name, tensor in stored.items()}
        return tensors | {"path_mean": self.path_mean}

    def facts(self) -> dict[str, Any]:
        """Everything else that the next step depends on, as JSON-like values."""
        return {
            "steps": self.steps,
            "seen": self.seen,
            "augment_p": self.controller.p,
            "signs": self.world.mean(self._signs.clone()).tolist(),
        }

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Go on from what `tensors` and `facts` gave."""
        self._recorder.forget()  # Adam's memory will lie elsewhere
        own = self.networks.tensors()
        with torch.no_grad():
            for name, tensor in own.items():
                tensor.copy_(tensors[name])
        for role, adam, network in self._optimizers():
            mine = {
                name.removeprefix(f"{role}/"): tensor
                for name, tensor in tensors.items()
                if name.startswith(role)
            }
            restore_adam(adam, _names(network), mine)
        self.path_mean.copy_(tensors["path_mean"])
        self.steps, self.seen = int(facts["steps"]), int(facts["seen"])
        self.controller.p = float(facts["augment_p"])
        self._signs.copy_(torch.tensor(facts["signs"], dtype=torch.float64))

    def is_finite(self) -> bool:
        """Whether all losses since the last reading, and all weights, are numbers; it waits for the device."""
        weights = [*self.networks.generator.parameters(), *self.networks.discriminator.parameters()]
        norms = torch._foreach_norm([weight.detach() for weight in weights])
        return self.meter.is_finite() and bool(torch.stack(list(norms)).isfinite().all())

    def _optimizers(self) -> tuple[tuple[str, torch.optim.Adam, nn.Module], ...]:
        return (
            ("adam_g", self.adam_g, self.networks.generator),
            ("adam_d", self.adam_d, self.networks.discriminator),
        )


def _names(network: nn.Module) -> dict[Tensor, str]:
    return {parameter: name for name, parameter in network.named_parameters()}
