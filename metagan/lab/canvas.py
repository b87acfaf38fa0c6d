"""What a painting is made of: numbers that a network draws, and that can be changed step by step.

References:
    [1] Esser et al. 2021, arXiv:2012.09841, section 3.1 (codes; gradients pass straight through the quantisation).
    [2] Crowson et al. 2022, VQGAN-CLIP, arXiv:2204.08583 (features are optimised, within the codebook's range).
    [3] Zhu et al. 2020, arXiv:2012.09036, section 3 (styles in whitened coordinates).
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageOps
from torch import Tensor, nn

from metagan.datasets.decode import decode_picture, to_rgb
from metagan.datasets.store import UnreadableError
from metagan.errors import DatasetError, OptionError, Problem
from metagan.fetch.transfer import Transfer
from metagan.files import read_bytes
from metagan.lab.perceptual import as_rgb
from metagan.lab.project import style_axes
from metagan.lab.styles import (
    Styles,
    StylesInfo,
    fingerprint,
    map_latents,
    read_styles,
    require_same_generator,
    styles_shape,
)
from metagan.networks.generator import Generator
from metagan.networks.vqgan import VQGAN, load_vqgan, recompute
from metagan.sampling.device import choose_device
from metagan.sampling.latents import chosen_label, latents
from metagan.sampling.target import find_target, open_sampler
from metagan.values import InvalidValueError, Label, Size, text_of

WHITE: Final = (255, 255, 255)
MOST_PX: Final = 4096  # of a side
CODE_RANGE: Final = 3.0  # standard deviations of styles
START_PSI: Final = 0.7
PROBES: Final = (4, 8)  # codes on the sides of the pictures on which memory is measured
DEFAULT_SIZE: Final = "512"


class Canvas(ABC):
    """Numbers that a network draws as one picture.

    Attributes:
        name: The network's name for people.
        fingerprint: Hash of the network's weights.
        height: Of its picture, in pixels.
        width: Of its picture, in pixels.
        variant: What else decides its pictures.
        learning_rate: A step size that suits its numbers.
    """

    name: str
    fingerprint: str
    height: int
    width: int
    variant: str = ""
    learning_rate: float
    device: torch.device

    @abstractmethod
    def draw(self, code: Tensor, *, checkpointing: bool = False) -> Float[Tensor, "1 3 h w"]:
        """Draw a picture nominally within [-1, 1], with gradients to its numbers.

        Args:
            code: The numbers.
            checkpointing: Whether to save memory by computing layers again in the backward pass.
        """

    @abstractmethod
    def limit(self, code: Tensor) -> None:
        """Bring numbers back into the range in which the network draws well, in place."""

    @abstractmethod
    def random_start(self, seed: int) -> Tensor:
        """Return the numbers that a painting begins with where no picture is given."""

    @abstractmethod
    def start_from(self, path: Path) -> Tensor:
        """Return the numbers of a file to begin with.

        Raises:
            MetaganError: If the file can't be read, or doesn't fit the network.
        """

    @abstractmethod
    def require(self, path: Path) -> None:
        """Check a file that is to be begun with.

        Raises:
            MetaganError: If it can't be read, or doesn't fit the network.
        """

    @abstractmethod
    def network(self) -> nn.Module:
        """Return what draws."""

    def weights_bytes(self) -> int:
        """Return the bytes of the network's weights."""
        return sum(parameter.nbytes for parameter in self.network().parameters())

    def drawing_bytes(self, *, checkpointing: bool) -> int:
        """Return about how many bytes drawing a picture with gradients takes, beside the weights."""
        code = self.random_start(0).requires_grad_()
        return saved_bytes(lambda: self.draw(code, checkpointing=checkpointing), self.network())


def saved_bytes(work: Callable[[], object], network: nn.Module | None = None) -> int:
    """Return how many bytes some work keeps for its backward pass; the work is done once.

    Args:
        work: The work.
        network: What does it; its weights don't count.
    """
    weights = {} if network is None else dict.fromkeys(
        tensor.untyped_storage().data_ptr() for tensor in (*network.parameters(), *network.buffers())
    )  # fmt: skip
    seen: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        kept = work()  # held until all of it has been counted, so that no address is used twice
    del kept
    return sum(seen.values())


def read_start(path: Path, height: int, width: int) -> Float[Tensor, "1 3 h w"]:
    """Read a picture file to begin with: its middle, at a size, within [-1, 1].

    Raises:
        DatasetError: If it is damaged, not a picture, or so large that decoding could exhaust the memory.
    """
    try:
        image = to_rgb(decode_picture(read_bytes(path)), WHITE)
    except UnreadableError as error:
        raise DatasetError(error, where=path, fix="save it anew as PNG or JPEG, or leave it out") from error
    fitted = ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.asarray(fitted).astype(np.float32).transpose(2, 0, 1) / 127.5 - 1)[None]


class VQGANCanvas(Canvas):
    """The features of a VQGAN's picture, [1, code_dim, h, w], quantised when they are drawn, [1] and [2].

    Args:
        vqgan: The network, on its device.
        height: Of the picture in pixels; made smaller to a multiple of the network's factor.
        width: Of the picture in pixels.
        name: The network's name for people.

    Raises:
        OptionError: If the size is out of range.
    """

    learning_rate = 0.1

    def __init__(self, vqgan: VQGAN, height: int, width: int, name: str = "VQGAN") -> None:
        factor = vqgan.config.factor
        if not 2 * factor <= min(height, width) <= max(height, width) <= MOST_PX:
            raise OptionError(
                f"want sides from {2 * factor} to {MOST_PX} pixels, got {width}x{height}",
                where="--size",
                fix="give another size",
            )
        self.vqgan, self.name = vqgan, name
        self.rows, self.columns = height // factor, width // factor
        self.height, self.width = self.rows * factor, self.columns * factor
        self.device = vqgan.codebook.device
        self.fingerprint = fingerprint_of(vqgan)
        self._least = vqgan.codebook.amin(dim=0).view(1, -1, 1, 1)
        self._most = vqgan.codebook.amax(dim=0).view(1, -1, 1, 1)

    def draw(self, code: Tensor, *, checkpointing: bool = False) -> Float[Tensor, "1 3 h w"]:
        """Quantise the features and decode them; gradients pass the quantisation as if it weren't there, [1]."""
        with torch.no_grad():
            quantised = self.vqgan.look_up(self.vqgan.nearest(code))
        return self.vqgan.decode(straight_through(code, quantised), recompute if checkpointing else None)

    @torch.no_grad()
    def limit(self, code: Tensor) -> None:
        """Clamp each feature to its range in the codebook."""
        code.copy_(torch.minimum(torch.maximum(code, self._least), self._most))

    def random_start(self, seed: int) -> Tensor:
        """Return codes drawn at random, one for each place."""
        rng = torch.Generator().manual_seed(seed)
        codes = torch.randint(self.vqgan.config.codes, (1, self.rows, self.columns), generator=rng)
        return self.vqgan.look_up(codes.to(self.device)).detach().clone()

    @torch.no_grad()
    def start_from(self, path: Path) -> Tensor:
        """Return the codes of a picture."""
        picture = read_start(path, self.height, self.width).to(self.device)
        return self.vqgan.look_up(self.vqgan.choose(self.vqgan.encode(picture))).clone()

    def require(self, path: Path) -> None:
        """Check that a file is a picture."""
        read_start(path, self.height, self.width)

    def network(self) -> nn.Module:
        """Return what draws."""
        return self.vqgan

    def drawing_bytes(self, *, checkpointing: bool) -> int:
        """Measure it on two small pictures; it grows with the area, and in attention with the area's square."""
        area = self.rows * self.columns
        if area <= PROBES[1] ** 2:
            return self._kept(self.rows, self.columns, checkpointing=checkpointing)
        (x, first), (y, second) = (
            (side**2, self._kept(side, side, checkpointing=checkpointing)) for side in PROBES
        )
        square = max(0.0, (second / y - first / x) / (y - x))
        return round((second / y + square * (area - y)) * area)

    def _kept(self, rows: int, columns: int, *, checkpointing: bool) -> int:
        """Return the bytes that are kept for the backward pass of a picture of that many codes."""
        code = self.vqgan.codebook[:1].view(1, -1, 1, 1).repeat(1, 1, rows, columns).requires_grad_()
        if not checkpointing:
            return saved_bytes(lambda: self.vqgan.decode(code), self.vqgan)
        inputs: list[int] = []
        inside: list[int] = []

        def measured(layer: nn.Module, x: Tensor) -> Tensor:
            inputs.append(x.nbytes)
            inside.append(saved_bytes(lambda: layer(x), layer))
            result: Tensor = layer(x)
            return result

        self.vqgan.decode(code, measured)
        return sum(inputs) + max(inside)


class GeneratorCanvas(Canvas):
    """The styles of a generator's picture, a style a layer (w+), in whitened coordinates, [3].

    A generator without a mapping network has its latents in their place.

    Args:
        generator: Any generator, on its device.
        label: What a conditional generator is asked for: a class, or its label's numbers.
        name: Its name for people.

    Raises:
        OptionError: If the generator is conditional and no class is given, or the class is out of range.
    """

    learning_rate = 0.02

    def __init__(self, generator: Generator, label: Label | None = None, name: str = "generator") -> None:
        self.generator, self.label, self.name = generator, chosen_label(generator, label), name
        self.variant = repr(self.label)
        self.height, self.width = generator.size.height, generator.size.width
        self.device = next(generator.parameters()).device
        self.fingerprint = fingerprint(generator)
        self.has_styles = hasattr(generator, "mapping")
        self.num_ws, _ = styles_shape(generator)
        if self.has_styles:
            self._mean, self._basis = style_axes(generator, self.label)

    def styles(self, code: Tensor) -> Float[Tensor, "1 num_ws w_dim"]:
        """Return the styles that numbers stand for."""
        if not self.has_styles:
            return map_latents(self.generator, code, self.label)
        return (self._mean + code @ self._basis)[None]

    def draw(self, code: Tensor, *, checkpointing: bool = False) -> Float[Tensor, "1 3 h w"]:  # noqa: ARG002
        """Draw the styles; the noise is the generator's own. Layers of generators are never computed twice."""
        return as_rgb(self.generator.synthesize(self.styles(code)))

    @torch.no_grad()
    def limit(self, code: Tensor) -> None:
        """Clamp to three standard deviations of styles."""
        code.clamp_(-CODE_RANGE, CODE_RANGE)

    @torch.no_grad()
    def random_start(self, seed: int) -> Tensor:
        """Return the styles of a seed, halfway to the mean, or its latents."""
        z = latents([seed % 2**32], self.generator.z_dim).float().to(self.device)
        if not self.has_styles:
            return z
        return START_PSI * self._code(map_latents(self.generator, z, self.label)[0])

    def start_from(self, path: Path) -> Tensor:
        """Return the styles of a styles file, as `metagan project` finds them for a picture.

        Raises:
            OptionError: If the file is a picture, or its styles are another generator's.
            MalformedFileError: If it is no styles file.
        """
        if path.suffix.lower() != ".safetensors":
            raise OptionError(
                "a generator begins with styles, not with a picture",
                where=path,
                fix=f"find its styles with `metagan project {path} GENERATOR`, and give the .safetensors as --init",
            )
        styles = read_styles(path)
        require_same_generator(styles, self.generator, path)
        if self.has_styles:
            return self._code(styles.ws.to(self.device))
        if styles.z is None:
            raise OptionError("it has no latents", where=path, fix="project the picture with --space z")
        return styles.z[None].to(self.device)

    def require(self, path: Path) -> None:
        """Check that a file holds styles of this generator."""
        self.start_from(path)

    def network(self) -> nn.Module:
        """Return what draws."""
        return self.generator

    def found(self, code: Tensor, title: str) -> Styles:
        """Return numbers as what a styles file holds."""
        info = StylesInfo(
            generator=self.fingerprint,
            architecture=self.generator.architecture,
            resolution=self.generator.resolution,
            space="w+" if self.has_styles else "z",
            title=text_of(title),
        )
        with torch.no_grad():
            return Styles(info, self.styles(code)[0].cpu(), None if self.has_styles else code[0].cpu())

    def _code(self, ws: Float[Tensor, "num_ws w_dim"]) -> Tensor:
        return (ws - self._mean) @ self._basis.t() / self._basis.square().sum(dim=1)


def open_canvas(
    vqgan: Path | None,
    generator: str | None,
    *,
    configuration: Path | None = None,
    size: str | None = None,
    label: Label | None = None,
    device: str = "auto",
    registry: Path = Path("registry.yaml"),
    sha256: str | None = None,
    offline: bool = False,
    progress: Callable[[Transfer], None] | None = None,
) -> Canvas:
    """Open what is to be painted on: either a VQGAN or a generator.

    Args:
        vqgan: A VQGAN's weights.
        generator: A generator, as `find_target` takes it.
        configuration: The VQGAN's YAML; None for the one beside it.
        size: A VQGAN's pictures' size, "512" or "640x384"; None for 512.
        label: What a conditional generator is asked for; None for the subject's own.
        device: Where to compute.
        registry: Where a subject is looked up.
        sha256: What the generator's file's SHA-256 must be.
        offline: Download nothing.
        progress: Called with the state of a generator's download.

    Raises:
        OptionError: If neither or both are given, or the size can't be used.
        CheckpointError: If a file can't be used.
    """
    if (vqgan is None) == (generator is None):
        what = "give either --vqgan FILE or --generator SUBJECT, and not both"
        raise OptionError(what, fix="choose what is painted with")
    if generator is not None:
        if size is not None or configuration is not None:
            option = "--config" if size is None else "--size"
            raise OptionError(
                "a generator has its own size and configuration", where=option, fix="leave it out"
            )
        target = find_target(generator, registry, sha256, offline=offline, progress=progress)
        network = open_sampler(target, device, 1).generator
        chosen = target.label if label is None else label
        return GeneratorCanvas(network, chosen, target.name)
    if vqgan is None or label is not None:
        raise OptionError("a VQGAN has no classes", where="--class or --label", fix="leave it out")
    try:
        asked = Size.read(DEFAULT_SIZE if size is None else size)
    except InvalidValueError as error:
        raise OptionError.of([Problem("--size", str(each), each.fix) for each in error.complaints]) from error
    autoencoder = load_vqgan(vqgan, configuration).to(choose_device(device))
    return VQGANCanvas(autoencoder, asked.height, asked.width, vqgan.name)


def straight_through(x: Tensor, value: Tensor) -> Tensor:
    """Return a value whose gradient passes to `x` as it is (arXiv:1308.3432)."""
    return x + (value - x).detach()


def inward(gradient: Tensor, pictures: Tensor) -> Tensor:
    """Return a gradient to pictures that were clamped to [-1, 1], without what leads them further out of the range."""
    return gradient * (gradient * (pictures - pictures.clamp(-1, 1)) >= 0)


def fingerprint_of(network: nn.Module) -> str:
    """Return the hash of a network's tensors, 64 hex digits."""
    digest = hashlib.sha256(type(network).__name__.encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {list(tensor.shape)}\n".encode())
        digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
