"""Projects pictures into a generator: finds the latents or styles, and noise images, whose picture is most similar.

References:
    [1] Karras et al. 2020, Analyzing and Improving the Image Quality of StyleGAN, arXiv:1912.04958, appendix D (the
        schedule, the noise added to styles early on, the regularisation of noise images).
    [2] Abdal et al. 2019, Image2StyleGAN, arXiv:1904.03189 (W+: a style of its own for each layer).
    [3] Zhu et al. 2020, Improved StyleGAN Embedding, arXiv:2012.09036, section 3 (styles in whitened coordinates).

A search by gradients alone keeps the mouth or hat that it starts with. So it starts where a search without them ends
(fit.py), which looks further around, and takes small steps from there, without noise on the styles.

Symbols: z latents, w styles. The pictures of a batch are optimised independently; batches only save time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from metagan.errors import OptionError
from metagan.lab.axes import Axes, find_axes
from metagan.lab.fit import Aim, fit
from metagan.lab.perceptual import PerceptualDistance, as_rgb
from metagan.lab.styles import (
    FittedNoise,
    Space,
    Styles,
    StylesInfo,
    fingerprint,
    map_latents,
    stored_noise,
    styles_shape,
)
from metagan.lab.targets import Target
from metagan.networks.generator import Generator, Noise
from metagan.networks.loading.forms import prepare_synthesis
from metagan.sampling.latents import chosen_label
from metagan.sampling.levels import to_uint8
from metagan.sampling.sampler import exact_convolutions
from metagan.values import Label, text_of

STATISTICS: Final = 4096  # latents for the mean style and its spread
CANDIDATES: Final = 600  # pictures among which the nearest are taken for a start
AXES: Final = 32  # on which styles are fitted for a start in w or w+
RANGES: Final = 3  # of layers that have a style each there, in w+
TRIED: Final = 20  # nearest pictures from which the fits begin
SHRUNK: Final = 0.6  # half of the pictures are drawn so much nearer to the mean
LONGEST_PX: Final = 128  # larger pictures are made smaller for the fits
FAR_RATE: Final = 0.1  # the default rate, and the largest from a start that is near
RATE_OF_ERROR: Final = (
    0.4  # the rate from there, by the root of the mean square error of values within [-1, 1]
)
RAMP_UP, RAMP_DOWN, NOISY = 0.05, 0.25, 0.75  # shares of all steps, [1] appendix D
STYLE_NOISE: Final = (
    0.01  # of the whole spread of styles, at the beginning; [1] has 0.05, and three times the steps
)
NOISE_WEIGHT: Final = 1e5  # of the noise images' regularisation
NOISE_RATE: Final = 0.1
LEAST_DEVIATION: Final = 0.3  # of the largest: directions that styles never take are still open
PIXEL_WEIGHT: Final = 1.0
PERCEPTUAL_WEIGHT: Final = 0.5
PRIOR_WEIGHT: Final = 0.02  # keeps latents at the length that a generator is used to
SCALES: Final = 4
FILM_FRAMES: Final = 90
COARSE_PX: Final = 16


@dataclass(frozen=True)
class ProjectOptions:
    """How to search for a picture.

    Args:
        space: "w+" a style a layer, "w" one for all of them, "z" latents; "auto" is w+ where a generator has a mapping
            network, else z.
        steps: Number of steps.
        start: "nearest", styles fitted without gradients from the most similar of 601 pictures (in z, the
            most similar of 600), or "mean", the mean style (zero latents in z).
        learning_rate: Largest change of styles in a step, in standard deviations; None for 0.1 from the mean and in z,
            and from elsewhere less, the nearer the start is.
        noise: "fit" searches for noise images as well, "const" keeps the generator's own.
        label: What a conditional generator is asked for: a class, or its label's numbers.
        seed: Random seed.
    """

    space: Space | Literal["auto"] = "auto"
    steps: int = 400
    start: Literal["mean", "nearest"] = "nearest"
    learning_rate: float | None = None
    noise: Literal["fit", "const"] = "fit"
    label: Label | None = None
    seed: int = 0


@dataclass
class Search:
    """The state of the search for a picture after some steps: everything that a resumed search needs.

    Args:
        step: Number of finished steps.
        rate: Largest change of styles in a step, in standard deviations.
        code: The optimised latents [z_dim], or coordinates of styles [1 or num_ws, w_dim].
        noise: Noise images, [h, w] each.
        moments: Adam's two moments of the code, then of each noise image.
        path: The styles at some of the steps, for the film, [num_ws, w_dim] each.
    """

    step: int
    rate: float
    code: Tensor
    noise: list[Tensor]
    moments: list[Tensor]
    path: list[Tensor] = field(default_factory=list)


@dataclass(frozen=True)
class Projection:
    """A picture as it was found.

    Args:
        styles: The styles that draw it.
        picture: The generator's picture, [height, width, ch].
        target: The target, [height, width, ch].
        distance: Distance between the two: pixels at several scales and, if used, LPIPS.
        psnr_db: Peak signal-to-noise ratio between the two, outside the padding.
        path: Styles at some of the steps, [num_ws, w_dim] each; the last are the result's.
    """

    styles: Styles
    picture: NDArray[np.uint8]
    target: NDArray[np.uint8]
    distance: float
    psnr_db: float
    path: tuple[Tensor, ...]


class Distance:
    """The distance of pictures to targets: mean squares at several scales, and LPIPS.

    Args:
        targets: The targets, each [ch, height, width].
        perceptual: LPIPS, or None for pixels only.
        device: The generator's device.
    """

    def __init__(
        self, targets: Sequence[Target], perceptual: PerceptualDistance | None, device: torch.device
    ) -> None:
        self.pixels = torch.stack([target.pixels for target in targets]).to(device)
        self.masks = torch.stack([target.mask for target in targets]).to(device)
        self._perceptual = None if perceptual is None else perceptual.to(device)
        self._is_whole = bool((self.masks == 1).all())
        with torch.inference_mode():
            self._features = self._target_features(self.pixels) if self._is_whole else []
        self._features = [
            features.clone() for features in self._features
        ]  # usable where gradients are wanted

    def __call__(self, images: Float[Tensor, "n ch h w"]) -> Float[Tensor, " n"]:
        """Return each picture's distance to its target, 0 if they are equal; padding is ignored."""
        wanted = self.pixels
        # Values beyond the target's white or black are clipped in picture files, so they are no difference.
        images = torch.where((images * wanted.sign() > 1) & (wanted.abs() >= 1), wanted, images)
        if not self._is_whole:  # in the padding both are the generator's picture, without a gradient
            wanted = torch.where(self.masks > 0, self.pixels, images.detach())
            images = torch.where(self.masks > 0, images, images.detach())
        share = self.masks.mean(dim=(1, 2, 3))
        distance = PIXEL_WEIGHT * self._pixel_distance(images - wanted) / share
        if self._perceptual is None:
            return distance
        features = self._features or self._target_features(wanted)
        return distance + PERCEPTUAL_WEIGHT * self._perceptual.compare(
            self._perceptual.features(as_rgb(images)), features
        )

    def psnr_db(self, images: Float[Tensor, "n ch h w"]) -> list[float]:
        """Return each picture's peak signal-to-noise ratio after rounding to 8 bits, at most 99."""
        scaled = (images * 127.5 + 128).clamp(0, 255).floor()
        wanted = (self.pixels * 127.5 + 127.5).round().clamp(0, 255)
        square = ((scaled - wanted).square() * self.masks).sum(dim=(1, 2, 3))
        mean = square / (self.masks.sum(dim=(1, 2, 3)) * images.shape[1])
        return [min(99.0, 10 * math.log10(255**2 / max(float(value), 1e-9))) for value in mean]

    def _target_features(self, wanted: Tensor) -> list[Tensor]:
        if self._perceptual is None:
            return []
        with torch.no_grad():
            return self._perceptual.features(as_rgb(wanted))

    def _pixel_distance(self, difference: Tensor) -> Tensor:
        total = difference.new_zeros(len(difference))
        for scale in range(SCALES):
            total = total + difference.square().mean(dim=(1, 2, 3))
            if min(difference.shape[2:]) < 2 or scale == SCALES - 1:
                break
            difference = F.avg_pool2d(difference, 2)
        return total


class Projector:
    """Searches for pictures in one generator.

    Args:
        generator: Any generator, on its device.
        options: How to search.
        perceptual: LPIPS; None for pixels only.

    Raises:
        OptionError: If the generator has no such space, or a class is missing or out of range.
    """

    def __init__(
        self, generator: Generator, options: ProjectOptions, perceptual: PerceptualDistance | None = None
    ) -> None:
        self.generator = generator
        self.options = options = replace(options, label=chosen_label(generator, options.label))
        self.perceptual = perceptual
        self.device = next(generator.parameters()).device
        self.num_ws, self.w_dim = styles_shape(generator)
        self.fingerprint = fingerprint(generator)
        self.space = _space(generator, options.space)
        self._own_noise = stored_noise(generator) if options.noise == "fit" else []
        if self.space == "z":
            self._mean = torch.zeros(generator.z_dim, device=self.device)
            self._basis = torch.eye(generator.z_dim, device=self.device)
        else:
            self._mean, self._basis = style_axes(generator, options.label, options.seed)

    def begin(self, targets: Sequence[Target], starts: Sequence[Styles | None] = ()) -> list[Search]:
        """Return the start of the search for each target.

        Args:
            targets: The targets.
            starts: Styles to start from, one per target; None for the option's start.

        Raises:
            OptionError: If latents are searched, and the styles to start from have none.
        """
        starts = list(starts) or [None] * len(targets)
        found: Iterator[Tensor] = iter(())
        if self.options.start == "nearest":
            wanted = [target for target, start in zip(targets, starts, strict=True) if start is None]
            found = iter(self._nearest(wanted) if self.space == "z" else self._fitted(wanted))
        searches = []
        for target, start in zip(targets, starts, strict=True):
            noise = [_unit_normal(image.clone(), _source(self.options.seed, index))
                     for index, image in enumerate(self._own_noise)]  # fmt: skip
            if start is not None:
                code = self._code_of(start)
                if start.noise and self._own_noise:
                    noise = [image.clone().to(self.device) for image in start.noise]
            elif self.options.start == "nearest":
                code = next(found)
            else:
                code = (
                    torch.zeros(self._rows, self.w_dim)
                    if self.space != "z"
                    else torch.zeros(self.generator.z_dim)
                )
            code = code.clone().to(self.device)
            moments = [torch.zeros_like(x) for x in (code, *noise) for _ in range(2)]
            searches.append(Search(0, self._rate(target, code, noise), code, noise, moments))
        return searches

    def run(
        self,
        targets: Sequence[Target],
        searches: Sequence[Search],
        advance: Callable[[int], None] = lambda _: None,
        keep: Callable[[Sequence[Search]], None] = lambda _: None,
    ) -> list[Projection]:
        """Search to the end.

        Args:
            targets: The targets.
            searches: Their searches, all at the same step; changed in place.
            advance: Called with the number of further finished steps.
            keep: Called with the searches after every step, to store them.

        Raises:
            OptionError: If a picture's distance isn't finite at the end: steps were too large, or the start too far.
        """
        distance = Distance(targets, self.perceptual, self.device)
        with _frozen(self.generator), exact_convolutions():
            while searches[0].step < self.options.steps:
                self._step(distance, searches)
                advance(len(searches))
                keep(searches)
            return self._finish(targets, distance, searches)

    @property
    def _explores(self) -> bool:
        """Whether a search begins anywhere: from fitted styles, large steps and noise would only lead away."""
        return self.options.start == "mean" or self.space == "z"

    def _rate(self, target: Target, code: Tensor, noise: Sequence[Tensor]) -> float:
        """Return the largest change of styles in a step: from a near start, large ones would lead away at once."""
        if self.options.learning_rate is not None:
            return self.options.learning_rate
        if self._explores:
            return FAR_RATE
        fitted = FittedNoise([image[None, None] for image in noise]) if noise else Noise("const")
        with torch.no_grad():
            picture = (
                self.generator.synthesize(self._styles(code[None]), fitted)[0].float().cpu().clamp(-1, 1)
            )
        square = ((picture - target.pixels).square() * target.mask).sum() / (
            target.mask.sum().clamp(min=1) * len(picture)
        )
        return min(FAR_RATE, RATE_OF_ERROR * math.sqrt(float(square)))

    @property
    def _rows(self) -> int:
        return self.num_ws if self.space == "w+" else 1

    def _step(self, distance: Distance, searches: Sequence[Search]) -> None:
        """Take one step of Adam for every picture, [1] appendix D."""
        step, steps = searches[0].step, self.options.steps
        done = step / steps
        frames = min(FILM_FRAMES, steps)
        code = torch.stack([search.code for search in searches]).requires_grad_()
        if step * frames // steps != (step - 1) * frames // steps:
            for search, ws in zip(searches, self._styles(code).detach().cpu(), strict=True):
                search.path.append(ws.clone())
        noise = [torch.stack(images)[:, None].requires_grad_() for images in
                 zip(*(search.noise for search in searches), strict=True)]  # fmt: skip

        # Noise on the styles explores at first; it fades out after three quarters of the steps.
        strength = 0.0
        if self._explores:
            strength = STYLE_NOISE * math.sqrt(code.shape[-1]) * max(0.0, 1 - done / NOISY) ** 2
        shake = torch.randn(code.shape[1:], generator=_source(self.options.seed, 1_000_000 + step)).to(code)
        images = self.generator.synthesize(
            self._styles(code + strength * shake), FittedNoise(noise) if noise else Noise("const")
        )
        loss = distance(images) + NOISE_WEIGHT * _self_likeness(noise, len(code))
        if self.space == "z":
            loss = loss + PRIOR_WEIGHT * (code.square().mean(dim=1) - 1).square()
        gradients = torch.autograd.grad(loss.sum(), [code, *noise])

        rate = min(1.0, done / RAMP_UP + 1 / (RAMP_UP * steps)) * _ramp_down(done)
        for index, search in enumerate(searches):
            values = [search.code, *search.noise]
            for which, value in enumerate(values):
                gradient = gradients[which][index] if which == 0 else gradients[which][index, 0]
                size = search.rate if which == 0 else min(NOISE_RATE, 2 * search.rate)
                _adam(value, gradient, search.moments[2 * which : 2 * which + 2], step + 1, size * rate)
            for image in search.noise:
                _unit_normal(image)
            search.step += 1

    @torch.no_grad()
    def _finish(
        self, targets: Sequence[Target], distance: Distance, searches: Sequence[Search]
    ) -> list[Projection]:
        code = torch.stack([search.code for search in searches])
        ws = self._styles(code)
        noise = [torch.stack(images)[:, None] for images in
                 zip(*(search.noise for search in searches), strict=True)]  # fmt: skip
        images = self.generator.synthesize(ws, FittedNoise(noise) if noise else Noise("const"))
        far, ratios = distance(images), distance.psnr_db(images)
        pictures, wanted = to_uint8(images), to_uint8(distance.pixels)
        found = []
        for index, (target, search) in enumerate(zip(targets, searches, strict=True)):
            if not math.isfinite(float(far[index])):
                msg = f"{target.title}: the search ended in numbers that aren't finite"
                raise OptionError(msg, fix="give a lower --learning-rate, or another --start")
            info = StylesInfo(
                generator=self.fingerprint,
                architecture=self.generator.architecture,
                resolution=self.generator.resolution,
                space=self.space,
                title=text_of(target.title),
                psnr_db=round(ratios[index], 2),
                distance=float(far[index]),
            )
            z = search.code.cpu().clone() if self.space == "z" else None  # there, codes are latents
            styles = Styles(info, ws[index].cpu(), z, tuple(image.cpu() for image in search.noise))
            path = (*search.path, ws[index].cpu())
            found.append(
                Projection(styles, pictures[index], wanted[index], float(far[index]), ratios[index], path)
            )
        return found

    # ----------------------------------------------------------------------------------------
    # Codes, styles and where they begin

    def _latents(self, count: int, seed: int) -> Tensor:
        return _latents(self.generator, count, seed).to(self.device)

    def _map(self, z: Tensor) -> Tensor:
        return map_latents(self.generator, z, self.options.label)

    def _styles(self, code: Tensor) -> Tensor:
        """Convert a batch of codes to styles [n, num_ws, w_dim]."""
        if self.space == "z":
            return self._map(code)
        return (self._mean + code @ self._basis).expand(-1, self.num_ws, -1)

    def _coordinates(self, ws: Tensor) -> Tensor:
        """Convert styles [rows, w_dim] to codes, the inverse of `_styles`."""
        lengths = self._basis.square().sum(dim=1)
        return (ws.to(self.device) - self._mean) @ self._basis.t() / lengths

    def _code_of(self, start: Styles) -> Tensor:
        if self.space == "z":
            if start.z is None:
                msg = f"--start: {start.info.title or 'the file'} was found in {start.info.space}, and has no latents"
                raise OptionError(msg, fix="give one that was found with --space z, or search w+")
            return start.z
        return self._coordinates(start.ws if self.space == "w+" else start.ws.mean(dim=0, keepdim=True))

    @torch.no_grad()
    def _fitted(self, targets: Sequence[Target]) -> list[Tensor]:
        """Return for each target the code of styles that were fitted to it without gradients."""
        if not targets:
            return []
        found = find_axes(self.generator, min(AXES, self.w_dim), self.options.label)
        axes = Axes(found.centre.cpu(), found.vectors.cpu())
        w = axes.code(self._map(self._latents(CANDIDATES // 2, self.options.seed + 1))[:, 0].cpu())
        codes = torch.cat([torch.zeros_like(w[:1]), w, SHRUNK * w])
        draw = self._small_drawing()
        ranges = RANGES if self.space == "w+" else 1
        starts = []
        for target in targets:
            pixels, mask = (_small(image[None])[0] for image in (target.pixels, target.mask))
            aim = Aim(draw, axes, self.num_ws, pixels, mask)
            ws = axes.styles(fit(aim, codes, ranges, TRIED).code[None], self.num_ws)[0]
            starts.append(self._coordinates(ws[: self._rows]))
        return starts

    def _small_drawing(self) -> Callable[[Tensor], Tensor]:
        """Return what draws styles in small pictures, in the fastest form; styles and pictures are on the CPU."""
        synthesis = prepare_synthesis(self.generator, torch.float32)
        batch = _batch(self.generator)

        def draw(ws: Tensor) -> Tensor:
            with exact_convolutions(), torch.inference_mode():
                pictures = [
                    _small(synthesis.synthesize(part.to(self.device), Noise("const")).float()).cpu()
                    for part in torch.split(ws, batch)
                ]
            return torch.cat(pictures)

        return draw

    @torch.inference_mode()
    def _nearest(self, targets: Sequence[Target]) -> list[Tensor]:
        """Return for each target the latents of the most similar of many pictures, by their pixels at nearly 16x16."""
        wanted, masks = (torch.stack([getattr(t, name) for t in targets]).to(self.device)
                         for name in ("pixels", "mask"))  # fmt: skip
        weights = _coarse(masks)
        wanted = _coarse(wanted * masks) / weights.clamp(min=1e-6)
        best = [(math.inf, self._latents(1, self.options.seed)[0])] * len(targets)
        batch = _batch(self.generator)
        for start in range(0, CANDIDATES, batch):
            z = self._latents(batch, self.options.seed + 1 + start)
            images = _coarse(self.generator.synthesize(self._map(z)))
            apart = ((images[None] - wanted[:, None]).square() * weights[:, None]).mean(dim=(2, 3, 4))
            for index, row in enumerate(apart):
                at = int(row.argmin())
                if float(row[at]) < best[index][0]:
                    best[index] = (float(row[at]), z[at])
        return [z.clone() for _, z in best]


def project(
    generator: Generator,
    targets: Sequence[Target],
    options: ProjectOptions | None = None,
    *,
    perceptual: PerceptualDistance | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> list[Projection]:
    """Project pictures into a generator, [1] appendix D and [2].

    Args:
        generator: Any generator, on its device.
        targets: Pictures from `read_target`.
        options: How to search; None for the defaults.
        perceptual: LPIPS from `load_perceptual`; None for pixels only.
        advance: Called with the number of further finished steps.

    Raises:
        OptionError: If the generator has no such space, or a class is missing or out of range.
    """
    projector = Projector(generator, options or ProjectOptions(), perceptual)
    return projector.run(targets, projector.begin(targets), advance)


@torch.no_grad()
def style_axes(
    generator: Generator, label: Label | None, seed: int = 0
) -> tuple[Float[Tensor, " w_dim"], Float[Tensor, "w_dim w_dim"]]:
    """Return the mean style, and the principal directions of styles, each as long as the deviation along it.

    In these coordinates styles are unit-normal ([3] section 3), so steps have the same size in all of them.

    Args:
        generator: A generator with a mapping network.
        label: What a conditional generator is asked for.
        seed: Of the latents that are mapped.
    """
    device = next(generator.parameters()).device
    w = map_latents(generator, _latents(generator, STATISTICS, seed).to(device), label)[:, 0]
    mean = w.mean(dim=0)
    _, deviations, directions = torch.linalg.svd((w - mean).double(), full_matrices=False)
    deviations = deviations / math.sqrt(STATISTICS)
    least = max(float(deviations[0]) * LEAST_DEVIATION, 1e-8)
    return mean, (directions * deviations.clamp(min=least)[:, None]).float()


def _small(images: Float[Tensor, "n ch h w"]) -> Float[Tensor, "n ch h2 w2"]:
    factor = math.ceil(max(images.shape[2:]) / LONGEST_PX)
    return F.avg_pool2d(images, factor) if factor > 1 else images


def _batch(generator: Generator) -> int:
    return max(1, min(32, 2**19 // generator.size.pixels))


def _latents(generator: Generator, count: int, seed: int) -> Tensor:
    return torch.from_numpy(np.random.RandomState(seed % 2**32).randn(count, generator.z_dim)).float()


def _space(generator: Generator, asked: Space | Literal["auto"]) -> Space:
    has_mapping = hasattr(generator, "mapping")
    if asked == "auto":
        return "w+" if has_mapping else "z"
    if asked != "z" and not has_mapping:
        msg = f"--space {asked}: this architecture ({generator.architecture}) has no mapping network"
        raise OptionError(f"{msg}, so that there are no styles apart from its latents", fix="use --space z")
    return asked


def _source(seed: int, number: int) -> torch.Generator:
    """Return a random number generator that is the same for each seed and number."""
    state = np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state) % 2**63)


def _unit_normal(image: Tensor, source: torch.Generator | None = None) -> Tensor:
    """Give a noise image mean 0 and deviation 1, in place; a flat one is drawn anew if there is a source."""
    image.sub_(image.mean())
    if source is not None and not image.any():
        image.copy_(torch.randn(image.shape, generator=source))
    return image.mul_(image.square().mean().clamp(min=1e-16).rsqrt())


def _ramp_down(done: float) -> float:
    return 0.5 - 0.5 * math.cos(math.pi * min(1.0, (1 - done) / RAMP_DOWN))


def _adam(value: Tensor, gradient: Tensor, moments: list[Tensor], step: int, rate: float) -> None:
    """Take one step of Adam (arXiv:1412.6980, algorithm 1), in place."""
    first, second = moments
    first.mul_(0.9).add_(gradient, alpha=0.1)
    second.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
    scaled = (second / (1 - 0.999**step)).sqrt_().add_(1e-8)
    value.sub_(first / scaled, alpha=rate / (1 - 0.9**step))


def _self_likeness(noise: Sequence[Tensor], batch: int) -> Tensor:
    """Return the correlation of noise images [n, 1, h, w] with shifted ones at all scales, [1] appendix D."""
    total = torch.zeros(batch, device=noise[0].device if noise else None)
    for image in noise:
        scaled = image
        while True:
            for axis in (2, 3):
                total = total + (scaled * scaled.roll(1, dims=axis)).mean(dim=(1, 2, 3)).square()
            if max(scaled.shape[2:]) <= 8 or min(scaled.shape[2:]) < 2:
                break
            scaled = F.avg_pool2d(scaled, 2) * 2  # sums of four by two: variance stays one
    return total


def _coarse(images: Tensor) -> Tensor:
    height, width = (min(COARSE_PX, side) for side in images.shape[-2:])
    return F.adaptive_avg_pool2d(images, (height, width))


@contextmanager
def _frozen(generator: Generator) -> Iterator[None]:
    """Turn off the gradients of the generator's own tensors meanwhile, which saves a third of the work."""
    trained = [parameter for parameter in generator.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
