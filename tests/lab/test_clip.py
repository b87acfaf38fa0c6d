"""CLIP by open_clip_torch, with a small model that the library itself makes. Skipped where it can't be imported."""

import json
import socket

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import save_file

from metagan.cli import metagan
from metagan.errors import CheckpointError, MalformedFileError, OptionError, UnsafeFileError
from metagan.lab.clip import CONFIGURATION, find_clip, load_clip
from tests.lab.nets import GOLDEN

try:
    import open_clip
except (ImportError, RuntimeError) as error:  # torchvision raises RuntimeError beside another torch
    pytest.skip(f"open_clip_torch can't be imported: {error}", allow_module_level=True)

MODEL = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "patch_size": 8, "head_width": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
PREPARED = {"mean": [0.5, 0.4, 0.3], "std": [0.3, 0.2, 0.1]}


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "small-clip"
    made.mkdir()
    (made / CONFIGURATION).write_text(json.dumps({"model_cfg": MODEL, "preprocess_cfg": PREPARED}))
    torch.manual_seed(1)
    model = open_clip.create_model(f"local-dir:{made}", load_weights=False).eval()
    save_file(
        {name: t.contiguous() for name, t in model.state_dict().items()}, made / "open_clip_model.safetensors"
    )
    return made


def test_vectors_are_those_of_the_library(folder):
    model, _, prepare = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    clip = load_clip(find_clip(str(folder)))
    assert clip.side_px == 32
    pixels = np.random.RandomState(0).randint(0, 256, (32, 32, 3), np.uint8)
    with torch.no_grad():
        wanted = model.eval().encode_image(prepare(Image.fromarray(pixels))[None], normalize=True)
        own = torch.from_numpy(pixels.transpose(2, 0, 1).copy()).float()[None] / 127.5 - 1
        assert torch.allclose(clip.pictures(own), wanted, atol=1e-5)
        tokens = open_clip.get_tokenizer(f"local-dir:{folder}")(["a bored ape", "a hat"])
        assert torch.allclose(
            clip.texts(["a bored ape", "a hat"]), model.encode_text(tokens, normalize=True), atol=1e-5
        )
    assert clip.tokens_over("a bored ape") == 0
    assert clip.tokens_over("ape " * 20) == 6


def test_the_whole_command_paints(folder, tmp_path):
    out = tmp_path / "out"
    words = ["paint", "--vqgan", str(GOLDEN / "vq_f2_32.ckpt"), "--clip", str(folder), "--prompt", "an ape"]
    words += ["--steps", "2", "--cuts", "3", "--size", "24x16", "--out", str(out), "--seed", "-1"]
    result = CliRunner().invoke(metagan, words, catch_exceptions=False)
    assert result.exit_code == 0
    assert result.stdout.strip() == f"{out}/painting/0002.png"
    assert "seed" in result.stderr
    assert "of memory" in result.stderr
    with Image.open(out / "painting" / "0002.png") as picture:
        assert picture.size == (24, 16)


def test_weights_of_another_model_are_refused(folder, tmp_path):
    with pytest.raises(OptionError, match="not on this machine") as caught:
        find_clip("ViT-B-32")
    assert "huggingface.co" in (caught.value.fix or "")
    with pytest.raises(CheckpointError):
        load_clip(find_clip("ViT-B-32", folder / "open_clip_model.safetensors"))
    with pytest.raises(CheckpointError, match="no weights of a CLIP model"):
        load_clip(find_clip("ViT-B-32", GOLDEN / "ros_train16.pt"))
    with pytest.raises(OptionError, match="knows no model"):
        find_clip("ViT-none")
    with pytest.raises(OptionError, match="from the network"):
        load_clip(find_clip("xlm-roberta-base-ViT-B-32", folder / "open_clip_model.safetensors"))


@pytest.mark.parametrize(
    "change",
    [
        {"embed_dim": 10**9}, {"text_cfg": []}, {"vision_cfg": {"layers": 10**9}}, {"vision_cfg": {"image_size": "a"}},
        {"text_cfg": MODEL["text_cfg"] | {"hf_model_name": "evil/model"}},
        {"vision_cfg": MODEL["vision_cfg"] | {"timm_model_name": "hf-hub:evil/model"}},
    ],
)  # fmt: skip
def test_hostile_configurations_are_refused_without_the_network(folder, change, monkeypatch):
    def refuse(*_):
        raise AssertionError("something asked for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    (folder / CONFIGURATION).write_text(json.dumps({"model_cfg": MODEL | change}))
    with pytest.raises((MalformedFileError, OptionError)):
        load_clip(find_clip(str(folder)))


def test_weights_that_want_code_are_refused(folder):
    (folder / "open_clip_model.safetensors").unlink()
    (folder / "open_clip_pytorch_model.bin").write_bytes(b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.")
    with pytest.raises(UnsafeFileError):
        load_clip(find_clip(str(folder)))


def test_python_paints_as_the_command_does(folder, tmp_path):
    import metagan as package

    painted = package.paint(
        ["an ape", "a hat::-0.5"],
        tmp_path / "out",
        generator=GOLDEN / "ros_train16.pt",
        clip=folder,
        steps=2,
        cuts=3,
    )
    assert [each.steps for each in painted] == [2]
    assert (tmp_path / "out" / "painting" / "styles.safetensors").is_file()
    with pytest.raises(OptionError, match="no prompt"):
        package.paint([], tmp_path / "out", vqgan=GOLDEN / "vq_f2_32.ckpt", clip=folder)
