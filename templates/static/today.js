// The picture of the day: of today, or of the day that the address asks for.

import { Album } from "./album.js";
import { bindKeys, bindSwipe } from "./controls.js";
import { askedDay, dayNumber, placeOfDay, said, shifted, today } from "./days.js";
import { keptPictures, shuffled } from "./kept.js";
import { keepOffline } from "./offline.js";
import { letGo, source } from "./shards.js";
import { bindSharing } from "./share.js";
import { Stage } from "./stage.js";

const PATIENCE_MS = 15_000;

const album = new Album(JSON.parse(document.getElementById("album").textContent));
const element = document.querySelector("[data-today]");
const root = new URL(element.dataset.root, document.baseURI);
const stage = new Stage(element, album, root, async () => null, standIns);
const day = askedDay();
const find = (selector) => element.querySelector(selector);

async function pickOf(day) {
  const subject = album.subjects[dayNumber(day) % album.subjects.length];
  return album.at(subject, await placeOfDay(day, album.seeds(subject).length));
}

/** Kept pictures for one that doesn't come, those of its subject first. */
async function* standIns({ subject }) {
  const kept = (await keptPictures(root)).map(({ slug, seed }) => album.find(slug, seed)).filter(Boolean);
  yield* shuffled(kept).sort((a, b) => (a.subject !== subject) - (b.subject !== subject));
}

function link(day) {
  const url = new URL("today/", root);
  if (day !== today()) url.searchParams.set("day", day);
  return url.href;
}

async function tile(day) {
  const pick = await pickOf(day);
  const item = document.createElement("li");
  const anchor = document.createElement("a");
  const image = new Image(pick.subject.width, pick.subject.height);
  const words = document.createElement("p");
  image.alt = album.alt(pick);
  image.addEventListener("load", () => letGo(image), { once: true });
  source(image, album, pick, (path) => stage.url(path)).catch(() => (item.hidden = true));
  if (pick.subject.crisp) image.className = "crisp";
  Object.assign(words, { className: "count", textContent: said(day) });
  anchor.href = link(day);
  anchor.append(image);
  item.append(anchor, words);
  return item;
}

/** Links to the day before, and to the one after it or to the picture's own page. */
function bindDays(pick) {
  const back = find("[data-back]");
  back.href = link(shifted(day, -1));
  back.hidden = day <= "1970-01-01";
  const onward = find("[data-onward]");
  const isLast = day === today();
  find("[data-onward-words]").textContent = isLast ? "Its own page" : "The day after";
  onward.href = isLast ? stage.url(album.permalink(pick)) : link(shifted(day, 1));
  const moves = { next: () => onward.click(), back: () => back.click() };
  bindKeys(moves);
  bindSwipe(find("[data-frame]"), moves);
}

async function start() {
  const pick = await pickOf(day);
  Object.assign(find("[data-day]"), { textContent: said(day), dateTime: day });
  bindDays(pick);
  const shown = await stage.show(pick, "", { patience_ms: PATIENCE_MS });
  if (shown === pick) document.title = `${document.title} – ${said(day)}`;
  else if (shown) stage.say("absent");
  const before = Array.from({ length: 6 }, (_, i) => shifted(day, -1 - i)).filter((one) => one >= "1970-01-01");
  document.querySelector("[data-past]").replaceChildren(...(await Promise.all(before.map(tile))));
}

bindSharing({ link: () => link(day) + (day === today() ? `?day=${day}` : ""), say: (name, more) => stage.say(name, more) });
keepOffline(root);
start();
