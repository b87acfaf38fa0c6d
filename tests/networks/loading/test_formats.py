"""The tables of formats: what they say is read is read, and what they say is refused is refused in words of its own."""

import io
import json
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from metagan.checkpoints.read import read_checkpoint
from metagan.errors import CheckpointError, MetaganError
from metagan.networks.loading.convert import convert
from metagan.networks.loading.detect import ARCHITECTURES, load_generator
from scripts.docs_tables import FORMATS, REFUSALS
from tests.checkpoints.assembler import pickle_of
from tests.checkpoints.builder import Network, module_tree, pickled
from tests.networks.loading.test_choice import stored_by_basicsr

GOLDEN = Path(__file__).parents[2] / "golden"
EXAMPLES = {
    "stylegan2-ada-pytorch, and StyleGAN2 written by the stylegan3 code": "sg2ada_cuda16.pkl",
    "StyleGAN2 and StyleGAN2-ADA for TensorFlow": "tf_ada_cond16.pkl",
    "rosinality stylegan2-pytorch": "ros_train16.pt",
    "BasicSR": "params_ema.pth",
    "StyleGAN3-T and -R": "sg3t_cond16.pkl",
    "lucidrains stylegan2-pytorch": "luc_16_attn_noconst/model_0.pt",
    "R3GAN": "r3_cond32.pkl",
    "Keras DCGANs of NFT hobby projects": "keras_dcgan32.zip",
    "metagan's own": "own.safetensors",
}


def example(family: str, folder: Path) -> Path:
    if family == "BasicSR":
        torch.save({"params_ema": stored_by_basicsr()}, folder / EXAMPLES[family])
        return folder / EXAMPLES[family]
    if family != "metagan's own":
        return GOLDEN / EXAMPLES[family]
    convert(GOLDEN / "sg2ada_gemaonly16.pkl", folder / "own.safetensors")
    return folder / "own.safetensors"


def test_every_family_is_in_the_table_once_and_metagans_own_comes_last():
    families = [row.family for row in FORMATS]
    assert len(set(families)) == len(families) == sum(len(arch.readings) for arch in ARCHITECTURES) + 1
    assert families[-1] == "metagan's own"
    assert {row.read_as for row in FORMATS[:-1]} == {arch.name for arch in ARCHITECTURES}
    assert set(families) == set(EXAMPLES)


@pytest.mark.parametrize("row", FORMATS, ids=lambda row: row.family)
def test_every_family_is_read_as_the_table_says_whatever_the_files_name(row, tmp_path):
    path = example(row.family, tmp_path)
    nameless = tmp_path / "renamed" / "weights"
    nameless.parent.mkdir()
    shutil.copy(path, nameless)
    for config in path.parent.glob(".config.json"):
        shutil.copy(config, nameless.parent)
    generator = load_generator(read_checkpoint(nameless))
    assert row.read_as in (generator.architecture, "any")


def test_no_cell_of_the_tables_breaks_them():
    cells = [cell for row in FORMATS for cell in (row.family, row.files, row.read_as)]
    for cell in cells + [cell for row in REFUSALS for cell in (row.family, row.why)]:
        assert cell.strip()
        assert "|" not in cell


# What is refused


def tensorflow(version: int, **variables: np.ndarray) -> bytes:
    network = Network()
    named = [(name.replace("__", "/"), value) for name, value in variables.items()]
    network.__dict__.update(
        version=version, name="Gs", static_kwargs={}, components={}, variables=named, build_func_name="G"
    )
    return pickled((network, network, network))


def official(tensors: dict[str, torch.Tensor]) -> bytes:
    return pickled({"G_ema": module_tree(tensors)})


def saved(content: object) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def state_dict_of_a_stylegan3() -> bytes:
    return saved(dict(read_checkpoint(GOLDEN / "sg3t_cond16.pkl").networks["G_ema"].tensors))


def keras_of_branches() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(GOLDEN / "keras_dcgan32.zip") as genuine, zipfile.ZipFile(stream, "w") as archive:
        for name in genuine.namelist():
            content = genuine.read(name)
            if name.endswith("keras_metadata.pb"):
                content = content.replace(b'"Sequential"', b'"Functional"')
            archive.writestr(name, content)
    return stream.getvalue()


def tar() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("storages"))
    return stream.getvalue()


ZEROS = np.zeros((1, 1), np.float32)
SPECTRAL = {"synthesis.init.init.0.weight_orig": torch.zeros(4, 4, 4, 4)}
XL = {"synthesis.input.freqs": torch.zeros(4, 2), "mapping.embed_proj.weight": torch.zeros(4, 4)}
SWAGAN = {"g_ema": {"input.input": torch.zeros(1, 2, 4, 4), "conv1.conv.weight": torch.zeros(1, 2, 2, 3, 3),
                    "to_rgbs.0.iwt.ll": torch.zeros(2, 2)}}  # fmt: skip
CONDITIONAL = {"synthesis__4x4__Const__const": ZEROS, "mapping__LabelConcat__weight": ZEROS}
REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "StyleGAN (version 1) and Progressive GAN, for TensorFlow": (
        lambda: tensorflow(3, dlatent_avg=ZEROS),
        "version 3: StyleGAN1 or ProGAN",
    ),
    "StyleGAN2 configurations A to D, which grow progressively, for TensorFlow": (
        lambda: tensorflow(4, ToRGB_lod0__weight=ZEROS),
        "the progressive layout",
    ),
    "conditional StyleGAN2 for TensorFlow, before StyleGAN2-ADA": (
        lambda: tensorflow(4, **CONDITIONAL),
        "before StyleGAN2-ADA",
    ),
    "class-conditional StyleGAN-XL": (lambda: official(XL), "a class-conditional StyleGAN-XL"),
    "FastGAN of Projected GAN": (lambda: official(SPECTRAL), "a FastGAN of Projected GAN"),
    "pickles of Projected GAN and StyleGAN-XL with their discriminator": (
        lambda: pickle_of(b"cpg_modules.discriminator\nProjectedDiscriminator\n"),
        "a pickle of Projected GAN or StyleGAN-XL",
    ),
    "state dicts of StyleGAN3": (state_dict_of_a_stylegan3, "this is a StyleGAN3, and .* isn't stated"),
    "SWAGAN (rosinality)": (lambda: saved(SWAGAN), "a SWAGAN"),
    "Keras models that aren't plain stacks of layers, or with a Lambda layer": (
        keras_of_branches,
        "want a Sequential model of Keras, got 'Functional'",
    ),
    "whole models saved by torch.save": (
        lambda: saved(torch.nn.Linear(1, 1)),
        "a whole pickled model would run",
    ),
    "PyTorch files from before version 0.1.10 (tar)": (tar, "as torch wrote before 0.1.10"),
}


def test_every_refusal_of_the_table_has_an_example():
    assert [row.family for row in REFUSALS] == list(REFUSED)


@pytest.mark.parametrize("family", REFUSED)
def test_what_the_table_says_is_refused_is_refused_in_words_of_its_own(family, tmp_path):
    make, words = REFUSED[family]
    (tmp_path / "cat").write_bytes(make())
    with pytest.raises(MetaganError, match=words) as caught:
        load_generator(read_checkpoint(tmp_path / "cat"))
    assert isinstance(caught.value, CheckpointError)
    assert "fix: " in str(caught.value)
    assert str(tmp_path / "cat") in str(caught.value)
    json.dumps(str(caught.value))
