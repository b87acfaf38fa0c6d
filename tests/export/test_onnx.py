"""ONNX models are the generator, for any batch, and name themselves; what can't be exported is said."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from metagan.cli.export import command
from metagan.errors import ExportError
from metagan.export import onnx as export
from metagan.export.likeness import Likeness
from metagan.export.onnx import OnnxModels, make_onnx_models, write_onnx_models
from metagan.networks.generator import Generator
from metagan.sampling.latents import latents
from tests.export.onnx_child import COMMAND, CONFIGS, make

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

ROOT = Path(__file__).parents[2]


def written(folder: Path, names) -> Path:
    """The folder, with models of these generators."""
    child = [sys.executable, "-m", "tests.export.onnx_child", str(folder), *names]
    done = subprocess.run(child, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (done.stdout, done.stderr) == ("", "")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Models of two generators, and what the command writes and says of a third."""
    return written(tmp_path_factory.mktemp("onnx"), [*CONFIGS, COMMAND])


def session(folder: Path, name: str, part: str):
    return onnxruntime.InferenceSession(folder / f"{name}.{part}.onnx")


def check(folder: Path, name: str, generator: Generator, batch: int, psi: float) -> None:
    """Run the models as a program would that knows nothing of metagan."""
    mapping, synthesis = session(folder, name, "mapping"), session(folder, name, "synthesis")
    z = latents(range(10, 10 + batch), generator.z_dim)
    label = torch.eye(generator.c_dim)[[1] * batch] if generator.c_dim else None
    given = {
        "z": z.numpy(),
        "label": None if label is None else label.numpy(),
        "psi": np.array(psi, np.float32),
    }
    taken = {value.name: given[value.name] for value in mapping.get_inputs()}
    (images,) = synthesis.run(None, {"ws": mapping.run(None, taken)[0]})
    with torch.inference_mode():
        want = generator.synthesize(generator.map_latents(z, label, psi=psi)).numpy()
    assert want.std() > 0.01
    np.testing.assert_allclose(images, want, atol=2e-5)


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize(
    ("name", "psi"), [("classes", 0.0), ("classes", 0.5), ("classes", 1.0), ("no mean", 1.0)]
)
def test_models_give_the_generator_s_pictures_for_any_batch_and_psi(folder, name, batch, psi):
    check(folder, name, make(name), batch, psi)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["stylegan3", "rosinality"])
def test_other_families_are_exported_too(tmp_path, name):
    check(written(tmp_path, [name]), name, make(name), batch=3, psi=0.5)


@pytest.mark.parametrize(("part", "inputs"), [("mapping", ["z", "label", "psi"]), ("synthesis", ["ws"])])
def test_models_hold_and_say_what_others_must_know(folder, part, inputs):
    content = (folder / f"classes.{part}.onnx").read_bytes()
    model = onnx.load_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    facts = {entry.key: entry.value for entry in model.metadata_props}
    assert facts["part"] == part
    assert facts["architecture"] == "stylegan2"
    assert facts["model_license"] == "CC0-1.0"
    assert facts["source"] == "https://example.org/a.pkl"
    assert "RandomState(seed).randn(1, 6)" in facts["seeds"]
    assert facts["psi"].startswith("truncation")
    assert model.producer_name == "metagan"
    assert [value.name for value in model.graph.input] == inputs
    assert {entry.domain: entry.version for entry in model.opset_import}[""] >= 18
    assert all(value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT for value in model.graph.input)
    assert str(ROOT).encode() not in content
    assert b".py" not in content


def test_a_generator_without_a_mean_style_takes_no_psi(folder):
    mapping = session(folder, "no mean", "mapping")
    assert [value.name for value in mapping.get_inputs()] == ["z"]
    assert "psi" not in mapping.get_modelmeta().custom_metadata_map


def test_models_that_give_other_pictures_are_refused(folder, monkeypatch):
    other = iter((folder / f"classes.{part}.onnx").read_bytes() for part in ("mapping", "synthesis"))
    monkeypatch.setattr(export, "_export", lambda *_: next(other))
    generator = make("classes")
    generator.state_dict()["blocks.1.conv1.weight"].mul_(-1)
    with pytest.raises(
        ExportError, match=r"of the values differ, by up to \d+ levels; want at most 0.1%, by one"
    ):
        make_onnx_models(generator)


def test_a_network_that_can_t_be_traced_is_said_in_words(monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("no such operator\nand a long trace")

    monkeypatch.setattr("torch.export.export", fail)
    with pytest.raises(
        ExportError, match=r"this stylegan2 can't .* ONNX: no such operator\n  fix: use `metagan sample`"
    ):
        make_onnx_models(make("classes"))


def test_what_is_missing_is_named_with_the_way_out(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name.startswith("onnxr") else find(name)
    )
    with pytest.raises(
        ExportError,
        match=r"ONNX export needs onnxruntime, which is not installed\n  fix: pip install 'metagan\[onnx\]'",
    ):
        make_onnx_models(make("classes"))


def test_noise_that_is_drawn_anew_is_refused():
    with pytest.raises(ExportError, match=r"'random' is drawn anew.*\n  fix: .*const or none"):
        make_onnx_models(make("classes"), "random")


def test_either_both_files_are_written_or_none(tmp_path):
    models = OnnxModels(b"first", b"second", Likeness(0, 0, 100))
    blocked = tmp_path / "bird.synthesis.onnx"
    blocked.mkdir()
    with pytest.raises(OSError, match="bird"):
        write_onnx_models(models, tmp_path / "bird")
    assert list(tmp_path.iterdir()) == [blocked]
    files = write_onnx_models(models, tmp_path / "ape.v2.onnx")
    assert [file.name for file in files] == ["ape.v2.mapping.onnx", "ape.v2.synthesis.onnx"]
    assert [file.read_bytes() for file in files] == [b"first", b"second"]


def test_the_command_writes_both_and_says_where_the_weights_come_from(folder):
    facts = json.loads((folder / f"{COMMAND}.json").read_text())
    assert [facts["file"], facts["synthesis"]] == [
        "keras_dcgan32.mapping.onnx",
        "keras_dcgan32.synthesis.onnx",
    ]
    assert facts["size_bytes"] == sum(file.stat().st_size for file in folder.glob("keras_dcgan32.*.onnx"))
    meta = session(folder, "keras_dcgan32", "mapping").get_modelmeta().custom_metadata_map
    assert (meta["source"], meta["model_license"]) == ("keras_dcgan32.zip", "unknown")
    check(folder, "keras_dcgan32", make("dcgan"), batch=2, psi=1.0)


def test_precision_is_the_browser_s_alone():
    result = CliRunner().invoke(command, ["bundled:apes", "--to", "onnx", "--precision", "int8"])
    assert result.exit_code == 2
    assert "ONNX models are fp32" in result.output
