"""Painting: it comes nearer to its prompts, keeps every step, goes on, and refuses what it can't use."""

import dataclasses
import hashlib
import json
import math
import shutil
import struct
import sys
import zlib

import fsspec
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner
from PIL import Image
from torch import nn

from metagan.cli import metagan
from metagan.errors import DatasetError, DeviceError, MalformedFileError, MetaganError, OptionError
from metagan.images.provenance import SOURCE_TYPE
from metagan.lab.canvas import GeneratorCanvas, VQGANCanvas, open_canvas, saved_bytes
from metagan.lab.cutouts import Cutouts
from metagan.lab.paint import Painter, PaintOptions, Prompt, read_prompts
from metagan.lab.paint_files import choose_seed, list_starts, paint_into
from metagan.lab.styles import read_styles
from metagan.networks.vqgan import VQGANConfig, load_vqgan
from tests.lab.nets import FILES, GOLDEN, load, small
from tests.networks.vqgan.nets import published_names, random_vqgan, write_lightning

VQ = GOLDEN / "vq_f2_32.ckpt"
WORDS = (Prompt("a bored ape"),)
SHORT = PaintOptions(steps=4, cuts=3, cuts_at_once=2)


class SmallClip(nn.Module):
    """Compares pictures with words by random networks: a convolution of pictures, and a hash of words."""

    name, side_px, fingerprint = "small", 16, "0" * 64

    def __init__(self):
        super().__init__()
        rng = torch.Generator().manual_seed(5)
        self.kernel = nn.Parameter(torch.randn(12, 3, 4, 4, generator=rng) / 7, requires_grad=False)
        self.largest_batch = 0

    def pictures(self, pictures):
        assert pictures.shape[1:] == (3, 16, 16)
        self.largest_batch = max(self.largest_batch, len(pictures))
        return F.normalize(F.conv2d(pictures, self.kernel, stride=4).tanh().mean(dim=(2, 3)), dim=1)

    def texts(self, texts):
        seeds = [int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) for text in texts]
        return F.normalize(
            torch.stack([torch.randn(12, generator=torch.Generator().manual_seed(s)) for s in seeds])
        )

    def tokens_over(self, text):
        return max(0, len(text.split()) - 75)


@pytest.fixture(scope="module")
def vqgan():
    return load_vqgan(VQ)


def painter_of(vqgan, options=SHORT, prompts=WORDS, size=(24, 16), clip=None):
    return Painter(VQGANCanvas(vqgan, *size), clip or SmallClip(), prompts, options)


def picture_file(path, colour=(200, 40, 90), size=(40, 30)):
    Image.new("RGB", size, colour).save(path)
    return path


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("what", ["vqgan", "stylegan2", "stylegan3", "lucidrains", "r3gan", "dcgan"])
def test_a_painting_comes_nearer_to_its_prompts_on_every_kind_of_canvas(vqgan, what):
    if what == "vqgan":
        canvas = VQGANCanvas(vqgan, 16, 16)
    else:
        generator = load(what)
        canvas = GeneratorCanvas(generator, 0 if generator.c_dim else None)
    clip = SmallClip()
    painter = Painter(canvas, clip, WORDS, PaintOptions(steps=25, cuts=6, augment=False, learning_rate=0.1))
    pictures = []
    painter.run(painter.begin(None), lambda _, picture: pictures.append(picture))

    def likeness(picture):
        pixels = torch.from_numpy(picture.transpose(2, 0, 1).copy()).float()[None] / 127.5 - 1
        return float((clip.pictures(F.adaptive_avg_pool2d(pixels, 16)) * clip.texts(["a bored ape"])).sum())

    assert len(pictures) == 26
    assert likeness(pictures[-1]) > likeness(pictures[0]) + 0.02


def test_weights_below_zero_lead_away(vqgan):
    def distances(weight):
        options = PaintOptions(steps=15, cuts=4, augment=False)
        painter = Painter(GeneratorCanvas(small()), SmallClip(), (Prompt("a hat", weight=weight),), options)
        painting = painter.begin(None)
        painter.run(painting)
        return painting.distances

    toward, away = distances(1.0), distances(-1.0)
    assert away[0] == pytest.approx(-toward[0])
    assert -away[-1] > toward[-1]


def test_how_many_cutouts_are_taken_at_once_and_what_is_computed_twice_changes_nothing(vqgan):
    found = []
    for at_once, twice in ((1, False), (3, True)):
        clip = SmallClip()
        options = dataclasses.replace(SHORT, steps=1, cuts_at_once=at_once, checkpointing=twice)
        painter = painter_of(vqgan, options, clip=clip)
        clip.largest_batch = 0  # the plan of memory tried two
        painting = painter.begin(None)
        painter.run(painting)
        assert clip.largest_batch == at_once
        found.append(painting)
    assert found[0].distances == pytest.approx(found[1].distances, abs=1e-5)
    assert torch.allclose(found[0].moments[0], found[1].moments[0], atol=1e-7, rtol=1e-3)


def test_features_stay_within_the_codebooks_range(vqgan):
    painter = painter_of(vqgan, dataclasses.replace(SHORT, learning_rate=10.0))
    painting = painter.begin(None)
    painter.run(painting)
    least, most = (getattr(vqgan.codebook, end)(dim=0).view(1, -1, 1, 1) for end in ("amin", "amax"))
    assert bool(((painting.code >= least) & (painting.code <= most)).all())


def test_every_step_is_kept_under_its_number_with_what_made_it(vqgan, tmp_path):
    start = picture_file(tmp_path / "art.png")
    prompts = (Prompt("an ape"), Prompt("a hat", weight=-0.5), Prompt(picture=start, weight=2))
    (painted,) = paint_into(str(tmp_path / "out"), painter_of(vqgan, prompts=prompts), [start])
    folder = tmp_path / "out" / "art"
    assert sorted(path.name for path in folder.iterdir()) == [
        *(f"{number:04d}.png" for number in range(5)), "painting.json", "state.safetensors"]  # fmt: skip
    assert painted.address == f"{folder}/0004.png"
    pictures = [np.asarray(Image.open(folder / f"{number:04d}.png")) for number in range(5)]
    assert (pictures[4] == painted.picture).all()
    assert (pictures[0] != pictures[4]).any()
    assert pictures[0].shape == (24, 16, 3)
    assert SOURCE_TYPE.encode() in (folder / "0002.png").read_bytes()
    facts = json.loads((folder / "painting.json").read_text())
    assert facts["seed"] == 0
    assert facts["prompts"] == [
        {"text": "an ape", "weight": 1.0}, {"text": "a hat", "weight": -0.5}, {"picture": "art.png", "weight": 2.0}
    ]  # fmt: skip
    assert len(facts["distances"]) == 4


def test_a_painting_begins_as_the_vqgan_draws_its_picture(vqgan, tmp_path):
    start = picture_file(tmp_path / "art.png", size=(16, 24))
    painter = painter_of(vqgan)
    drawn = {}
    painter.run(painter.begin(start), lambda painting, picture: drawn.setdefault(painting.step, picture))
    with torch.inference_mode():
        pixels = torch.from_numpy(np.asarray(Image.open(start)).astype(np.float32).transpose(2, 0, 1).copy())
        codes = vqgan.choose(vqgan.encode(pixels[None] / 127.5 - 1))
        wanted = vqgan.decode(vqgan.look_up(codes))[0].permute(1, 2, 0).numpy() * 127.5 + 128
    assert np.abs(np.clip(wanted, 0, 255) - drawn[0]).max() <= 1.01


class Stop(Exception):
    """Stands for a machine that goes away."""


@pytest.mark.parametrize("place", ["folder", "memory"])
def test_an_interrupted_painting_goes_on_and_ends_the_same(vqgan, tmp_path, place):
    root = str(tmp_path / "out") if place == "folder" else f"memory://{tmp_path.name}/out"
    starts = [picture_file(tmp_path / "a.png"), picture_file(tmp_path / "b.png", (10, 200, 30))]

    def content(where):
        files = fsspec.core.url_to_fs(where)
        return {name.rpartition("/")[2]: data for name, data in files[0].cat(files[0].find(files[1])).items()}

    def paint(where, options=SHORT, advance=lambda _: None):
        return list(paint_into(where, painter_of(vqgan, options), starts, advance=advance, state_every_s=0))

    paint(f"{root}1")
    count = 0

    def stop(amount):
        nonlocal count
        count += amount
        if count >= 6:  # in the second picture
            raise Stop

    with pytest.raises(Stop):
        paint(f"{root}2", advance=stop)
    assert {"0004.png", "0002.png"} <= content(f"{root}2").keys()
    paint(f"{root}2")
    assert content(f"{root}1") == content(f"{root}2")
    more = dataclasses.replace(SHORT, steps=6)
    paint(f"{root}2", more)
    paint(f"{root}3", more)
    assert content(f"{root}3")["0006.png"] == content(f"{root}2")["0006.png"]


def test_other_prompts_dont_replace_a_painting_unless_they_are_asked_to(vqgan, tmp_path):
    out = str(tmp_path / "out")
    list(paint_into(out, painter_of(vqgan)))
    before = files_of(tmp_path / "out")
    for change in ({"prompts": (Prompt("a cat"),)}, {"options": dataclasses.replace(SHORT, seed=3)}):
        with pytest.raises(OptionError, match="other prompts") as caught:
            list(paint_into(out, painter_of(vqgan, **change)))
        assert "--again" in (caught.value.fix or "")
    assert files_of(tmp_path / "out") == before
    list(paint_into(out, painter_of(vqgan, prompts=(Prompt("a cat"),)), again=True))
    assert files_of(tmp_path / "out") != before


def test_a_painting_begun_anew_leaves_no_steps_of_the_former(vqgan, tmp_path):
    out = str(tmp_path)
    list(paint_into(out, painter_of(vqgan)))
    (folder,) = tmp_path.iterdir()
    (folder / "0099.png").write_bytes(b"of a longer run")
    (folder / "mine.png").write_bytes(b"a picture")
    list(paint_into(out, painter_of(vqgan)))
    assert (folder / "0099.png").exists()
    list(paint_into(out, painter_of(vqgan, prompts=(Prompt("a cat"),)), again=True))
    assert not (folder / "0099.png").exists()
    assert (folder / "mine.png").exists()


def test_a_drawn_seed_is_taken_again_after_an_interruption(vqgan, tmp_path):
    out = str(tmp_path / "out")
    assert choose_seed(7, out) == 7
    seed = choose_seed(-1, out)
    assert seed != choose_seed(-1, out)
    list(paint_into(out, painter_of(vqgan, dataclasses.replace(SHORT, seed=seed))))
    assert choose_seed(-1, out) == seed
    assert choose_seed(-1, out, [tmp_path / "added.png", tmp_path / "painting.png"]) == seed
    (tmp_path / "out" / "painting" / "painting.json").write_text('{"seed": "x"}')
    assert 0 <= choose_seed(-1, out) < 2**32


def test_a_damaged_state_is_painted_anew(vqgan, tmp_path):
    out = tmp_path / "out"
    list(paint_into(str(out), painter_of(vqgan)))
    before = files_of(out)
    for damage in (b"", b"x" * 40, (out / "painting" / "state.safetensors").read_bytes()[:90]):
        (out / "painting" / "state.safetensors").write_bytes(damage)
        list(paint_into(str(out), painter_of(vqgan)))
        assert files_of(out) == before


def test_a_generators_painting_is_a_styles_file_and_begins_with_one(tmp_path):
    generator = small()
    painter = Painter(GeneratorCanvas(generator), SmallClip(), WORDS, SHORT)
    (painted,) = paint_into(str(tmp_path / "one"), painter)
    path = tmp_path / "one" / "painting" / "styles.safetensors"
    with torch.inference_mode():
        drawn = generator.synthesize(read_styles(path).ws[None])[0].permute(1, 2, 0) * 127.5 + 128
    assert np.abs(drawn.clamp(0, 255).floor().numpy() - painted.picture).max() <= 1
    first = []
    painter.run(painter.begin(path), lambda _, picture: first.append(picture))
    assert np.abs(first[0].astype(int) - painted.picture).max() <= 2
    with pytest.raises(OptionError, match="another generator"):
        GeneratorCanvas(small(seed=9)).start_from(path)
    with pytest.raises(OptionError, match="metagan project") as caught:
        GeneratorCanvas(generator).start_from(picture_file(tmp_path / "a.png"))
    assert "not with a picture" in str(caught.value)
    shutil.copy(path, tmp_path / "b.safetensors")
    assert list_starts(tmp_path, styles=True) == [tmp_path / "b.safetensors"]


def test_memory_is_measured_and_bounded(vqgan):
    plenty = painter_of(vqgan, PaintOptions(cuts=16)).plan
    assert (plenty.cuts_at_once, plenty.checkpointing) == (16, False)
    less = plenty.weights_bytes + plenty.drawing_bytes + 3 * plenty.cut_bytes
    assert painter_of(vqgan, PaintOptions(cuts=16, memory_bytes=less)).plan.cuts_at_once == 3
    tight = painter_of(vqgan, PaintOptions(cuts=16, memory_bytes=less - 3 * plenty.cut_bytes)).plan
    assert tight.checkpointing
    assert tight.drawing_bytes < plenty.drawing_bytes
    with pytest.raises(DeviceError, match="takes about") as caught:
        painter_of(vqgan, PaintOptions(memory_bytes=1000))
    assert "--size" in (caught.value.fix or "")
    code = painter_of(vqgan).canvas.random_start(0).requires_grad_()
    large = VQGANCanvas(vqgan, 48, 32)
    measured = saved_bytes(lambda: large.draw(large.random_start(0).requires_grad_()), vqgan)
    assert measured == pytest.approx(large.drawing_bytes(checkpointing=False), rel=0.2)
    assert code.requires_grad


def test_bf16_is_another_painting_of_the_same_length(vqgan):
    painter = painter_of(vqgan, dataclasses.replace(SHORT, precision="bf16"))
    painting = painter.begin(None)
    painter.run(painting)
    assert all(map(math.isfinite, painting.distances))
    assert painting.code.dtype == torch.float32


def test_cutouts_are_whole_parts_of_the_picture():
    picture = torch.linspace(-1, 1, 60).view(1, 1, 1, 60).expand(1, 3, 40, 60)
    plain = Cutouts(16, augment=False)
    cuts = list(plain.plan(40, 60, 50, torch.Generator().manual_seed(1)))
    assert all(0 <= cut.top <= 40 - cut.side and 0 <= cut.left <= 60 - cut.side for cut in cuts)
    assert min(cut.side for cut in cuts) < 20
    assert max(cut.side for cut in cuts) > 36
    for cut, seen in zip(cuts, plain.cut(picture, cuts), strict=True):
        middle = -1 + 2 * (cut.left + (cut.side - 1) / 2) / 59
        assert seen.shape == (3, 16, 16)
        assert float(seen.mean()) == pytest.approx(middle, abs=0.01)
    altered = Cutouts(16)
    several = list(altered.plan(40, 60, 6, torch.Generator().manual_seed(1)))
    together = altered.cut(picture, several)
    assert torch.allclose(together[3], altered.cut(picture, several[3:4])[0], atol=1e-5)
    assert float((together - together.mean(dim=0)).abs().max()) > 0.3


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("a ratio of 16:9", Prompt("a ratio of 16:9")),
        ("a hat::-0.5", Prompt("a hat", weight=-0.5)),
        ("nan", Prompt("nan")),
        ("a::b::2", Prompt("a::b", weight=2.0)),
    ],
)
def test_prompts_are_words_with_a_weight_behind(text, want):
    assert Prompt.read(text) == want


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "::2",
        "a::nan",
        "a::inf",
        "a::-inf",
        "a::0",
        "a::1e9",
        "a::",
        "a::b",
        "a\nb",
        "x" * 3000,
        "a\0b",
    ],
)
def test_prompts_that_mean_nothing_are_refused(text):
    with pytest.raises(OptionError) as caught:
        Prompt.read(text)
    assert caught.value.fix


@pytest.mark.parametrize(
    "change",
    [{"steps": 0}, {"cuts": 0}, {"learning_rate": float("nan")}, {"learning_rate": float("inf")}, {"seed": -1},
     {"cuts_at_once": 0}, {"memory_bytes": 0}],
)  # fmt: skip
def test_options_out_of_range_are_refused(change):
    with pytest.raises(OptionError):
        PaintOptions(**change)


def test_hostile_pictures_are_refused(vqgan, tmp_path):
    bomb = tmp_path / "bomb.png"
    Image.new("1", (8, 8)).save(bomb)
    data = bytearray(bomb.read_bytes())
    data[16:24] = struct.pack(">II", 30_000, 30_000)  # the header's width and height, and its checksum
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    bomb.write_bytes(data)
    text = tmp_path / "text.png"
    text.write_text("no picture")
    for path in (bomb, text):
        with pytest.raises(DatasetError):
            painter_of(vqgan).begin(path)
        with pytest.raises(DatasetError):
            painter_of(vqgan, prompts=(Prompt(picture=path),))
    with pytest.raises(OptionError, match="there is no such file"):
        read_prompts((), ["none.png::0.5"])
    with pytest.raises(OptionError, match="no prompt"):
        read_prompts(())


def test_a_picture_that_cant_be_read_is_found_before_the_others_are_painted(vqgan, tmp_path):
    starts = [picture_file(tmp_path / "a.png"), tmp_path / "b.png"]
    starts[1].write_text("no picture")
    with pytest.raises(DatasetError, match="not a picture"):
        list(paint_into(str(tmp_path / "out"), painter_of(vqgan), starts))
    assert not (tmp_path / "out").exists()


def test_a_pictures_name_never_leads_out_of_the_folder(vqgan, tmp_path):
    start = picture_file(tmp_path / "a.png").rename(tmp_path / "...png")
    with pytest.raises(OptionError, match="name can't"):
        list(paint_into(str(tmp_path / "out"), painter_of(vqgan), [start]))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["...png"]


def test_numbers_that_run_away_end_the_painting_in_words(vqgan):
    class Broken(SmallClip):
        def pictures(self, pictures):
            return super().pictures(pictures) * float("nan")

    painter = painter_of(vqgan, clip=Broken())
    with pytest.raises(OptionError, match="not finite"):
        painter.run(painter.begin(None))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"vqgan": None, "generator": None}, "either"),
        ({"vqgan": VQ, "generator": "bundled:apes"}, "either"),
        ({"vqgan": None, "generator": "bundled:apes", "size": "64"}, "own size"),
        ({"vqgan": VQ, "generator": None, "size": "2"}, "sides from"),
        ({"vqgan": VQ, "generator": None, "size": "99999"}, "sides from"),
        ({"vqgan": VQ, "generator": None, "size": "nan"}, "want a side"),
        ({"vqgan": VQ, "generator": None, "label": 1}, "no classes"),
        ({"vqgan": None, "generator": str(GOLDEN / FILES["stylegan3"])}, "classes"),
        ({"vqgan": GOLDEN / "none.ckpt", "generator": None}, "none.ckpt"),
    ],
)
def test_what_cant_be_painted_on_is_refused_in_words(arguments, says):
    with pytest.raises(MetaganError, match=says):
        open_canvas(**arguments)


def test_sizes_are_rounded_down_to_whole_codes():
    config = VQGANConfig((32, 32, 32), 32, 1, (), 4, 4, 8)
    canvas = VQGANCanvas(random_vqgan(config), 30, 45)
    assert (canvas.height, canvas.width) == (28, 44)
    assert canvas.draw(canvas.random_start(1)).shape == (1, 3, 28, 44)


def test_the_command_says_what_is_missing_before_it_reads_anything(monkeypatch, tmp_path):
    def run(*words):
        return CliRunner().invoke(metagan, ["paint", "--out", str(tmp_path / "out"), *words])

    monkeypatch.setitem(sys.modules, "open_clip", None)
    result = run("--vqgan", str(VQ), "--prompt", "an ape")
    assert "metagan[paint]" in str(result.exception)
    result = run("--vqgan", str(VQ), "--prompt", "an ape::nan")
    assert "weight" in str(result.exception)
    result = run("--vqgan", str(VQ), "--prompt", "an ape", "--clip", str(tmp_path))
    assert "open_clip_config.json" in str(result.exception)
    result = run("--vqgan", str(VQ), "--prompt", "an ape", "--init", str(tmp_path / "none"))
    assert "no such file" in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_that_wants_code_is_refused(tmp_path):
    path = write_lightning(
        tmp_path / "net.ckpt",
        published_names(random_vqgan(VQGANConfig((32,), 32, 1, (), 4, 4, 8))),
        ("os_", "system"),
    )
    with pytest.raises(MetaganError, match="os_"):
        open_canvas(path, None)
    (tmp_path / "net.yaml").write_text("model: {target: os.system, params: {}}")
    with pytest.raises(MetaganError):
        open_canvas(path, None)
    with pytest.raises(MalformedFileError):
        GeneratorCanvas(small()).start_from(tmp_path / "none.safetensors")
