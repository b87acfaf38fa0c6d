"""Super-resolution for one collection: a small network that draws a picture at two or four times its size."""

from metagan.networks.upscaler.load import (
    ARCHITECTURE_NAME,
    describe_upscaler,
    is_upscaler,
    load_upscaler,
    upscaler_of,
)
from metagan.networks.upscaler.network import FACTORS, MOST_PARAMETERS, Upscaler, UpscalerConfig

__all__ = [
    "ARCHITECTURE_NAME",
    "FACTORS",
    "MOST_PARAMETERS",
    "Upscaler",
    "UpscalerConfig",
    "describe_upscaler",
    "is_upscaler",
    "load_upscaler",
    "upscaler_of",
]
