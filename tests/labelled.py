"""Conditional generators whose files say what their labels mean."""

from pathlib import Path

from metagan.checkpoints.read import read_checkpoint
from metagan.checkpoints.write import write_safetensors
from metagan.networks.generator import Generator
from metagan.networks.loading.detect import load_generator
from metagan.networks.loading.forms import describe
from metagan.values import LabelSpace

GOLDEN = Path(__file__).parent / "golden"
CLASSES = LabelSpace(("ape", "bird", "3"))
NUMBERS = LabelSpace(("age", "<b>smile</b>", "tilt"), ((0.0, 1.0), (-2.0, 2.0), (10.0, 10.5)))


def conditional(space: LabelSpace = CLASSES) -> Generator:
    """A 16x16 StyleGAN2 with labels of width 3."""
    generator = load_generator(read_checkpoint(GOLDEN / "tf_ada_cond16.pkl"))
    generator.label_space = space
    return generator


def write_conditional(path: Path, space: LabelSpace = CLASSES) -> Path:
    """Write it in metagan's own format."""
    generator = conditional(space)
    write_safetensors(path, generator.state_dict(), describe(generator))
    return path
