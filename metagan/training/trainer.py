"""One training step of a generator against a discriminator, and all that it changes: that of StyleGAN2-ADA.

Other architectures leave parts of it out by their recipe, and differ in what their Networks do.

References:
    [1] Karras et al. 2020, Analyzing and Improving the Image Quality of StyleGAN, arXiv:1912.04958.
    [2] Karras et al. 2020, Training GANs with Limited Data, arXiv:2006.06676.
    [3] Goodfellow et al. 2014, Generative Adversarial Nets, arXiv:1406.2661 (the non-saturating loss).
    [4] Mescheder et al. 2018, Which Training Methods for GANs do actually Converge?, arXiv:1801.04406 (R1).
    [5] Salimans et al. 2016, Improved Techniques for Training GANs, arXiv:1606.03498 (one-sided label smoothing).
    [6] Karras et al. 2024, Analyzing and Improving the Training Dynamics of Diffusion Models, arXiv:2312.02696 (the
        rate's inverse square root decay).

A step is a function of what `Trainer.tensors` and `Trainer.facts` hold and of the data: random numbers are seeded anew
in each step by (seed, step, process), so that no generator's state can get lost. `Trainer.step` is the whole story; its
parts are run by a GraphRunner, and read their inputs from StepInputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from metagan.sampling.cuda_graphs import Capture, GraphRunner
from metagan.training.augment import Augmenter, Controller
from metagan.training.data_loader import Batch, DataLoader
from metagan.training.distributed import World
from metagan.training.networks import Context, DrawnNoise, Networks
from metagan.training.optimize import adam_tensors, make_adam, restore_adam
from metagan.training.options import Join, Recipe
from metagan.values import Size

# --------------------------------------------------------------------------------------------
# What a step reads: random numbers, real pictures, augmentation


def seed_of(*place: int) -> int:
    """Make a seed from several numbers, such as (seed, step, process)."""
    words = np.random.SeedSequence(place).generate_state(2)
    return int(words[0]) << 31 ^ int(words[1])


class StepInputs:
    """Everything that the parts of a step read besides weights.

    A CUDA graph reads addresses. Where parts are recorded (`fixed`), a step's inputs are therefore copied to where
    those of the step before were.

    Args:
        rng: Random numbers on the device that computes: latents, labels, noise.
        fixed: Whether tensors keep their addresses from step to step.

    Attributes:
        augment_rng: Random numbers of the augmentation, on the CPU.
        reals: The step's real pictures with their labels, for each discriminator.
    """

    def __init__(self, rng: torch.Generator, *, fixed: bool) -> None:
        self.rng, self.fixed = rng, fixed
        self.augment_rng = torch.Generator()
        self.reals: list[Batch] = []
        self._fixed: dict[str, Tensor] = {}
        self._transforms: dict[str, Tensor] = {}
        self._next = 0

    def seed(self, *place: int) -> None:
        """Seed all random numbers of a step by its place: (seed, step, process)."""
        self.rng.manual_seed(seed_of(*place, 0))
        self.augment_rng.manual_seed(seed_of(*place, 1))

    def load(self, reals: Sequence[Batch]) -> None:
        """Take a step's real pictures."""
        self.reals = [
            Batch(
                self._hold(f"reals {index}", batch.images),
                None if batch.labels is None else self._hold(f"labels {index}", batch.labels),
            )
            for index, batch in enumerate(reals)
        ]

    def draw_transforms(self, part: str, n: int, augmenter: Augmenter, p: float) -> bool:
        """Draw with strength p what augmentation does to the next n pictures; returns whether it does anything."""
        height, width = self.reals[0].images.shape[-2:]
        drawn = augmenter.draw(n, Size(width, height), p, self.augment_rng)
        self._transforms = {name: self._hold(f"{part}/{name}", rows) for name, rows in drawn.items()}
        self._next = 0
        return bool(drawn)

    def take_transforms(self, n: int) -> dict[str, Tensor]:
        """Take the drawn transforms of the next n pictures: a row a picture for each group."""
        rows = slice(self._next, self._next + n)
        self._next = rows.stop
        return {name: of_all[rows] for name, of_all in self._transforms.items()}

    def _hold(self, name: str, value: Tensor) -> Tensor:
        """The value on the device; at the same address as the last one of this name and shape, where that matters."""
        if not self.fixed:
            return value.to(self.rng.device, non_blocking=True)
        held = self._fixed.get(name)
        if held is None or held.shape != value.shape:
            held = self._fixed[name] = torch.empty_like(value, device=self.rng.device)
        return held.copy_(value, non_blocking=True)


# --------------------------------------------------------------------------------------------
# What the networks are trained for


def generator_loss(fake_logits: Float[Tensor, "n 1"]) -> Float[Tensor, "n 1"]:
    """-log sigmoid(D(G(z))), the non-saturating loss ([3] section 3)."""
    return F.softplus(-fake_logits)


def join_losses(losses: Sequence[Float[Tensor, "n 1"]], join: Join) -> Float[Tensor, "n 1"]:
    """Join what a generator pays to several discriminators, for each picture.

    Args:
        losses: One for each discriminator.
        join: "and" is the largest, so that a picture has to pass all of them; "mean" lets one make up for another.
    """
    if len(losses) == 1:
        return losses[0]
    both = torch.stack(list(losses))
    return both.amax(dim=0) if join == "and" else both.mean(dim=0)


def real_loss(real_logits: Float[Tensor, "n 1"], smoothing: float = 0.0) -> Float[Tensor, "n 1"]:
    """-log sigmoid(D(x)): what the discriminator pays for real pictures.

    Args:
        real_logits: D(x).
        smoothing: How far below 1 the target probability is ([5] section 3.4): the cross entropy with 1 - smoothing.
    """
    loss = F.softplus(-real_logits)
    return loss + smoothing * real_logits if smoothing else loss


def fake_loss(fake_logits: Float[Tensor, "n 1"]) -> Float[Tensor, "n 1"]:
    """-log(1 - sigmoid(D(G(z)))): what the discriminator pays for generated pictures."""
    return F.softplus(fake_logits)


def r1_penalty(images: Float[Tensor, "n c h w"], logits: Float[Tensor, "n 1"]) -> Float[Tensor, " n"]:
    """The squared norm of the logit's gradient for each real picture ([4] equation 9), to be differentiated again.

    Args:
        images: What the discriminator saw; it must require gradients.
        logits: Its logits of `images`.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3))


def path_lengths(
    images: Float[Tensor, "n c h w"], styles: Float[Tensor, "n ws w_dim"], noise: Float[Tensor, "n c h w"]
) -> Float[Tensor, " n"]:
    """The length of Jᵀy for each picture, to be differentiated again ([1] section 3.2).

    J is the pictures' derivative by the styles. y is unit-normal noise divided by the square root of the number of
    pixels, so that lengths don't depend on the resolution; squares are averaged over the styles of a picture.

    Args:
        images: Made from `styles`, which must require gradients.
        styles: One row a layer.
        noise: Unit-normal, of the pictures' shape.
    """
    y = noise / math.sqrt(images.shape[2] * images.shape[3])
    (gradient,) = torch.autograd.grad((images * y).sum(), styles, create_graph=True)
    return gradient.square().sum(dim=2).mean(dim=1).sqrt()


# --------------------------------------------------------------------------------------------
# The learning rate, and the moving average of the generator's weights


def decay(seen: int, from_kimg: float) -> float:
    """Return the factor of the learning rate: 1 up to from_kimg, then the square root of from_kimg / kimg ([6]).

    It doesn't depend on the length of the run, so that a run can be extended.

    Args:
        seen: Number of pictures so far.
        from_kimg: Thousands of pictures after which the rate decays; 0 for never.
    """
    return min(1.0, (from_kimg * 1000 / max(seen, 1)) ** 0.5) if from_kimg else 1.0


def scale_rate(optimizer: torch.optim.Adam, factor: float) -> None:
    """Set Adam's learning rate to a multiple of its initial rate."""
    for group in optimizer.param_groups:
        rate = group["initial_lr"] * factor
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def ema_weight(batch: int, seen: int, half_life_kimg: float, rampup: float) -> float:
    """Return the weight of the old moving average in a step of `batch` pictures.

    It is 0.5^(batch / half-life), where the half-life is at most `rampup` times the pictures seen so far ([2]).
    """
    half_life = min(half_life_kimg * 1000, seen * rampup) if rampup else half_life_kimg * 1000
    return float(0.5 ** (batch / max(half_life, 1e-8)))


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, survives: float) -> None:
    """Update the moving average's parameters; buffers (the mean style, noise) are copied."""
    own: list[Tensor] = list(average.parameters())
    torch._foreach_lerp_(own, list[Tensor](network.parameters()), 1 - survives)
    torch._foreach_copy_(list[Tensor](average.buffers()), list[Tensor](network.buffers()))


# --------------------------------------------------------------------------------------------
# Means of losses and logits


class Meter:
    """Sums and counts on the device, each in one place; nothing waits for the device until they are read."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._sums: dict[str, Tensor] = {}

    def add(self, name: str, values: Tensor) -> None:
        """Add values to the sum of this name."""
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


PATH_MEAN_SURVIVES = 0.99  # [1] section 3.2


class Adversary:
    """A discriminator, what trains it, and the real pictures that it tells from made ones.

    Args:
        role: Its role among the networks; the names of a second one's measurements end in it.
        network: The discriminator.
        parameters: Those that learn.
        adam: Its optimizer.
        data_loader: Its collection.
    """

    def __init__(
        self,
        role: str,
        network: nn.Module,
        parameters: list[nn.Parameter],
        adam: torch.optim.Adam,
        data_loader: DataLoader,
    ) -> None:
        self.role, self.network, self.parameters = role, network, parameters
        self.adam, self.data_loader = adam, data_loader
        self.suffix = "" if role == "discriminator" else f"_{role}"

    def learn(self, *, learns: bool) -> None:
        """Switch the gradients of its weights on (but for frozen layers) or off."""
        for parameter in self.parameters if learns else self.network.parameters():
            parameter.requires_grad_(learns)


class Trainer:
    """Trains a generator against a discriminator, or against two of two collections, a step at a time.

    Args:
        recipe: The hyper-parameters.
        networks: What to train, on the world's device.
        data_loader: The pictures.
        world: The processes that train together.
        second: The pictures of a second discriminator.
        records: Whether a single GPU records the step's parts as CUDA graphs.
        capture: How parts are recorded; as CUDA graphs when None.
    """

    def __init__(
        self,
        recipe: Recipe,
        networks: Networks,
        data_loader: DataLoader,
        world: World,
        *,
        second: DataLoader | None = None,
        records: bool = True,
        capture: Capture | None = None,
    ) -> None:
        self.recipe, self.networks, self.world = recipe, networks, world
        self.steps = 0
        self.seen = 0
        self.batch = world.share(recipe.batch)
        path_interval = recipe.path_interval if recipe.path_weight else 0
        betas = (recipe.beta1, recipe.beta2)
        self.adam_g = make_adam(networks.generator, recipe.learning_rate, path_interval, betas)
        data_loaders = [data_loader] if second is None else [data_loader, second]
        self.adversaries = [
            self._adversary(role, network, betas, data_loader)
            for (role, network), data_loader in zip(
                networks.discriminators.items(), data_loaders, strict=True
            )
        ]
        self.augmenter = Augmenter(recipe.augment_groups if recipe.augmentation != "none" else ())
        self.controller = Controller(recipe.augment_p, recipe.augment_target, recipe.augment_kimg)
        self.real_signs = torch.zeros(2, dtype=world.sum_dtype, device=world.device)  # sum and count
        self.path_mean = torch.zeros([], device=world.device)
        self.meter = Meter(world)
        rng = torch.Generator(world.device)
        self.graphs = GraphRunner(world.device, rng, records=records and world.size == 1, capture=capture)
        self.inputs = StepInputs(rng, fixed=self.graphs.records)
        self.context = Context(recipe, world, rng, DrawnNoise(rng))

    def _adversary(
        self, role: str, network: nn.Module, betas: tuple[float, float], data_loader: DataLoader
    ) -> Adversary:
        recipe = self.recipe
        parameters = self.networks.trainable(network, recipe.freeze_d)
        network.requires_grad_(requires_grad=False)
        for parameter in parameters:
            parameter.requires_grad_()
        rate = recipe.learning_rate * recipe.discriminator_rate
        adam = make_adam(network, rate, recipe.r1_interval, betas)
        return Adversary(role, network, parameters, adam, data_loader)

    @property
    def adam_d(self) -> torch.optim.Adam:
        """The first discriminator's optimizer."""
        return self.adversaries[0].adam

    @property
    def records(self) -> bool:
        """Whether the step's parts are recorded as CUDA graphs."""
        return self.graphs.records

    # ---------------------------------------------------------------------------------------------
    # A step: [1] appendix B (training, lazy regularisation), [2] section 3 and appendix B (augmentation)

    def step(self) -> None:
        """Train all networks on one batch."""
        recipe, inputs, networks = self.recipe, self.inputs, self.networks
        warming_up = self.seen < recipe.d_warmup_kimg * 1000
        with self.graphs.stream():
            # Seed the random numbers and set the learning rates.
            inputs.seed(recipe.seed, self.steps, self.world.rank)
            for _, adam, _ in self._optimizers():
                scale_rate(adam, decay(self.seen, recipe.lr_decay_kimg))

            # Load this process' real pictures.
            position = self.seen + self.world.rank * self.batch
            device, stride = self.world.device, recipe.batch
            loaders = [adversary.data_loader for adversary in self.adversaries]
            inputs.load([loader.batch(position, self.batch, device, stride=stride) for loader in loaders])

            # Train the generator, then the discriminator on the pictures that were generated. A discriminator that is
            # new beside a trained generator is trained alone at first.
            judged = 2 * len(self.adversaries) * self.batch
            if warming_up:
                self._run("discriminator", self._train_discriminator_alone, augmented=judged)
            else:
                self._run("both", self._train_both, augmented=judged + self.batch)

            # Regularise the generator's path lengths and the discriminator's gradients (R1), every few steps.
            if recipe.path_weight and not warming_up and self.steps % recipe.path_interval == 0:
                self._run("path lengths", self._regularise_path_lengths)
            if recipe.r1_interval and self.steps % recipe.r1_interval == 0:
                self._run("r1", self._regularise_discriminator, augmented=judged // 2)

            # Update the moving average of the generator's weights.
            self.steps += 1
            self.seen += recipe.batch
            if not warming_up:
                survives = ema_weight(recipe.batch, self.seen, recipe.ema_kimg, recipe.ema_rampup)
                update_average(networks.average, networks.generator, survives)

            # Adapt the strength of augmentation to how sure the discriminator is of real pictures.
            if recipe.augmentation == "adaptive" and self.steps % recipe.augment_interval == 0:
                total, count = self.world.mean(self.real_signs).tolist()
                self.controller.adjust(total / count, recipe.batch * recipe.augment_interval)
                self.real_signs.zero_()

    def _run(self, name: str, part: Callable[[], None], augmented: int = 0) -> None:
        """Run a part that augments this many pictures; it is another part where augmentation does nothing."""
        p = self.controller.p if augmented else 0.0
        transformed = self.inputs.draw_transforms(name, augmented, self.augmenter, p)
        self.graphs.run((name, transformed), part)

    # ---------------------------------------------------------------------------------------------
    # Its parts: each accumulates gradients over portions of the batch, then updates weights

    def _train_both(self) -> None:
        fakes = self._train_generator()
        for index in range(len(self.adversaries)):
            self._train_discriminator(index, fakes)

    @torch.no_grad()
    def _generate(self) -> list[Batch]:
        """Generate a batch without training the generator."""
        fakes = []
        for n in self._portions(self.batch):
            labels = self._random_labels(n)
            fakes.append(Batch(self._synthesize(self._styles(n, labels)), labels))
        return fakes

    def _train_discriminator_alone(self) -> None:
        fakes = self._generate()
        for index in range(len(self.adversaries)):
            self._train_discriminator(index, fakes)

    def _train_generator(self) -> list[Batch]:
        """Train the generator; returns the pictures that it generated."""
        for adversary in self.adversaries:
            adversary.learn(learns=False)
        fakes = []
        for n in self._portions(self.batch):
            labels = self._random_labels(n)
            images = self._synthesize(self._styles(n, labels))
            shown = self._augment(images)
            loss = join_losses(
                [generator_loss(self._logits(each.network, shown, labels)) for each in self.adversaries],
                self.recipe.join,
            )
            torch.autograd.backward(loss.sum() / self.batch)
            self.meter.add("loss_g", loss)
            fakes.append(Batch(images.detach(), labels))
        self._update_weights(self.adam_g)
        for adversary in self.adversaries:
            adversary.learn(learns=True)
        return fakes

    def _train_discriminator(self, index: int, fakes: list[Batch]) -> None:
        """Train a discriminator on generated and real pictures."""
        adversary = self.adversaries[index]
        network, suffix = adversary.network, adversary.suffix
        for fake in fakes:
            logits = self._logits(network, self._augment(fake.images), fake.labels)
            loss = fake_loss(logits)
            torch.autograd.backward(loss.sum() / self.batch)
            self.meter.add(f"logit_fake{suffix}", logits)
            self.meter.add(f"loss_fake{suffix}", loss)
        for real in self._split(self.inputs.reals[index]):
            logits = self._logits(network, self._augment(real.images), real.labels)
            loss = real_loss(logits, self.recipe.label_smoothing)
            torch.autograd.backward(loss.sum() / self.batch)
            self.meter.add(f"logit_real{suffix}", logits)
            self.meter.add(f"sign_real{suffix}", logits.sign())
            self.meter.add(f"loss_real{suffix}", loss)
            signs = logits.detach().sign()
            self.real_signs += torch.stack([signs.sum(), signs.new_full((), len(signs))])
        self._update_weights(adversary.adam)

    def _regularise_discriminator(self) -> None:
        """R1 on what the discriminator sees: augmented real pictures."""
        weight = self.recipe.gamma / 2 * self.recipe.r1_interval
        for adversary, reals in zip(self.adversaries, self.inputs.reals, strict=True):
            for real in self._split(reals):
                images = self._augment(real.images).detach().requires_grad_()
                penalty = r1_penalty(images, self._logits(adversary.network, images, real.labels))
                torch.autograd.backward(penalty.sum() * (weight / self.batch))
                self.meter.add(f"r1{adversary.suffix}", penalty)
            self._update_weights(adversary.adam)

    def _regularise_path_lengths(self) -> None:
        """Pull the lengths of the generator's paths toward their moving mean ([1] section 3.2)."""
        recipe, rng = self.recipe, self.inputs.rng
        total = max(1, self.batch // recipe.path_shrink)
        weight = recipe.path_weight * recipe.path_interval / total
        measured = []
        for n in self._portions(total):
            styles = self._styles(n, self._random_labels(n))
            images = self._synthesize(styles)
            noise = torch.randn(images.shape, generator=rng, device=images.device)
            lengths = path_lengths(images, styles, noise)
            mean = torch.lerp(lengths.detach().mean(), self.path_mean, PATH_MEAN_SURVIVES)
            penalty = (lengths - mean).square()
            torch.autograd.backward(penalty.sum() * weight)
            self.meter.add("path_length", lengths)
            measured.append(lengths.detach())
        mean = self.world.mean(torch.cat(measured).mean())
        self.path_mean.copy_(torch.lerp(mean, self.path_mean, PATH_MEAN_SURVIVES))
        self._update_weights(self.adam_g)

    # ---------------------------------------------------------------------------------------------
    # What the parts are made of

    def _portions(self, total: int) -> Iterator[int]:
        """Sizes of the portions that a batch of this size is computed in."""
        for start in range(0, total, self.recipe.micro_batch):
            yield min(self.recipe.micro_batch, total - start)

    def _split(self, batch: Batch) -> Iterator[Batch]:
        """The batch in portions."""
        start = 0
        for n in self._portions(len(batch.images)):
            labels = None if batch.labels is None else batch.labels[start : start + n]
            yield Batch(batch.images[start : start + n], labels)
            start += n

    def _random_labels(self, n: int) -> Tensor | None:
        return self.adversaries[0].data_loader.random_labels(n, self.inputs.rng)

    def _styles(self, n: int, labels: Tensor | None) -> Tensor:
        return self.networks.styles(n, labels, self.context)

    def _synthesize(self, styles: Tensor) -> Tensor:
        return self.networks.synthesize(styles, self.context)

    def _augment(self, images: Tensor) -> Tensor:
        return self.augmenter(images, self.inputs.take_transforms(len(images)), self.inputs.rng)

    def _logits(self, discriminator: nn.Module, images: Tensor, labels: Tensor | None) -> Tensor:
        return self.networks.logits(discriminator, images, labels, self.context)

    def _update_weights(self, adam: torch.optim.Adam) -> None:
        """Average gradients over all processes, take Adam's step and drop the gradients."""
        self.world.average_gradients(
            parameter for group in adam.param_groups for parameter in group["params"]
        )
        adam.step()
        adam.zero_grad(set_to_none=True)

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
            "signs": self.world.mean(self.real_signs.clone()).tolist(),
        }

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Go on from what `tensors` and `facts` gave."""
        self.graphs.forget()  # Adam's memory will have other addresses
        own = self.networks.tensors()
        with torch.no_grad():
            for name, tensor in own.items():
                tensor.copy_(tensors[name])
        self.restore_optimizers(tensors)
        self.steps, self.seen = int(facts["steps"]), int(facts["seen"])
        self.controller.p = float(facts["augment_p"])
        self.real_signs.copy_(torch.tensor(facts["signs"], dtype=torch.float64))

    def restore_optimizers(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over the optimizers' moments, and the mean path length."""
        for role, adam, network in self._optimizers():
            mine = {
                name.removeprefix(f"{role}/"): tensor
                for name, tensor in tensors.items()
                if name.startswith(role)
            }
            restore_adam(adam, _names(network), mine)
        self.path_mean.copy_(tensors["path_mean"])

    def is_finite(self) -> bool:
        """Whether all losses since the last reading, and all weights, are numbers; it waits for the device."""
        weights = [weight for _, _, network in self._optimizers() for weight in network.parameters()]
        norms = torch._foreach_norm([weight.detach() for weight in weights])
        return self.meter.is_finite() and bool(torch.stack(list(norms)).isfinite().all())

    def _optimizers(self) -> tuple[tuple[str, torch.optim.Adam, nn.Module], ...]:
        names = {"discriminator": "adam_d", "second": "adam_second"}
        return (
            ("adam_g", self.adam_g, self.networks.generator),
            *((names[each.role], each.adam, each.network) for each in self.adversaries),
        )


def _names(network: nn.Module) -> dict[Tensor, str]:
    return {parameter: name for name, parameter in network.named_parameters()}
