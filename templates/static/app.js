// The pages with a stage: home, a subject's own, and "not found".
import { isOrdinary, readPick, writePick } from "./address.js";
import { Album, nameOf } from "./album.js";
import { bindKeys, bindSwipe } from "./controls.js";
import { fillGallery } from "./gallery.js";
import { placeOf, possessive, seedOf } from "./names.js";
import { keepOffline } from "./offline.js";
import { bindPair } from "./pair.js";
import { Panel } from "./panel.js";
import { bindSaving } from "./saving.js";
import { Seen } from "./seen.js";
import { bindSharing } from "./share.js";
import { Stage } from "./stage.js";
import { anySeed, Studio } from "./studio.js";
import { Trail } from "./trail.js";

const MEMORY = 12;

const album = new Album(JSON.parse(document.getElementById("album").textContent));
const element = document.querySelector("[data-stage]");
const stage = new Stage(element, album, (pick) => studioOf(pick.subject).picture(pick));
const trail = new Trail();
const studios = new Map();
const panel = new Panel(element, loadAnyway);
const isSubject = element.dataset.kind === "subject";
const isLost = element.dataset.kind === "lost";
const backButton = element.querySelector("[data-back]");
const lastSeen = new Seen(stage.root.pathname);
const settings = new Map(); // of live pictures, by subject: {psi, label}
let upcoming = null;
let owner = "";

// ---------------------------------------------------------------------------------------------
// Generators

function studioOf(subject) {
  if (!studios.has(subject)) studios.set(subject, new Studio(subject, stage.root));
  return studios.get(subject);
}

/** The generator of what is shown; loads it unless something stands in the way. */
async function wake(subject) {
  const studio = studioOf(subject);
  if (isLost) return false;
  await studio.consider();
  if (!studio.hopeful || studio.ready) {
    panel.tell(studio);
    return studio.ready;
  }
  const first = studio.state === "idle";
  const loading = studio.load((...progress) => panel.progress(...progress));
  panel.tell(studio);
  const ready = await loading;
  if (first && (!trail.current || trail.current.subject === subject)) {
    panel.tell(studio);
    panel.set(settingsOf(subject));
    if (trail.current) prepare();
    if (ready && trail.current) pair?.open(studio, trail.current);
  }
  return ready;
}

function loadAnyway() {
  const { subject } = trail.current;
  studioOf(subject).retry();
  wake(subject);
}

function settingsOf(subject) {
  const { live, psi } = subject;
  if (!settings.has(subject)) settings.set(subject, { psi: live?.psi ?? Number(psi), label: live?.class ?? undefined });
  return settings.get(subject);
}

const newPick = (subject) => ({ subject, live: true, seed: anySeed(), ...settingsOf(subject) });

// ---------------------------------------------------------------------------------------------
// Pictures, one after the other

function draw() {
  const { subject } = trail.current ?? {};
  const studio = subject && studioOf(subject);
  if (studio?.ready && !isLost) return newPick(subject);
  const seen = trail.latest(MEMORY).map(nameOf);
  return album.random(seen.length ? seen : [lastSeen.get()]);
}

/** Shows a pick, then gets the next one ready. `address` is what the location bar is to say, if anything new. */
async function show(pick, { address = null, push = false, name = "", quietly = false } = {}) {
  owner = name;
  note(pick, address ?? location.href, push);
  lastSeen.set(nameOf(pick));
  backButton?.setAttribute("aria-disabled", String(!trail.canGoBack));
  if (pick.live) panel.set(Object.assign(settingsOf(pick.subject), { psi: pick.psi, label: pick.label }));
  if (!(await stage.show(pick, name && possessive(name), { quietly }))) return;
  prepare();
  if (studioOf(pick.subject).ready) pair?.open(studioOf(pick.subject), pick);
  wake(pick.subject);
}

function note({ subject, seed, live, psi, label, mix }, address, push) {
  try {
    history[push ? "pushState" : "replaceState"]({ slug: subject.slug, seed, live, psi, label, mix }, "", address);
  } catch {
    // Some browsers refuse a hundred changes within seconds; the picture matters more.
  }
}

async function prepare() {
  const { current } = trail;
  const pick = trail.ahead ?? (await drawAtHand());
  if (current !== trail.current) return;
  upcoming = pick;
  stage.preload(upcoming);
}

/** Without a network one that was kept, if there is any. */
async function drawAtHand() {
  for (let i = 0; i < 2 * MEMORY; i++) {
    const pick = draw();
    if (navigator.onLine || pick.live || (await isKept(pick))) return pick;
  }
  return album.at(trail.current?.subject ?? album.subjects[0], 0);
}

const isKept = (pick) => globalThis.caches?.match(stage.url(album.src(pick)));

/**
 * A subject's page says in the location bar which prepared picture it shows; other pages stay random at every load,
 * and so does one that makes pictures itself: its reload is to make a new one.
 */
function addressOf(pick) {
  if (!isSubject) return null;
  return pick.live ? location.pathname : `?seed=${pick.seed}`;
}

function next() {
  if (lonely()) return;
  const pick = trail.ahead ? trail.forward() : add(upcoming ?? draw());
  show(pick, { address: addressOf(pick) });
}

function back() {
  if (!trail.canGoBack) return;
  const pick = trail.back();
  show(pick, { address: addressOf(pick) });
}

const lonely = () => album.lonely && !studioOf(album.subjects[0]).ready;

function add(pick) {
  trail.push(pick);
  upcoming = null;
  return pick;
}

/** Shows a pick that was pointed at; its address names it. */
function open(pick) {
  show(add(pick), { address: isSubject ? addressFor(pick) : null, push: true });
  element.scrollIntoView({ block: "start" });
  element.querySelector("[data-next]")?.focus({ preventScroll: true });
}

const addressFor = (pick) => (pick.live ? writePick(pick) : `?seed=${pick.seed}`);

/** The same picture with other settings, without a word in the history. */
let changing = null;
async function change(more) {
  const { current } = trail;
  if (!current || !studioOf(current.subject).ready) return;
  Object.assign(settingsOf(current.subject), more);
  const busy = changing !== null;
  changing = { ...current, number: undefined, live: true, ...settingsOf(current.subject) };
  if (busy) return;
  while (changing) {
    const pick = changing;
    trail.replace(pick);
    upcoming = null;
    await show(pick, { address: isSubject && location.search ? writePick(pick) : null, quietly: true });
    changing = changing === pick ? null : changing;
  }
}

// ---------------------------------------------------------------------------------------------
// What the address asks for

async function pickByName(name) {
  const [subject] = album.subjects;
  if (await wake(subject)) return { subject, live: true, seed: await seedOf(name), ...ordinary(subject) };
  return album.at(subject, await placeOf(name, album.seeds(subject).length));
}

const ordinary = ({ live }) => ({ psi: live.psi, label: live.class ?? undefined });

async function openName(name) {
  const pick = add(await pickByName(name));
  show(pick, { address: `?${new URLSearchParams({ name })}`, push: true, name });
  element.scrollIntoView({ block: "start" });
}

/** A prepared picture if it is one, a live one if that can be drawn, else null. */
async function found(wish) {
  const prepared = isOrdinary(wish) && album.find(wish.subject.slug, String(wish.seed));
  return prepared || ((await wake(wish.subject)) ? wish : null);
}

/** The picture that the address asks for: {pick, name}, {missing: true}, or nothing. */
async function asked() {
  if (!isSubject) return {};
  const query = new URLSearchParams(location.search);
  const name = query.get("name")?.trim().slice(0, 80);
  if (name) return { pick: await pickByName(name), name };
  if (!query.has("seed")) return {};
  const wish = readPick(query, album.subjects[0]);
  const pick = wish && (await found(wish));
  return pick ? { pick } : { missing: true };
}

/** The picture that this entry of the browser's history showed, when one comes back to it. */
function remembered() {
  const [entry] = performance.getEntriesByType("navigation");
  return entry?.type === "back_forward" ? pickOf(history.state) : null;
}

/** A pick from what `note` left; null if there is none. */
async function pickOf(state) {
  const subject = state?.slug && album.subjects.find(({ slug }) => slug === state.slug);
  if (!subject) return null;
  return state.live ? found({ ...state, subject }) : album.find(state.slug, String(state.seed));
}

/** A new picture at once, from a generator that an earlier visit has kept; null if there is none. */
async function drawWarm() {
  const { subject: any } = album.random([]);
  const subjects = isLost ? [] : [any, ...(navigator.onLine ? [] : album.subjects)];
  for (const subject of subjects) {
    const studio = studioOf(subject);
    await studio.consider();
    if (studio.hopeful && (await studio.isKept()) && (await wake(subject))) return newPick(subject);
  }
  return null;
}

async function start() {
  const { pick, name, missing } = await asked();
  await show(add(pick ?? (await remembered()) ?? (await drawWarm()) ?? (await drawAtHand())), { name });
  if (missing) stage.say("unknown");
}

window.addEventListener("popstate", async ({ state }) => {
  const { pick, name } = await asked();
  const shown = pick ?? (await pickOf(state));
  if (shown) show(add(shown), { name });
});

// ---------------------------------------------------------------------------------------------
// The page

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
  button.hidden = album.lonely && !album.subjects[0].live;
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

function link() {
  if (owner) return stage.url(`${trail.current.subject.slug}/?${new URLSearchParams({ name: owner })}`);
  return stage.url(album.permalink(trail.current));
}

const say = (name, more) => stage.say(name, more);
const section = document.querySelector("[data-pair]");
const pair = section && bindPair(section, { open, say });

upgradeNext();
bindKeys({ next, back });
bindSwipe(element.querySelector("[data-frame]"), { next, back });
bindSharing({ link, say });
bindSaving({ current: () => ({ pick: trail.current, source: stage.source }), say });
bindNames();
panel.bind(change);
for (const hint of element.querySelectorAll("[data-hint]")) hint.hidden = false;
if (backButton) {
  backButton.hidden = album.lonely && !album.subjects[0].live;
  backButton.addEventListener("click", back);
}
const gallery = document.querySelector("[data-gallery]");
if (gallery) fillGallery(gallery, { album, stage, open });
keepOffline(stage.root);
start();
