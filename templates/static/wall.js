// Pictures without end: tiles are made as they come into sight, and let go of when they are far. Where the generator
// can't run or is slow to come there are the prepared ones.

import { short, usualLabel, writePick } from "./address.js";
import { Album } from "./album.js";
import { canvasOf } from "./canvas.js";
import { fillGallery } from "./gallery.js";
import { keepOffline } from "./offline.js";
import { Panel } from "./panel.js";
import { anySeed, Studio } from "./studio.js";

const BATCH = 24;
const MARGIN = "600px";
const PATIENCE_MS = 2000; // the wall is empty for no longer than this

const data = JSON.parse(document.getElementById("album").textContent);
const [subject] = data.subjects;
const wall = document.querySelector("[data-wall]");
const list = wall.querySelector("[data-tiles]");
const end = wall.querySelector("[data-end]");
const how = wall.querySelector("[data-how]");
const root = new URL(wall.dataset.root, document.baseURI);
const studio = new Studio(subject, root);
const panel = new Panel(wall, start, () => studio.stop());
const settings = { psi: subject.live.psi, label: usualLabel(subject.live) };
const waiting = new Set(); // tiles in sight that are still empty
let busy = 0;
let stopPrepared = null; // ends the growth of the prepared ones, while there are any

const pickOf = (item) => ({ subject, live: true, seed: Number(item.dataset.seed), ...settings });

function tile() {
  const item = document.createElement("li");
  const link = document.createElement("a");
  item.dataset.seed = anySeed();
  item.append(link);
  point(item, link);
  sight.observe(item);
  return item;
}

function point(item, link) {
  const { seed } = item.dataset;
  link.href = new URL(`${subject.slug}/${writePick(pickOf(item))}`, root);
  link.setAttribute("aria-label", data.alt.replaceAll("{title}", subject.title).replaceAll("{seed}", seed));
}

/** Makes what is wanted, so many at a time as there are workers; nothing while the page is hidden. */
async function work() {
  while (waiting.size && busy < studio.workers && !document.hidden) {
    const [item] = waiting;
    waiting.delete(item);
    busy++;
    make(item).finally(() => {
      busy--;
      work();
    });
  }
}

async function make(item) {
  const wanted = short(settings.psi) + settings.label;
  const picture = await studio.picture(pickOf(item)).catch(() => null);
  if (!picture || !item.dataset.near) return;
  const canvas = canvasOf(picture);
  canvas.setAttribute("aria-hidden", "true");
  item.firstChild.replaceChildren(canvas);
  if (wanted !== short(settings.psi) + settings.label) waiting.add(item);
}

const sight = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting) {
      target.dataset.near = "yes";
      if (!target.firstChild.firstChild) waiting.add(target);
    } else {
      delete target.dataset.near;
      waiting.delete(target);
      target.firstChild.replaceChildren();
    }
  }
  work();
}, { rootMargin: MARGIN });

const growth = new IntersectionObserver((entries) => {
  if (!entries.at(-1).isIntersecting) return; // a busy page gets several at once
  list.append(...Array.from({ length: BATCH }, tile));
  growth.unobserve(end);
  growth.observe(end);
}, { rootMargin: MARGIN });

function showPrepared() {
  const url = (path) => new URL(path, root).href;
  stopPrepared ??= fillGallery(wall, { album: new Album(data), url });
  if (how) how.textContent = studio.state === "loading" ? how.dataset.howPrepared : ""; // else the panel says it
}

async function start() {
  if (!studio.hopeful) studio.retry();
  const loading = studio.load((...progress) => panel.progress(...progress));
  panel.tell(studio);
  const late = setTimeout(showPrepared, PATIENCE_MS);
  const ready = await loading;
  clearTimeout(late);
  panel.tell(studio);
  panel.set(settings);
  wall.querySelector("[data-prepared]").hidden = ready;
  if (!ready) {
    showPrepared();
    return;
  }
  stopPrepared?.();
  if (how) how.textContent = stopPrepared ? how.dataset.howBoth : how.dataset.howLive;
  growth.observe(end);
  await studio.grow();
  work();
}

panel.bind((more) => {
  Object.assign(settings, more);
  for (const item of list.querySelectorAll("[data-seed]")) {
    point(item, item.firstChild);
    if (item.dataset.near) waiting.add(item);
  }
  work();
});
document.addEventListener("visibilitychange", work);
keepOffline(root);
await studio.consider();
if (studio.hopeful) start();
else {
  panel.tell(studio);
  wall.querySelector("[data-prepared]").hidden = false;
  showPrepared();
}
