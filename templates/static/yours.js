// A visitor's picture, found in the generator: it is cropped here, workers draw, fit.js searches. Nothing of it leaves the page. What is
// found is a lineage of one projected founder (lineage.js), which the page for breeding shows, so that its address can be shared.

import { usualLabel } from "./address.js";
import { Album } from "./album.js";
import { paint } from "./canvas.js";
import { distanceOf, fit, nearest, psnrOf, rounds } from "./fit.js";
import { PSI_UNITS, writeLineage } from "./lineage.js";
import { loadEncoder } from "./live/aim.js";
import { codeOnAxes, toNumbers, UNITS } from "./live/axes.js";
import { keepOffline } from "./offline.js";
import { Panel } from "./panel.js";
import { bindSharing } from "./share.js";
import { Studio } from "./studio.js";

const MOST_BYTES = 50e6;
const CANDIDATES = 64; // seeds to start from where there is no encoder
const USUAL = { axes: 32, ranges: 3 }; // where there is none to say
const BEYOND = 10; // so many times as far off as the worst of its own, in squares: it can't draw that
const PATIENCE_MS = 2000; // the page is without pictures for no longer than this
const REST_MS = 400; // after which a moved crop is searched

const album = new Album(JSON.parse(document.getElementById("album").textContent));
const search = JSON.parse(document.getElementById("search").textContent);
const [subject] = album.subjects;
const page = document.querySelector("[data-yours]");
const root = new URL(page.dataset.root, document.baseURI);
const find = (selector) => page.querySelector(selector);
const [crop, found] = [find("[data-crop]"), find("[data-found]")];
const [zoom, across, down] = ["zoom", "across", "down"].map((name) => find(`[data-${name}]`));
const studio = new Studio(subject, root);
const panel = new Panel(page, again, () => studio.stop());

let { ranges, axes: count } = search ?? USUAL;
const label = search?.label ?? usualLabel(subject.live);
let encoder = null; // its numbers
let picture = null; // the visitor's, an ImageBitmap
let early = null; // a file that came before the page was ready
let takes = 0;
let running = new AbortController();
let last = Promise.resolve();
let address = ""; // of what was found

function complain(name) {
  const line = find("[data-complaint]");
  line.textContent = line.dataset[name] ?? "";
  line.hidden = !line.textContent;
}

function say(name, more = "") {
  const line = find("[data-status]");
  line.textContent = [line.dataset[name], more].filter(Boolean).join(" ");
}

// ---------------------------------------------------------------------------------------------
// The picture

const isReady = () => "ready" in page.dataset;

/** Takes a file now, or as soon as the page is ready: until then its pictures are compared with grey. */
function receive(file) {
  if (isReady()) take(file);
  else early = file ?? null;
}

/** Looks for a file's picture; of several the last one is meant, whichever is read first. */
async function take(file) {
  const current = ++takes;
  complain("");
  if (!file) return complain("none");
  if (!file.size) return complain("empty");
  if (file.size > MOST_BYTES) return complain("large");
  let opened;
  try {
    opened = await createImageBitmap(file);
  } catch {
    if (current === takes) complain("unread");
    return;
  }
  if (current !== takes) return opened.close();
  picture?.close();
  picture = opened;
  [zoom.value, across.value, down.value] = [1, 0.5, 0.5];
  find("[data-knobs]").hidden = false;
  crop.classList.add("dragged");
  crop.setAttribute("aria-label", "Your picture, as it is cropped");
  show();
  return start();
}

/** The part of the picture that is looked at, with the shape of the generator's. */
function cropped() {
  const { width, height } = studio.config;
  const scale = Math.min(picture.width / width, picture.height / height) / Number(zoom.value);
  const size = [width * scale, height * scale];
  return [(picture.width - size[0]) * Number(across.value), (picture.height - size[1]) * Number(down.value), ...size];
}

function drawOn(canvas, context) {
  context.imageSmoothingQuality = "high";
  context.fillStyle = "#fff"; // behind what is transparent
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(picture, ...cropped(), 0, 0, canvas.width, canvas.height);
}

const show = () => drawOn(crop, crop.getContext("2d"));

/** The cropped picture's numbers within [-1, 1], at the generator's own size. */
function numbers() {
  const { width, height, image_channels: channels } = studio.config;
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  drawOn(canvas, context);
  const { data } = context.getImageData(0, 0, width, height);
  const all = new Float32Array(width * height * channels);
  for (let i = 0; i < width * height; i++) {
    const [red, green, blue] = data.subarray(4 * i, 4 * i + 3);
    const values = channels === 1 ? [0.299 * red + 0.587 * green + 0.114 * blue] : [red, green, blue];
    values.forEach((value, channel) => (all[i * channels + channel] = (value - 127.5) / 127.5));
  }
  return all;
}

// ---------------------------------------------------------------------------------------------
// The search

/** Searches for what is cropped now; an earlier search ends. */
function start() {
  complain("");
  running.abort();
  running = new AbortController();
  const { signal } = running;
  const before = last;
  last = (async () => {
    await before;
    if (signal.aborted) return;
    await look(signal).catch(() => signal.aborted || fail());
  })();
  return last;
}

function fail() {
  find("[data-search]").hidden = true;
  complain("broken");
}

async function look(signal) {
  delete page.dataset.shown;
  const began = performance.now();
  const bar = find("[data-search]");
  Object.assign(bar, { hidden: false, max: rounds, value: 0 });
  find("[data-verdict]").textContent = "";
  find("[data-result]").hidden = true;
  const { pool } = studio;
  const axes = await studio.axes(count, label);
  const wanted = numbers();
  await pool.aim({ picture: wanted, axes });
  const ask = (wish) => pool.apart(wish);
  const from = await nearest(ask, await startsFor(wanted, axes));
  await reveal(toNumbers(from, 1), signal);
  let shown = Promise.resolve();
  const code = await fit(ask, from, ranges, {
    signal,
    tell: (there, parts, done) => {
      bar.value = done;
      shown = shown.then(() => reveal(toNumbers(there, parts), signal));
    },
  });
  await shown;
  if (signal.aborted) return;
  const projected = toNumbers(code, ranges);
  const apart = await ask({ code: Float64Array.from(projected.flat(), (number) => number / UNITS), ranges });
  await reveal(projected, signal);
  if (signal.aborted) return;
  bar.hidden = true;
  conclude(projected, apart, wanted.length, (performance.now() - began) / 1000);
}

/** Where the search may begin: the encoder's answer and the mean, or many seeds. */
async function startsFor(wanted, axes) {
  const mean = new Float64Array(axes.count);
  if (encoder) return [await studio.pool.encode({ encoder: { ...search, numbers: encoder }, picture: wanted }), mean];
  const styles = await Promise.all(Array.from({ length: CANDIDATES }, (_, seed) => studio.pool.style({ seed, label })));
  return [...styles.map((w) => codeOnAxes(axes, w)), mean];
}

async function reveal(projected, signal) {
  if (signal.aborted) return;
  const drawn = await studio.paint(await studio.projected(projected, label));
  if (!signal.aborted) paint(found, drawn);
}

function conclude(projected, apart, values, seconds) {
  const family = { layers: studio.layers, mark: subject.live.mark, psi: psi(), label };
  const code = writeLineage(family, { projected });
  address = new URL(`${subject.slug}/breed/?lineage=${code}`, root).href;
  find("[data-onward]").href = address;
  find("[data-letters]").textContent =
    `Found in ${seconds.toFixed(1)} s. The address holds the ${subject.title}, not your picture; it has ${code.length} letters after lineage=.`;
  find("[data-verdict]").textContent = `${verdict(distanceOf(apart))} PSNR ${psnrOf(apart, values).toFixed(1)} dB.`;
  found.setAttribute("aria-label", `The ${subject.title} most like your picture`);
  find("[data-result]").hidden = false;
  say("");
  page.dataset.shown = code;
}

const psi = () => Math.round(PSI_UNITS * studio.allowed(subject.live.psi));

/** How well it fits, beside the generator's own pictures after the same search. */
function verdict(distance) {
  const own = search?.distances;
  if (!own) return "This is the most similar one that was found.";
  const share = own.filter((other) => other >= distance).length / own.length;
  const worst = Math.max(...own);
  if (distance > BEYOND * worst) {
    const times = (distance / worst).toFixed(0);
    return `This generator can’t draw it: the ${subject.title} is ${times} times as far off as the worst of its own pictures. This is the most similar one that was found.`;
  }
  if (!share) {
    const by = distance < 2 * worst ? "if not by much" : `${(distance / worst).toFixed(1)} times as far off as the worst of them`;
    return `It fits worse than all ${own.length} of the generator’s own pictures, ${by}.`;
  }
  return `It fits as well as ${Math.round(100 * share)}% of the generator’s own pictures do.`;
}

// ---------------------------------------------------------------------------------------------
// The page

let resting = 0;

function moved() {
  if (!picture) return;
  show();
  running.abort();
  clearTimeout(resting);
  resting = setTimeout(start, REST_MS);
}

/** Dragging moves the picture below the window. */
function drag(event) {
  if (!picture || !(event.buttons & 1)) return;
  const [, , width, height] = cropped();
  const scale = width / crop.clientWidth;
  for (const [slider, free, by] of [
    [across, picture.width - width, event.movementX],
    [down, picture.height - height, event.movementY],
  ]) {
    if (free > 0.5) slider.valueAsNumber -= (by * scale) / free;
  }
  moved();
}

function again() {
  studio.retry();
  begin();
}

async function begin() {
  find("[data-lacking]").hidden = true;
  find("[data-rule]").hidden = false;
  const loading = studio.load((...progress) => panel.progress(...progress));
  panel.tell(studio);
  const late = setTimeout(() => showPrepared(true), PATIENCE_MS);
  const ready = await loading;
  panel.tell(studio);
  if (!ready) {
    clearTimeout(late);
    return lack();
  }
  try {
    await prepare();
  } catch {
    showPrepared(false);
    return fail();
  } finally {
    clearTimeout(late);
  }
  find("[data-lacking]").hidden = true;
  find("[data-bench]").hidden = false;
  page.dataset.ready = "";
  if (early) take(early);
  early = null;
}

/** Readies the search. */
async function prepare() {
  await studio.grow({ forProcessor: true });
  // All that the search takes is there before a picture is chosen: from then on nothing is asked of any server.
  if (search) encoder = await loadEncoder(new URL(search.url, root).href, search.sha256).catch(() => null);
  const { width, height, widths, image_channels: channels } = studio.config;
  [ranges, count] = [Math.min(ranges, studio.layers), Math.min(count, widths.at(-1))];
  const axes = await studio.axes(count, label);
  await studio.pool.aim({ picture: new Float32Array(width * height * channels), axes });
  await studio.projected(toNumbers(new Float64Array(count), 1), label);
}

/** Prepared pictures; of those that stand in until the generator is there the panel doesn't say what they are. */
function showPrepared(meanwhile) {
  find("[data-lacking]").hidden = false;
  find("[data-meanwhile]").hidden = !meanwhile;
}

/** Without a generator there is the gallery. */
function lack() {
  panel.tell(studio);
  find("[data-rule]").hidden = true;
  showPrepared(false);
}

find("[data-file]").addEventListener("change", ({ target }) => {
  if (target.files.length) take(target.files[0]);
  target.value = ""; // the same one may be chosen again
});
for (const slider of [zoom, across, down]) slider.addEventListener("input", moved);
crop.addEventListener("pointerdown", (event) => crop.setPointerCapture(event.pointerId));
crop.addEventListener("pointermove", drag);
document.addEventListener("paste", ({ clipboardData }) => {
  if (clipboardData?.files.length) receive(clipboardData.files[0]);
});
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault(); // a file that is dropped beside would be opened in place of the page
    find(".couple").classList.toggle("dropping", kind === "dragover" && isReady());
    if (kind === "drop") receive(event.dataTransfer.files[0]);
  });
}
bindSharing({ link: () => address, say });
keepOffline(root);
await studio.consider();
if (studio.hopeful) begin();
else lack();
