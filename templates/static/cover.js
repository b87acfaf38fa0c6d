// The list of subjects as a cover: one tile after the other shows another of its pictures.

import { parseSeeds } from "./album.js";
import { keepOffline } from "./offline.js";

const PERIOD_MS = 2400;
const POOL = 8; // pictures a tile, so that a page left open loads no more than these

const list = document.querySelector("[data-cover]");
const button = document.querySelector("[data-cover-pause]");
const root = new URL(list.dataset.root, document.baseURI);
const subjects = JSON.parse(document.getElementById("cover").textContent);
const visible = new Set();
let timer = 0;
let turn = 0;

const tiles = [...list.children].map((item, i) => {
  const { slug, extension, seeds } = subjects[i];
  const all = parseSeeds(seeds);
  const others = Array.from({ length: POOL }, () => all[Math.floor(Math.random() * all.length)]);
  const files = [...new Set(others)].map((seed) => new URL(`pictures/${slug}/${seed}.${extension}`, root).href);
  return { item, mat: item.querySelector(".mat"), files, at: 0 };
});

/** Lays a tile's next picture over the one that it shows. */
async function change(tile) {
  const before = tile.mat.querySelector("img");
  const image = before.cloneNode();
  image.loading = "eager";
  image.src = tile.files[tile.at++ % tile.files.length];
  if (image.src === before.src) return;
  const isWhole = await image.decode().then(() => true, () => false);
  if (!isWhole) return;
  tile.mat.append(image);
  const gone = () => before.remove();
  const [motion] = image.getAnimations();
  if (motion) motion.finished.then(gone, gone);
  else gone();
}

function tick() {
  const shown = tiles.filter(({ item }) => visible.has(item));
  if (shown.length && !document.hidden) change(shown[turn++ % shown.length]);
}

function run(isRunning) {
  clearInterval(timer);
  timer = isRunning ? setInterval(tick, PERIOD_MS) : 0;
  button.textContent = isRunning ? button.dataset.running : button.dataset.paused;
}

const sight = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) visible[isIntersecting ? "add" : "delete"](target);
});
for (const { item } of tiles) sight.observe(item);
button.hidden = false;
button.addEventListener("click", () => run(!timer));
run(!matchMedia("(prefers-reduced-motion: reduce)").matches && !navigator.connection?.saveData);
keepOffline(root);
