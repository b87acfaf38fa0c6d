// Pictures that don't come, on every page: no broken one is left standing.
// What app.js and wall.js show on a stage never gets here; they look for another picture before they show one. The game's own
// pictures are left to which.js.

import { isPageKept, keptPictures, pictureAt, shuffled } from "./kept.js";

const root = new URL("../", import.meta.url);

document.addEventListener("error", ({ target }) => isPicture(target) && replace(target), true);
for (const image of document.images) if (isPicture(image) && image.complete && !image.naturalWidth) replace(image);

function isPicture(target) {
  if (!(target instanceof HTMLImageElement) || target.closest("[data-board], [data-score]")) return false; // a game's
  return target.currentSrc !== "" && pictureAt(target.currentSrc) !== null;
}

async function replace(image) {
  image.hidden = true;
  const asked = pictureAt(image.currentSrc);
  const tile = image.closest("[data-tiles] > li");
  if (tile) {
    tile.hidden = true; // the sheet shows what there is
    image.remove();
  } else if (!image.closest("[data-picture]")) await swap(image, asked);
  else if (!(await goToSubject(asked))) giveUp(image);
}

/** The subject's page draws the very picture if it can, and else shows another and says so. */
async function goToSubject({ slug, seed }) {
  const page = new URL(`${slug}/`, root);
  if (!(await isPageKept(page.href))) return false;
  location.replace(`${page.href}?seed=${seed}`);
  return true;
}

/** Puts a kept picture of the same subject in its place, and that one's seed under it. */
async function swap(image, { slug, seed }) {
  const tried = new Set((image.dataset.tried ?? "").split(" ")).add(seed);
  const others = (await keptPictures(root)).filter((one) => one.slug === slug && !tried.has(one.seed));
  const [other] = shuffled(others);
  if (!other) {
    giveUp(image);
    return;
  }
  image.dataset.tried = [...tried].join(" ").trim();
  image.alt = image.alt.replace(` ${seed}:`, ` ${other.seed}:`);
  const words = image.closest("figure")?.querySelector('[data-text="seed"]');
  if (words) words.textContent = other.seed;
  image.addEventListener("load", () => (image.hidden = false), { once: true });
  image.loading = "eager"; // what is hidden never comes lazily
  image.src = other.url;
}

function giveUp(image) {
  image.remove();
  const line = document.querySelector("[data-status]");
  if (line && line.textContent === "") line.textContent = line.dataset.broken ?? "";
}
