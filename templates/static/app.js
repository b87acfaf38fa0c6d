// The pages with a stage: home, a subject's own, and "not found".
import { dialsText, isOrdinary, readPick, short, writePick } from "./address.js";
import { Album, isSame, nameOf } from "./album.js";
import { bindKeys, bindNames, bindSwipe, upgradeNext } from "./controls.js";
import { fillGallery } from "./gallery.js";
import { answers, keptPictures, shuffled } from "./kept.js";
import { placeOf, readName, seedOf } from "./names.js";
import { keepOffline } from "./offline.js";
import { bindPair } from "./pair.js";
import { Panel } from "./panel.js";
import { bindSaving } from "./saving.js";
import { Seen } from "./seen.js";
import { bindSharing } from "./share.js";
import { Slideshow } from "./slideshow.js";
import { Stage } from "./stage.js";
import { MOST_SEED } from "./studio.js";
import { Studios } from "./studios.js";
import { Trail } from "./trail.js";

const MEMORY = 12;
// A picture that isn't there by then is left for one at hand; one that somebody asked for is waited for longer.
const PATIENCE_MS = 5000;
const AT_HAND = 4; // pictures to stand in, of a subject whose others lie in shards
const ASKED_PATIENCE_MS = 15_000;
const WAKING_PATIENCE_MS = 4000; // for the generator of a picture that only it can draw
const TROUBLE_MS = 20_000; // for so long after a picture that didn't come the next ones are taken from those at hand

const album = new Album(JSON.parse(document.getElementById("album").textContent));
const element = document.querySelector("[data-stage]");
const root = new URL(element.dataset.root || "./", document.baseURI);
const studios = new Studios(root);
const stage = new Stage(element, album, root, (pick) => studios.of(pick.subject).picture(pick), standIns);
const trail = new Trail();
const panel = new Panel(element, loadAnyway, () => studios.of(trail.current.subject).stop());
const isSubject = element.dataset.kind === "subject";
const isLost = element.dataset.kind === "lost";
const backButton = element.querySelector("[data-back]");
const lastSeen = new Seen(root.pathname);
let upcoming = null;
let moves = 0; // what was asked of the page, by which a late answer tells that the visitor has gone on
let trouble = -Infinity; // when a picture last didn't come

// ---------------------------------------------------------------------------------------------
// Generators

/** The generator of what is shown; loads it unless something stands in the way. */
async function wake(subject) {
  const studio = studios.of(subject);
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
    panel.set(studios.settings(subject));
    if (trail.current) prepare();
    if (ready && trail.current) pair?.open(studio, trail.current);
  }
  return ready;
}

/** Loads what waits to be asked for, and shows what it is asked for: the address's picture, or a new one. */
async function loadAnyway() {
  const { current } = trail;
  studios.of(current.subject).retry();
  if (!(await wake(current.subject)) || trail.current !== current) return;
  const { pick, name } = await asked();
  if (trail.current !== current) return;
  if (pick && !isSame(pick, current)) show(add(pick), { name, asked: true });
  else next();
}

// ---------------------------------------------------------------------------------------------
// Pictures, one after the other

function draw() {
  const subject = boundTo();
  if (subject && studios.of(subject).ready) return studios.newPick(subject);
  const seen = trail.latest(MEMORY).map(nameOf);
  return album.random(seen.length ? seen : [lastSeen.get()], subject ? [subject] : album.subjects);
}

/** The current subject while its generator is there or on its way, which is not left for another's; else null. */
function boundTo() {
  const { subject } = trail.current ?? {};
  return subject && !isLost && studios.of(subject).hopeful ? subject : null;
}

/**
 * Shows a pick, or what stands in for it where its picture doesn't come, then gets the next one ready. `address` is
 * what the location bar is to say, if anything new; `asked` says that somebody wants this very picture, and `quietly`
 * that it is the same one with other settings, which may be one of many.
 */
async function show(pick, { address = null, push = false, name = "", quietly = false, asked = false } = {}) {
  note(pick, address ?? location.href, push);
  meet(pick);
  const patience_ms = asked ? ASKED_PATIENCE_MS : PATIENCE_MS;
  const shown = await stage.show(pick, name, { quietly, patience_ms });
  if (!shown) return;
  if (shown !== pick) settleFor(shown, pick, asked);
  if (!quietly) prepare();
  const { subject } = shown;
  if (studios.of(subject).ready) pair?.open(studios.of(subject), shown);
  wake(subject);
}

function meet(pick) {
  lastSeen.set(nameOf(pick));
  backButton?.setAttribute("aria-disabled", String(!trail.canGoBack));
  const { live, psi, label, dials } = pick;
  if (live) panel.set(Object.assign(studios.settings(pick.subject), { psi, label, dials }));
}

/** Another picture is shown than the one that was to be. */
function settleFor(shown, pick, asked) {
  trouble = performance.now();
  trail.replace(shown);
  meet(shown);
  if (isSame(shown, pick)) {
    note(shown, location.href, false); // the same picture, made here
    return;
  }
  note(shown, addressOf(shown) ?? location.href, false);
  if (asked) stage.say(stage.wholes.has(pick.subject) ? "whole" : "absent");
}

/** Picks that need no network, the likest to this one first: to show in its place when its picture doesn't come. */
async function* standIns(pick) {
  const warm = isLost ? [] : await studios.kept(album.known);
  if (!pick.live && warm.includes(pick.subject) && (await wake(pick.subject))) {
    yield { ...studios.ordinaryPick(pick.subject), seed: pick.seed };
  }
  for (const subject of shuffled(warm)) if (await wake(subject)) yield studios.newPick(subject);
  const seen = new Set([...trail.latest(MEMORY).map(nameOf), lastSeen.get()]);
  const kept = (await keptPictures(root)).map(({ slug, seed }) => album.find(slug, seed)).filter(Boolean);
  const cost = (one) => 2 * (one.subject !== pick.subject) + seen.has(nameOf(one));
  yield* shuffled(kept).sort((a, b) => cost(a) - cost(b));
  const singles = shuffled([...album.singles(pick.subject)]).slice(0, AT_HAND);
  yield* singles.map((seed) => album.find(pick.subject.slug, String(seed)));
}

function note({ subject, seed, live, psi, label, mix, dials }, address, push) {
  try {
    const state = { slug: subject.slug, group: subject.group, seed, live, psi, label, mix, dials };
    history[push ? "pushState" : "replaceState"](state, "", address);
  } catch {
    // Some browsers refuse a hundred changes within seconds; the picture matters more.
  }
}

async function prepare() {
  const { current } = trail;
  const pick = trail.ahead ?? (await drawAtHand());
  if (current !== trail.current) return;
  upcoming = pick;
  const sure = await stage.preload(pick, PATIENCE_MS);
  if (sure !== pick) trouble = performance.now();
  if (upcoming === pick && !trail.ahead) upcoming = sure;
}

/** The next pick; one at hand while pictures don't come. */
async function drawAtHand() {
  if (!boundTo()) await album.turn(root);
  const pick = draw();
  if (pick.live || performance.now() - trouble > TROUBLE_MS) return pick;
  for await (const other of standIns(pick)) if (!isSame(other, trail.current)) return other;
  return pick;
}

/**
 * A subject's page says in the location bar which prepared picture it shows, and how dials are turned; other pages stay
 * random at every load, and so does one that makes pictures itself: its reload is to make a new one.
 */
function addressOf(pick) {
  if (!isSubject || slideshow.isOn) return null;
  if (pick.live) return dialsText(pick.dials) ? writePick(pick) : location.pathname;
  return `?seed=${pick.seed}`;
}

function next() {
  if (lonely()) return;
  moves++;
  const pick = trail.ahead ? trail.forward() : add(upcoming ?? draw());
  show(pick, { address: addressOf(pick) });
}

function back() {
  if (!trail.canGoBack) return;
  moves++;
  const pick = trail.back();
  show(pick, { address: addressOf(pick), asked: true });
}

const lonely = () => album.lonely && !studios.of(album.subjects[0]).ready;

function add(pick) {
  trail.push(pick);
  upcoming = null;
  return pick;
}

/** Shows a pick that was pointed at; its address names it. */
function open(pick) {
  moves++;
  show(add(pick), { address: isSubject ? addressFor(pick) : null, push: true, asked: true });
  element.scrollIntoView({ block: "start" });
  element.querySelector("[data-next]")?.focus({ preventScroll: true });
}

const addressFor = (pick) => (pick.live ? writePick(pick) : `?seed=${pick.seed}`);

/** The same picture with other settings, without a word in the history; the address says them once they are settled. */
let changing = null;
async function change(more) {
  const { current } = trail;
  if (!current || !studios.of(current.subject).ready) return;
  moves++;
  Object.assign(studios.settings(current.subject), more);
  const busy = changing !== null;
  changing = { ...current, number: undefined, live: true, ...studios.settings(current.subject) };
  if (busy) return;
  while (changing) {
    const pick = changing;
    trail.replace(pick);
    upcoming = null;
    await show(pick, { address: isSubject && location.search ? writePick(pick) : null, quietly: true });
    changing = changing === pick ? null : changing;
  }
  if (!upcoming) prepare();
}

/** Nothing is moved any more. */
async function settle() {
  while (changing) await new Promise((resolve) => setTimeout(resolve, 20));
  const { current } = trail;
  if (isSubject && current?.live && (location.search || current.dials)) note(current, writePick(current), false);
}

// ---------------------------------------------------------------------------------------------
// What the address asks for

async function pickByName(name) {
  const [subject] = album.subjects;
  if (await wake(subject)) return { ...studios.ordinaryPick(subject), seed: await seedOf(name) };
  return album.at(subject, await placeOf(name, album.seeds(subject).length));
}

async function openName(text) {
  const name = readName(text);
  if (!name) return;
  const move = ++moves;
  const pick = await pickByName(name);
  if (move !== moves) return;
  show(add(pick), { address: `?${new URLSearchParams({ name })}`, push: true, name, asked: true });
  element.scrollIntoView({ block: "start" });
}

/** A prepared picture if it is one, a live one if that can be drawn, else null. */
async function found(wish) {
  const prepared = isOrdinary(wish) && album.find(wish.subject.slug, String(wish.seed));
  return prepared || ((await wake(wish.subject)) ? wish : null);
}

/** The picture that the address asks for: {pick, name}, why it can't be shown, {missing}, or nothing. */
async function asked() {
  if (!isSubject) return {};
  const query = new URLSearchParams(location.search);
  const name = readName(query.get("name"));
  if (name) return { pick: await pickByName(name), name };
  if (!query.has("seed")) return {};
  const wish = readPick(query, album.subjects[0]);
  const pick = wish && (await found(wish));
  if (pick) return { pick };
  return { missing: wish && studios.of(wish.subject).asks ? "unfetched" : "unknown" };
}

/** The picture that this entry of the browser's history showed, when one comes back to it. */
function remembered() {
  const [entry] = performance.getEntriesByType("navigation");
  return entry?.type === "back_forward" ? pickOf(history.state) : null;
}

/** A pick from what `note` left; null if there is none. */
async function pickOf(state) {
  if (!state?.slug) return null;
  await album.load(state.group ?? 0, root);
  const subject = album.known.find(({ slug }) => slug === state.slug);
  if (!subject) return null;
  return state.live ? found({ ...state, subject }) : album.find(state.slug, String(state.seed));
}

/** What to begin with: a new picture at once if an earlier visit has kept the generator, else a prepared one. */
async function opening() {
  await album.turn(root);
  const pick = draw();
  const warm = isLost ? [] : await studios.kept(album.known);
  if (!warm.length) return pick;
  const [any] = shuffled(warm);
  // Without a network the subject is one whose generator is at hand.
  const bound = warm.includes(pick.subject) || (await answers(stage.url(album.src(pick) ?? pick.subject.shards)));
  const subject = bound ? pick.subject : any;
  return warm.includes(subject) && (await wake(subject)) ? studios.newPick(subject) : pick;
}

/** The address of a picture that has no page, /ape/p/123456, leads to its subject's page; whether there is one. */
async function route() {
  const path = location.pathname.slice(root.pathname.length);
  const [, slug, seed] = /^([a-z0-9-]+)\/(?:p\/)?(\d{1,10})\/?$/.exec(path) ?? [];
  if (!isLost || !slug || Number(seed) > MOST_SEED) return false;
  const page = stage.url(`${slug}/`);
  if (!album.known.some((one) => one.slug === slug) && !(await answers(page))) return false;
  location.replace(`${page}?seed=${Number(seed)}`);
  return true;
}

/** What the address or the history asks for, {pick, name, missing}. */
async function wanted() {
  const { pick, name, missing } = await asked();
  return { pick: pick ?? (await remembered()), name, missing };
}

async function start() {
  if (await route()) return;
  const asking = wanted();
  const late = new Promise((resolve) => setTimeout(resolve, WAKING_PATIENCE_MS, null));
  const wish = (await Promise.race([asking, late])) ?? (await meanwhile(asking));
  if (!wish) return;
  const { pick, name, missing } = wish;
  await show(add(pick ?? (await opening())), { name, asked: Boolean(pick) });
  if (missing) stage.say(missing);
}

/** Shows another picture until what is asked for is known; the answer is null if it isn't to be shown any more. */
async function meanwhile(asking) {
  await show(add(draw()));
  const { current } = trail;
  stage.say("coming");
  const wish = await asking;
  if (trail.current !== current) return null; // the visitor has gone on
  if (wish.pick) return wish;
  stage.say(wish.missing ?? "");
  return null;
}

/** Whether this is the picture that is shown already, under the same name. */
const isThere = (pick, name = "") =>
  stage.shown !== null &&
  stage.shown === trail.current &&
  album.permalink(pick) === album.permalink(stage.shown) &&
  (name || "") === stage.owner;

window.addEventListener("popstate", async ({ state }) => {
  const move = ++moves;
  const { pick, name } = await asked();
  const shown = pick ?? (await pickOf(state));
  if (!shown || move !== moves) return;
  if (isThere(shown, name)) note(shown, location.href, false); // a link within the page led to this entry
  else show(add(shown), { name, asked: true });
});

// ---------------------------------------------------------------------------------------------
// The page

/** The address of what is in the frame, which may be the former picture while the next one is on its way. */
function link() {
  const { shown, owner } = stage;
  if (!shown) return location.href;
  if (owner) return stage.url(`${shown.subject.slug}/?${new URLSearchParams({ name: owner })}`);
  return stage.url(album.permalink(shown));
}

/** What is in the frame, for files of it; null before there is anything. */
const inFrame = () => stage.shown && { pick: stage.shown, source: stage.source, words: cardWords(stage.shown) };

/** What a card says of a picture. */
function cardWords({ seed, mix, psi, subject }) {
  const facts = `Seed ${seed}${mix ? ` + ${mix.seed}` : ""}, psi ${short(psi ?? Number(subject.psi))}`;
  const address = (album.base || root.href).replace(/^https?:\/\/|\/$/g, "");
  return { heading: element.querySelector("h1"), facts, site: album.site, address };
}

const say = (name, more) => stage.say(name, more);
const still = album.lonely && !album.subjects[0].live; // there is nothing to go on to
const slideshow = new Slideshow(document.querySelector("[data-slideshow]"), next);
for (const way of document.querySelectorAll("[data-slideshow-link]")) way.hidden = still;
const section = document.querySelector("[data-pair]");
const pair = section && bindPair(section, { open, say });

const button = upgradeNext(element, next);
if (button) button.hidden = still;
bindKeys({ next, back });
bindSwipe(element.querySelector("[data-frame]"), { next, back });
bindSharing({ link, say });
bindSaving({ current: inFrame, say });
bindNames(openName);
panel.bind(change, settle);
for (const hint of element.querySelectorAll("[data-hint]")) hint.hidden = false;
if (backButton) {
  backButton.hidden = still;
  backButton.addEventListener("click", back);
}
const gallery = document.querySelector("[data-gallery]");
if (gallery) fillGallery(gallery, { album, url: (path) => stage.url(path), open });
keepOffline(root);
start();
