"""A visitor's picture is found in the generator, on the device, and its styles are an address for everybody."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Page, expect

import metagan
from metagan.checkpoints.write import write_safetensors
from metagan.lab.axes import find_axes
from metagan.lab.encoder import Encoder, EncoderOptions, EncoderTrainer, write_encoder
from metagan.networks.loading.forms import describe
from tests.lab.nets import picture, small
from tests.site.conftest import Witness, wait_until
from tests.site.live_site import build, pixels, serving

pytestmark = pytest.mark.browser

READY = "document.querySelector('[data-yours]').dataset.ready === ''"
FOUND = "document.querySelector('[data-yours]').dataset.shown"
DROP = """([bytes, name]) => {
  const transfer = new DataTransfer();
  if (name) transfer.items.add(new File([new Uint8Array(bytes)], name));
  document.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
}"""


@pytest.fixture(scope="module")
def yours(tmp_path_factory: pytest.TempPathFactory):
    """A site with a subject that has an encoder, one without, and one without a generator for browsers."""
    folder = tmp_path_factory.mktemp("yours")
    generator = small(3, resolution=32, w_dim=16)
    for parameter in generator.parameters():  # as the browser has it
        parameter.data.copy_(parameter.data.half().float())
    write_safetensors(folder / "blob.safetensors", generator.state_dict(), describe(generator))
    trainer = EncoderTrainer(generator, EncoderOptions(axes=12, ranges=2, pictures=64, epochs=4, measured=3))
    network = trainer.train()
    write_encoder(folder / "encoder.safetensors", Encoder(trainer.measure(network), network))
    registry = """\
        site: {title: Not Here, base_url: https://someone.example/my/apes/}
        subjects:
          blob: {title: Blob <b>, weights: blob.safetensors, licence: CC0-1.0, source: me, images: 9, psi: 0.8,
                 encoder: encoder.safetensors}
          plain: {title: Orb, weights: blob.safetensors, licence: CC0-1.0, source: me, images: 9, psi: 0.8}
          shy: {title: Shy, weights: blob.safetensors, licence: CC0-1.0, source: me, images: 9, live: never}
        """
    build(folder, registry)
    with serving(folder / "build") as server:
        yield server, folder, generator


def png(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, "png")
    return file.getvalue()


def psnr_db(one: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.square(one.astype(float) - other.astype(float)).mean()))


def open_page(page: Page, address: str) -> None:
    page.goto(address)
    wait_until(page, READY)


def find(page: Page, file: bytes) -> str:
    page.evaluate("() => delete document.querySelector('[data-yours]').dataset.shown")
    page.evaluate(DROP, [list(file), "picture.png"])
    wait_until(page, FOUND)
    return page.evaluate(FOUND)


def test_the_generator_s_own_picture_is_found_without_a_request_and_shown_to_everybody(
    witness: Witness, browser: Browser, yours
):
    server, folder, generator = yours
    page = witness.page
    open_page(page, f"{server.url}blob/yours/")
    target = picture(generator, 3_000_000_007, psi=0.7)
    witness.requests.clear()
    page.context.set_offline(True)
    code = find(page, png(target))
    page.context.set_offline(False)
    assert witness.requests == []
    drawn = pixels(page, "[data-found]")[:, :, :3]
    assert psnr_db(drawn, target) > 26
    expect(page.locator("[data-verdict]")).to_contain_text("the generator’s own pictures")
    expect(page.locator("[data-letters]")).to_contain_text(f"it has {len(code)} letters")
    assert len(code) == 54  # 16 bytes and 2 ranges of 12 axes

    blob = metagan.load("blob", registry=folder / "registry.yaml")
    (same,) = blob.sample(lineage=code)
    difference = np.abs(drawn.astype(int) - np.asarray(same).astype(int))
    assert difference.max() <= 1
    assert np.mean(difference > 0) <= 0.05

    context = browser.new_context()
    other = context.new_page()
    other.goto(page.locator("[data-onward]").get_attribute("href"))
    wait_until(other, "document.querySelector('[data-breed]').dataset.shown")
    assert np.array_equal(pixels(other, "[data-one-picture]")[:, :, :3], drawn)
    expect(other.locator("[data-generation]")).to_contain_text("a visitor’s picture")
    before = other.url
    other.get_by_role("button", name="Breed it").click()
    wait_until(other, "before => location.href !== before", arg=before)
    wait_until(other, "new URLSearchParams(location.search).get('lineage') === "
               "document.querySelector('[data-breed]').dataset.shown")  # fmt: skip
    nine = [pixels(other, f"[data-brood] li:nth-child({number}) canvas")[:, :, :3] for number in range(1, 10)]
    for one, want in zip(nine, blob.sample(lineage=other.url), strict=True):
        assert np.abs(one.astype(int) - np.asarray(want).astype(int)).max() <= 1
    context.close()


def test_the_browser_s_encoder_and_axes_are_python_s(page: Page, yours):
    server, folder, generator = yours
    target = picture(generator, 3_000_000_008, psi=0.7)
    open_page(page, f"{server.url}blob/yours/")
    encoded, axes = page.evaluate(
        """async ([root, values]) => {
          const search = JSON.parse(document.getElementById("search").textContent);
          const { encode, loadEncoder } = await import(`${root}static/live/aim.js`);
          const { Studio } = await import(`${root}static/studio.js`);
          const [subject] = JSON.parse(document.getElementById("album").textContent).subjects;
          const studio = new Studio(subject, root);
          await studio.load();
          const numbers = await loadEncoder(root + search.url, search.sha256);
          const size = { height: 32, width: 32 };
          return [Array.from(encode({ ...search, numbers }, Float32Array.from(values), size)),
            Array.from((await studio.axes(12)).vectors)];
        }""",
        [server.url, (target.astype(float).ravel() / 127.5 - 1).tolist()],
    )
    from metagan.lab.encoder import read_encoder

    images = torch.from_numpy(target.transpose(2, 0, 1).copy()).float()[None] / 127.5 - 1
    with torch.inference_mode():
        want = read_encoder(folder / "encoder.safetensors").network(images)[0].numpy()
    assert np.abs(np.array(encoded) - want).max() < 1e-4
    found = np.array(axes).reshape(12, -1)
    vectors = find_axes(generator, 12).vectors.numpy()
    scale = np.abs(vectors).max() / np.abs(found).max()  # the browser's styles are those of folded weights
    assert np.abs(found * scale - vectors).max() < 1e-3 * np.abs(vectors).max()


def test_a_picture_that_comes_before_the_page_is_ready_waits_for_it(witness: Witness, yours):
    server, _, generator = yours
    page = witness.page
    page.add_init_script("""
        const get = window.fetch;
        window.fetch = async (...wish) => {
          const { url } = JSON.parse(document.getElementById("search").textContent);
          if (String(wish[0]).endsWith(url)) await new Promise((go) => (window.go = go));
          return get(...wish);
        };
    """)
    page.goto(f"{server.url}blob/yours/")
    wait_until(page, "'go' in window")  # all but the encoder is there
    target = picture(generator, 3_000_000_007, psi=0.7)
    page.evaluate(DROP, [list(png(target)), "picture.png"])
    page.evaluate(
        "() => createImageBitmap(new ImageData(99, 99))"
    )  # by then the other one would have been read
    expect(page.locator("[data-knobs]")).to_have_attribute("hidden", "")
    page.evaluate("window.go()")
    wait_until(page, FOUND)
    assert psnr_db(pixels(page, "[data-found]")[:, :, :3], target) > 26


def test_of_two_pictures_the_last_one_is_looked_for_whichever_is_read_first(witness: Witness, yours):
    server, _, generator = yours
    page = witness.page
    page.add_init_script("""
        const read = window.createImageBitmap;
        window.createImageBitmap = async (file) => {
          if (file.name === "slow.png") await new Promise((go) => (window.go = go));
          return read(file);
        };
    """)
    open_page(page, f"{server.url}blob/yours/")
    page.evaluate(DROP, [list(png(picture(generator, 5, psi=0.7))), "slow.png"])
    find(page, png(picture(generator, 3_000_000_007, psi=0.7)))
    shown = pixels(page, "[data-crop]").tobytes()
    page.evaluate("async () => { window.go(); await createImageBitmap(new ImageData(99, 99)); }")
    assert pixels(page, "[data-crop]").tobytes() == shown
    page.evaluate(DROP, [list(b"no picture"), "slow.png"])
    page.evaluate("async () => { window.last = window.go; }")
    find(page, png(picture(generator, 6, psi=0.7)))
    page.evaluate("async () => { window.last(); await createImageBitmap(new ImageData(99, 99)); }")
    expect(page.get_by_role("alert")).to_be_hidden()


def test_a_search_that_failed_leaves_nothing_behind_after_the_next_one(witness: Witness, yours):
    server, _, generator = yours
    page = witness.page
    open_page(page, f"{server.url}blob/yours/")
    page.evaluate("""() => {
      const read = CanvasRenderingContext2D.prototype.getImageData;
      CanvasRenderingContext2D.prototype.getImageData = () => {
        CanvasRenderingContext2D.prototype.getImageData = read;
        throw new RangeError("no room");
      };
    }""")
    page.evaluate(DROP, [list(png(picture(generator, 5, psi=0.7))), "picture.png"])
    expect(page.get_by_role("alert")).to_contain_text("The search failed")
    expect(page.locator("[data-search]")).to_be_hidden()
    page.locator("#zoom").fill("1.5")
    wait_until(page, FOUND)
    expect(page.get_by_role("alert")).to_be_hidden()


def test_a_page_that_can_t_be_readied_says_so(witness: Witness, yours):
    page = witness.page
    page.add_init_script("""
        const post = Worker.prototype.postMessage;
        Worker.prototype.postMessage = function (message, ...more) {
          if (message.ask === "axes") throw new RangeError("no room");
          post.call(this, message, ...more);
        };
    """)
    page.goto(f"{yours[0].url}blob/yours/")
    expect(page.get_by_role("alert")).to_contain_text("The search failed")
    expect(page.locator("[data-lacking] img")).to_have_count(9)


def test_what_is_no_picture_gets_a_sentence(witness: Witness, yours):
    page = witness.page
    open_page(page, f"{yours[0].url}blob/yours/")
    for file, said in (
        ([list(b"no picture"), "a.png"], "can’t read that file"),
        ([[], "a.png"], "This file is empty"),
        ([[], ""], "That was no file"),
    ):
        page.evaluate(DROP, file)
        expect(page.get_by_role("alert")).to_contain_text(said)
    page.evaluate("""() => {
      const file = Object.defineProperty(new File(["x"], "a.png"), "size", { value: 6e7 });
      const event = new Event("drop", { bubbles: true, cancelable: true });
      document.dispatchEvent(Object.assign(event, { dataTransfer: { files: [file] } }));
    }""")
    expect(page.get_by_role("alert")).to_contain_text("more than 50 MB")
    expect(page.locator("[data-result]")).to_be_hidden()


def test_a_stranger_s_picture_is_cropped_by_keys_and_the_verdict_says_what_it_is(browser: Browser, yours):
    """On a phone, dark, without motion; axe looks at it before and after."""
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, reduced_motion="reduce", color_scheme="dark"
    )
    page = context.new_page()
    open_page(page, f"{yours[0].url}blob/yours/")
    checker = (np.indices((60, 90)).sum(0) // 3 % 2 * 255).astype(np.uint8)[..., None].repeat(3, 2)
    checker[:, 45:] = 128
    assert Axe().run(page).violations_count == 0
    page.locator("#picture").set_input_files(
        {"name": "a.png", "mimeType": "image/png", "buffer": png(checker)}
    )
    wait_until(page, FOUND)
    expect(page.locator("[data-verdict]")).to_contain_text("can’t draw it")
    before, first = pixels(page, "[data-crop]").tobytes(), page.evaluate(FOUND)
    page.locator("#across").focus()
    page.keyboard.press("End")
    wait_until(page, f"({FOUND} ?? {first!r}) !== {first!r}")  # the search may be over before anybody looks
    assert pixels(page, "[data-crop]").tobytes() != before
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()


def test_without_an_encoder_the_search_starts_from_seeds(witness: Witness, yours):
    server, _, generator = yours
    open_page(witness.page, f"{server.url}plain/yours/")
    target = picture(generator, 3_000_000_009, psi=0.7)
    page = witness.page
    page.evaluate("delete document.querySelector('[data-yours]').dataset.shown")
    find(page, png(target))
    assert psnr_db(pixels(page, "[data-found]")[:, :, :3], target) > 22
    expect(page.locator("[data-verdict]")).to_contain_text("PSNR")


def test_without_a_generator_or_javascript_the_page_says_so(page: Page, plain: Page, yours):
    server = yours[0]
    page.goto(f"{server.url}shy/yours/")
    expect(page.locator("[data-live-note]")).to_contain_text("no generator for browsers")
    expect(page.locator("[data-lacking] img")).to_have_count(9)
    expect(page.locator("[data-bench]")).to_be_hidden()
    plain.goto(f"{server.url}blob/yours/")
    expect(plain.locator("noscript .rule")).to_contain_text("Without JavaScript")
    expect(plain.locator("noscript img:visible, .trio img:visible")).to_have_count(9)


def test_a_subject_s_page_leads_here(page: Page, yours):
    page.goto(f"{yours[0].url}blob/")
    page.locator("#picture-of-yours + p a").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Your Picture as a Blob <b>")
