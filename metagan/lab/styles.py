"""Reads and writes styles files: a picture as one generator's styles, to be drawn, filmed and changed.

A styles file is a .safetensors of three kinds of tensors and a JSON text under the metadata key "metagan-styles":

* "ws" [num_ws, w_dim], the styles that `Generator.synthesize` takes;
* "z" [z_dim], if latents were searched;
* "noise.0", "noise.1", ... [h, w], the layers' noise images in order, if they were fitted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from metagan.errors import MalformedFileError, OptionError
from metagan.files import utf8_path, why_no_file, write_bytes
from metagan.networks.generator import Generator, Noise
from metagan.sampling.latents import labels
from metagan.sampling.sampler import Picture, Sampler, exact_convolutions
from metagan.values import Label

Space = Literal["z", "w", "w+"]
METADATA_KEY: Final = "metagan-styles"
MAX_BYTES: Final = 256 << 20
MAX_TEXT: Final = 1 << 16
_Text = Annotated[str, Field(max_length=1000)]


class StylesInfo(BaseModel):
    """The metadata of a styles file.

    Args:
        version: Version of the format.
        generator: The generator's `fingerprint`.
        architecture: The generator's architecture, such as "stylegan2".
        resolution: The longer side of its pictures in pixels.
        space: The searched space: latents z, one style w for all layers, or one style per layer, w+.
        title: The picture's title, usually its file's name without the suffix.
        psnr_db: PSNR between the generator's picture and the target, or None.
        distance: Distance between them in the search: pixels at several scales, and LPIPS if it was used.
        task: Hash of the target and the options, by which a resumed run recognises its results.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    generator: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    architecture: _Text
    resolution: Annotated[int, Field(gt=0, le=65536)]
    space: Space
    title: _Text = ""
    psnr_db: Annotated[float, Field(ge=-1000, le=1000)] | None = None
    distance: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    task: _Text = ""


@dataclass(frozen=True)
class Styles:
    """One picture as a generator's styles.

    Args:
        info: The file's metadata.
        ws: Styles, [num_ws, w_dim].
        z: The latents of these styles, [z_dim]; None if styles were searched.
        noise: Fitted noise images, [h, w] each, in the layers' order; empty for the generator's own.
    """

    info: StylesInfo
    ws: Float[Tensor, "num_ws w_dim"]
    z: Float[Tensor, " z_dim"] | None = None
    noise: tuple[Tensor, ...] = ()


class FittedNoise(Noise):
    """Given noise images, one per layer and call, in place of the generator's own.

    Args:
        images: Each layer's, [batch, 1, h, w] or [h, w], in the layers' order.
    """

    def __init__(self, images: Sequence[Tensor]) -> None:
        super().__init__("const")
        self._images = list(images)
        self._next = 0

    def image(self, stored: Float[Tensor, "h w"], batch: int, *, uniform: bool = False) -> Tensor | None:
        """Return the next layer's image, or the stored one for uniform noise, which isn't fitted."""
        if uniform:
            return super().image(stored, batch, uniform=uniform)
        image = self._images[self._next]
        self._next = (self._next + 1) % len(self._images)
        return image


class _StoredNoise(Noise):
    """Keeps each layer's stored noise image."""

    def __init__(self) -> None:
        super().__init__("const")
        self.images: list[Tensor] = []

    def image(self, stored: Float[Tensor, "h w"], batch: int, *, uniform: bool = False) -> Tensor | None:
        """Return the generator's own noise, and keep it."""
        if not uniform:
            self.images.append(stored)
        return super().image(stored, batch, uniform=uniform)


def stored_noise(generator: Generator) -> list[Tensor]:
    """Return a generator's own noise images, [h, w] each, in the layers' order; empty if it has none."""
    kept = _StoredNoise()
    with torch.inference_mode():
        num_ws, w_dim = styles_shape(generator)
        device = next(generator.parameters()).device
        generator.synthesize(torch.zeros(1, num_ws, w_dim, device=device), kept)
    return [image.detach() for image in kept.images]


def styles_shape(generator: Generator) -> tuple[int, int]:
    """Return the number of styles of a picture, and their width."""
    with torch.inference_mode():
        device = next(generator.parameters()).device
        z = torch.zeros(1, generator.z_dim, device=device)
        label = torch.zeros(1, generator.c_dim, device=device) if generator.c_dim else None
        _, num_ws, w_dim = generator.map_latents(z, label).shape
    return int(num_ws), int(w_dim)


def map_latents(
    generator: Generator, z: Float[Tensor, "batch z_dim"], label: Label | None
) -> Float[Tensor, "batch num_ws w_dim"]:
    """Map latents on the generator's device to styles.

    Raises:
        OptionError: If the generator is conditional and nothing is chosen, or it has no such class or numbers.
    """
    rows = labels(generator, label, len(z))
    return generator.map_latents(z, None if rows is None else rows.to(z.device))


def fingerprint(generator: Generator) -> str:
    """Return a generator's hash, 64 hex digits, of its tensors by name; the file format doesn't matter."""
    digest = hashlib.sha256(generator.architecture.encode())
    for name, tensor in sorted(generator.state_dict().items()):
        digest.update(f"{name} {list(tensor.shape)}\n".encode())
        digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def write_styles(path: Path, styles: Styles) -> None:
    """Write a styles file atomically; the same styles give the same bytes."""
    write_bytes(path, styles_bytes(styles))


def styles_bytes(styles: Styles) -> bytes:
    """Return the content of a styles file."""
    tensors = {"ws": styles.ws}
    if styles.z is not None:
        tensors["z"] = styles.z
    tensors |= {f"noise.{index}": image for index, image in enumerate(styles.noise)}
    whole = {name: tensor.detach().float().cpu().contiguous().clone() for name, tensor in tensors.items()}
    return save(whole, metadata={METADATA_KEY: styles.info.model_dump_json()})


def read_styles(path: Path) -> Styles:
    """Read a styles file.

    Raises:
        MalformedFileError: If the file is missing, damaged, not a styles file, or has numbers that aren't finite.
    """
    if not path.is_file():
        raise _malformed(path, why_no_file(path))
    if path.stat().st_size > MAX_BYTES:
        raise _malformed(path, f"want at most {MAX_BYTES:,} bytes, got {path.stat().st_size:,}")
    try:
        with utf8_path(path) as readable, safe_open(readable, framework="pt") as file:
            text = (file.metadata() or {}).get(METADATA_KEY)
            if text is None:
                raise _malformed(path, "a safetensors file, but not of styles")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no dict
    except SafetensorError as error:
        raise _malformed(path, f"no safetensors file, or a damaged one ({error})") from error
    return _checked(path, _info(path, text), tensors)


def _info(path: Path, text: str) -> StylesInfo:
    if len(text) > MAX_TEXT:
        raise _malformed(
            path, f"has {len(text):,} characters of metadata, and at most {MAX_TEXT:,} are allowed"
        )
    try:
        return StylesInfo.model_validate(json.loads(text))
    except (ValidationError, ValueError, RecursionError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise _malformed(path, f"its metadata can't be read: {reason}") from error


def _checked(path: Path, info: StylesInfo, tensors: dict[str, Tensor]) -> Styles:
    noise_names = [f"noise.{index}" for index in range(sum(name.startswith("noise.") for name in tensors))]
    unknown = sorted(tensors.keys() - {"ws", "z", *noise_names})
    if "ws" not in tensors or unknown:
        raise _malformed(path, f"holds {unknown[0]!r}" if unknown else "holds no tensor ws")
    ranks = {"ws": 2, "z": 1} | dict.fromkeys(noise_names, 2)
    for name, tensor in tensors.items():
        if tensor.dtype != torch.float32 or tensor.ndim != ranks[name]:
            raise _malformed(
                path, f"{name} is {tensor.dtype} {list(tensor.shape)}, want {ranks[name]} axes of float32"
            )
        if not torch.isfinite(tensor).all():
            raise _malformed(path, f"{name} holds numbers that aren't finite")
    return Styles(info, tensors["ws"], tensors.get("z"), tuple(tensors[name] for name in noise_names))


def require_same_generator(
    styles: Styles, generator: Generator, where: Path, *, foreign: bool = False
) -> None:
    """Refuse styles of another generator.

    Args:
        styles: The styles.
        generator: The generator that will draw them.
        where: Their file, for messages.
        foreign: Whether to accept styles of another generator with the same shape, such as a fine-tuned one.

    Raises:
        OptionError: If they are another generator's, or have another shape.
    """
    shape = styles_shape(generator)
    if tuple(styles.ws.shape) != shape:
        raise OptionError(
            f"styles of shape {list(styles.ws.shape)}, and this generator takes {list(shape)}",
            where=where,
            fix="project the picture with this generator",
        )
    if foreign or styles.info.generator == fingerprint(generator):
        return
    raise OptionError(
        f"these are styles of another generator, whose hash begins with {styles.info.generator[:12]}",
        where=where,
        fix="project the picture with this generator, or take them as they are with --foreign-styles",
    )


def require_noise_fits(styles: Styles, generator: Generator, where: Path) -> None:
    """Refuse fitted noise images that don't fit a generator's layers.

    Args:
        styles: Styles of the generator's shape, with or without noise images.
        generator: The generator that will draw them.
        where: Their file, for messages.

    Raises:
        OptionError: If the noise images have another number or other sizes than the layers take.
    """
    if not styles.noise:
        return
    found, want = (
        [tuple(image.shape) for image in images] for images in (styles.noise, stored_noise(generator))
    )
    if found != want:
        sizes = [", ".join(f"{h}x{w}" for h, w in shapes[:20]) or "none" for shapes in (found, want)]
        raise OptionError(
            f"noise images of {sizes[0]}, and this generator takes {sizes[1]}",
            where=where,
            fix="project the picture with this generator",
        )


def draw(
    sampler: Sampler, styles: Sequence[Styles], psi: float | None = None, shift: Tensor | None = None
) -> Iterator[Picture]:
    """Yield the picture [h, w, ch] of each styles file, with its fitted noise images.

    Args:
        sampler: A sampler of their generator.
        styles: Styles from `read_styles`, of the generator's shape.
        psi: Truncation toward the mean style; None for no truncation.
        shift: Added to the styles after truncation, [num_ws, w_dim]; None for nothing.

    Raises:
        OptionError: If psi is given, and the generator has no mean style.
    """
    for one in styles:
        ws = one.ws if psi is None else truncate(sampler.generator, one.ws[None].to(sampler.device), psi)[0]
        if shift is not None:
            ws = ws + shift.to(ws)
        if not one.noise:
            yield next(sampler.draw_styles([ws]))
            continue
        noise = FittedNoise([image.to(sampler.device) for image in one.noise])
        with torch.inference_mode(), exact_convolutions():
            drawn = sampler.finish(sampler.generator.synthesize(ws[None].to(sampler.device), noise))
        yield drawn[0]


def truncate(
    generator: Generator, ws: Float[Tensor, "batch num_ws w_dim"], psi: float
) -> Float[Tensor, "batch num_ws w_dim"]:
    """Pull styles toward the mean style by psi: 1 leaves them, 0 gives the mean picture.

    Raises:
        OptionError: If psi is not 1, and the generator has no mean style.
    """
    if psi == 1:
        return ws
    mean = mean_style(generator)
    if mean is None:
        msg = f"psi {psi:g}: this {generator.architecture} has no mean style to truncate toward"
        raise OptionError(msg, fix="use psi 1, or leave it out")
    return torch.lerp(mean.to(ws), ws, psi)


def mean_style(generator: Generator) -> Tensor | None:
    """Return the style that truncation pulls toward, [w_dim], or None if the generator has none."""
    mean = getattr(getattr(generator, "mapping", None), "mean_style", None)
    if mean is None:
        mean = getattr(generator, "mean_style", None)
    return mean if isinstance(mean, Tensor) else None


def _malformed(path: Path, found: str) -> MalformedFileError:
    return MalformedFileError(found, where=path, fix="give a styles file that `metagan project` wrote")
