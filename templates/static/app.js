// The pages with a stage: home, a subject's own, and "not found".
import { Album, nameOf } from "./album.js";
import { bindKeys, bindSwipe } from "./controls.js";
import { fillGallery } from "./gallery.js";
import { placeOf, possessive } from "./names.js";
import { bindSharing } from "./share.js";
import { Stage } from "./stage.js";
import { Trail } from "./trail.js";

const MEMORY = 12;

const album = new Album(JSON.parse(document.getElementById("album").textContent));
const element = document.querySelector("[data-stage]");
const stage = new Stage(element, album);
const trail = new Trail();
const isSubject = element.dataset.kind === "subject";
const backButton = element.querySelector("[data-back]");
const lastKey = `metagan:last:${stage.root.pathname}`;
let upcoming = null;
let owner = "";

/** What was shown last, even before a reload, so that it isn't drawn again at once. */
const lastSeen = {
  get() {
    try {
      return sessionStorage.getItem(lastKey);
    } catch {
      return null;
    }
  },
  set(name) {
    try {
      sessionStorage.setItem(lastKey, name);
    } catch {
      // Storage may be switched off; then only the trail remembers.
    }
  },
};

function draw() {
  const seen = trail.latest(MEMORY).map(nameOf);
  return album.random(seen.length ? seen : [lastSeen.get()]);
}

/** Shows a pick, then gets the next one ready. `address` is what the location bar is to say, if anything new. */
async function show(pick, { address = null, push = false, name = "" } = {}) {
  owner = name;
  note(pick, address ?? location.href, push);
  lastSeen.set(nameOf(pick));
  backButton?.setAttribute("aria-disabled", String(!trail.canGoBack));
  if (await stage.show(pick, name && possessive(name))) prepare();
}

function note({ subject, seed }, address, push) {
  try {
    history[push ? "pushState" : "replaceState"]({ slug: subject.slug, seed }, "", address);
  } catch {
    // Some browsers refuse a hundred changes within seconds; the picture matters more.
  }
}

function prepare() {
  upcoming = trail.ahead ?? draw();
  stage.preload(upcoming);
}

/** A subject's page says in the location bar what it shows; other pages stay random at every load. */
const addressOf = (pick) => (isSubject ? `?seed=${pick.seed}` : null);

function next() {
  if (album.lonely) return;
  const pick = trail.ahead ? trail.forward() : add(upcoming ?? draw());
  show(pick, { address: addressOf(pick) });
}

function back() {
  if (!trail.canGoBack) return;
  const pick = trail.back();
  show(pick, { address: addressOf(pick) });
}

function add(pick) {
  trail.push(pick);
  upcoming = null;
  return pick;
}

function open(pick) {
  show(add(pick), { address: addressOf(pick), push: true });
  element.scrollIntoView({ block: "start" });
  element.querySelector("[data-next]")?.focus({ preventScroll: true });
}

async function pickByName(name) {
  const [subject] = album.subjects;
  return album.at(subject, await placeOf(name, album.seeds(subject).length));
}

async function openName(name) {
  const pick = add(await pickByName(name));
  show(pick, { address: `?${new URLSearchParams({ name })}`, push: true, name });
  element.scrollIntoView({ block: "start" });
}

/** The picture that the address asks for: {pick, name}, {missing: true}, or nothing. */
async function asked() {
  if (!isSubject) return {};
  const query = new URLSearchParams(location.search);
  const name = query.get("name")?.trim().slice(0, 80);
  if (name) return { pick: await pickByName(name), name };
  if (!query.has("seed")) return {};
  const pick = album.find(album.subjects[0].slug, query.get("seed"));
  return pick ? { pick } : { missing: true };
}

/** The picture that this entry of the browser's history showed, when one comes back to it. */
function remembered() {
  const [entry] = performance.getEntriesByType("navigation");
  const { state } = history;
  return entry?.type === "back_forward" && state?.slug ? album.find(state.slug, String(state.seed)) : null;
}

async function start() {
  const { pick, name, missing } = await asked();
  await show(add(pick ?? remembered() ?? draw()), { name });
  if (missing) stage.say("unknown");
}

/** With JavaScript the link to the next picture is a button. */
function upgradeNext() {
  const link = element.querySelector("a[data-next]");
  if (!link) return;
  const button = document.createElement("button");
  button.type = "button";
  button.className = link.className;
  button.dataset.next = "";
  button.append(...link.childNodes);
  button.addEventListener("click", next);
  button.hidden = album.lonely;
  link.replaceWith(button);
}

function bindNames() {
  const section = document.querySelector("[data-names]");
  if (!section) return;
  section.hidden = false;
  section.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    const name = new FormData(event.target).get("name").trim();
    if (name) openName(name);
  });
}

window.addEventListener("popstate", async ({ state }) => {
  const { pick, name } = await asked();
  const shown = pick ?? (state?.slug ? album.find(state.slug, String(state.seed)) : null);
  if (shown) show(add(shown), { name });
});

function link() {
  if (owner) return stage.url(`${trail.current.subject.slug}/?${new URLSearchParams({ name: owner })}`);
  return stage.url(album.permalink(trail.current));
}

upgradeNext();
bindKeys({ next, back });
bindSwipe(element.querySelector("[data-frame]"), { next, back });
bindSharing({ link, say: (name, more) => stage.say(name, more) });
bindNames();
for (const hint of element.querySelectorAll("[data-hint]")) hint.hidden = false;
if (backButton) {
  backButton.hidden = album.lonely;
  backButton.addEventListener("click", back);
}
const gallery = document.querySelector("[data-gallery]");
if (gallery) fillGallery(gallery, { album, stage, open });
start();
