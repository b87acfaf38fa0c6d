"""The options that TensorFlow's StyleGAN2 pickles state, `static_kwargs`: each read, confirmed or refused.

An option that isn't known is refused: it could change the pictures.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from metagan.checkpoints.model import NetworkRecord
from metagan.errors import MalformedFileError, UnknownArchitectureError
from metagan.networks.assemble import shortened
from metagan.networks.ops import ACTIVATIONS, make_taps
from metagan.networks.reading import is_same, positive

TITLE = "TensorFlow's StyleGAN2"

# Options that tensors' shapes say again.
SIZES = {
    "latent_size": "z_dim", "label_size": "c_dim", "dlatent_size": "w_dim", "resolution": "resolution",
    "num_channels": "image_channels", "mapping_layers": "mapping_layers", "use_noise": "use_noise",
    "architecture": "kind",
}  # fmt: skip
# Options that are read below.
READ = {"mapping_nonlinearity", "nonlinearity", "mapping_lrmul", "conv_clamp", "resample_kernel"}
READ |= {"mbstd_group_size", "mbstd_num_features"}
# Options of training, of precision, of sizes per layer, and of how the programs are put together.
WITHOUT_EFFECT = {
    "fmap_base", "fmap_decay", "fmap_min", "fmap_max", "mapping_fmaps", "label_fmaps", "num_fp16_res",
    "truncation_psi", "truncation_cutoff", "truncation_psi_val", "truncation_cutoff_val", "dlatent_avg_beta",
    "style_mixing_prob", "randomize_noise", "fused_modconv", "freeze_layers", "dlatent_broadcast", "is_training",
    "is_validation", "return_dlatents", "func_name", "dtype", "structure", "conditioning",
}  # fmt: skip
# Options that are only understood with their usual value.
USUAL = {
    "normalize_latents": (True,), "synthesis_func": ("G_synthesis_stylegan2", "G_synthesis"),
    "mapping_func": ("G_mapping",),
}  # fmt: skip


class Options:
    """A network's `static_kwargs`, each read with what it means when it isn't there.

    Everything here raises MalformedFileError for a value that makes no sense.

    Args:
        record: The network.

    Raises:
        UnknownArchitectureError: Options that aren't known, or have an unusual value; names the first of them.
    """

    def __init__(self, record: NetworkRecord) -> None:
        options = record.attributes.get("static_kwargs")
        if not isinstance(options, Mapping):
            raise MalformedFileError(f"static_kwargs: want a dict of options, got {options!r:.60}")
        self.options: Mapping[str, Any] = options
        known = {*SIZES, *READ, *WITHOUT_EFFECT, *USUAL}
        strange = [str(name) for name in options if name not in known]
        strange += [f"{name}={options[name]!r:.40}" for name in USUAL if self._is_unusual(name)]
        if strange:
            msg = f"{TITLE} with options that metagan doesn't know, and that may change its pictures"
            raise UnknownArchitectureError(f"{msg}: {shortened(tuple(strange))}")

    def _is_unusual(self, name: str) -> bool:
        return name in self.options and not any(is_same(self.options[name], usual) for usual in USUAL[name])

    def activation(self, name: str) -> str:
        """The activation that an option names."""
        value = self.options.get(name, "lrelu")
        if isinstance(value, str) and value in ACTIVATIONS:
            return value
        raise MalformedFileError(
            f"{name}: unknown activation {value!r:.60}; want one of {', '.join(ACTIVATIONS)}"
        )

    def clamp(self) -> float | None:
        """The bound of layers' output."""
        value = self.options.get("conv_clamp")
        return None if value is None else positive("conv_clamp", value)

    def learning_rate(self, default: float) -> float:
        """The mapping network's learning-rate multiplier."""
        return positive("mapping_lrmul", self.options.get("mapping_lrmul", default))

    def taps(self) -> Tensor:
        """The filter that all layers share, as official files store it."""
        taps = self.options.get("resample_kernel", [1, 3, 3, 1])
        numbers = isinstance(taps, list | tuple) and all(type(tap) in (int, float) for tap in taps)
        if not numbers or not 0 < len(taps) <= 64 or not 1e-6 < abs(sum(taps)) < 1e6:
            raise MalformedFileError(f"resample_kernel: want a list of numbers, got {taps!r:.60}")
        return make_taps(tuple(map(float, taps)))

    def group_size(self, default: int | None) -> int | None:
        """How many pictures the discriminator compares; None for the whole batch."""
        size = self.options.get("mbstd_group_size", default)
        if size is None or (type(size) is int and 0 < size <= 2**16):
            return size
        raise MalformedFileError(f"mbstd_group_size: want a number of pictures or None, got {size!r:.40}")

    def require(self, facts: Mapping[str, object]) -> None:
        """Refuse sizes that the tensors contradict."""
        wrong = [
            f"{option} is {self.options[option]!r:.40}, its tensors say {facts[fact]}"
            for option, fact in SIZES.items()
            if option in self.options and fact in facts and not is_same(self.options[option], facts[fact])
        ]
        if wrong:
            raise MalformedFileError(f"the file contradicts itself: {'; '.join(wrong)}")
