"""StyleGAN3's layers as its paper designs them (arXiv:2106.12423, section 3.2 and appendix F), for any size."""

import math

from metagan.networks.mapping import MappingConfig
from metagan.networks.stylegan3.network import Config, InputConfig, LayerConfig


def design(
    mapping: MappingConfig,
    resolution: int,
    *,
    channel_base: int = 32768,
    channel_max: int = 512,
    layers: int = 14,
    critical: int = 2,
    margin: int = 10,
    kernel: int = 3,
    radial: bool = False,
    taps: int = 6,
    image_channels: int = 3,
    clamp: float | None = 256.0,
) -> Config:
    """The configuration that these hyper-parameters give."""
    exponents = [min(index / (layers - critical), 1) for index in range(layers + 1)]
    cutoffs = [2 * (resolution / 4) ** e for e in exponents]
    stopbands = [2**2.1 * (resolution / 2 * 2**0.3 / 2**2.1) ** e for e in exponents]
    rates = [2 ** math.ceil(math.log2(min(2 * stop, resolution))) for stop in stopbands]
    sizes = [int(rate) + 2 * margin for rate in rates]
    sizes[-2:] = [resolution] * 2
    channels = [round(min(channel_base / 2 / cutoff, channel_max)) for cutoff in cutoffs[:-1]] + [
        image_channels
    ]
    built = []
    for index in range(layers + 1):
        before, to_rgb = max(index - 1, 0), index == layers
        k = 1 if to_rgb else kernel
        rate = max(rates[before], rates[index]) * (1 if to_rgb else 2)
        up, down = int(rate / rates[before]), int(rate / rates[index])
        up_taps = taps * up if up > 1 and not to_rgb else 1
        down_taps = taps * down if down > 1 and not to_rgb else 1
        total = (sizes[index] - 1) * down + 1 - (sizes[before] + k - 1) * up + up_taps + down_taps - 2
        low = (total + up) // 2
        two_axes = radial and index < layers - critical
        built.append(
            LayerConfig(
                in_channels=channels[before], out_channels=channels[index], kernel_size=k,
                in_size=sizes[before], out_size=sizes[index], up=up, down=down,
                up_taps=(up_taps,) if up_taps > 1 else (),
                down_taps=(down_taps,) * (2 if two_axes else 1) if down_taps > 1 else (),
                pads=(low, total - low) * 2, clamp=clamp,
            )
        )  # fmt: skip
    first = InputConfig(channels[0], sizes[0], float(rates[0]), float(cutoffs[0]))
    return Config(mapping, first, tuple(built))
