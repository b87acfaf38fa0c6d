// Breeding: nine pictures of which one or two are chosen and bred on. The address holds the whole family tree, as
// ?lineage=CODE (lineage.js), of nine or of a single one that was released; the browser's history has what was chosen.

import { dialsText, readDials, short, usualLabel } from "./address.js";
import { Album } from "./album.js";
import { canvasOf, paint } from "./canvas.js";
import {
  ancestry, BadCode, broodOf, checksumOf, layersBetween, MOST_INDIVIDUALS, MOST_LETTERS, PSI_UNITS, readLineage,
  requireSameGenerator, stylesOf, writeLineage,
} from "./lineage.js";
import { keepOffline } from "./offline.js";
import { Panel } from "./panel.js";
import { bindSaving } from "./saving.js";
import { bindSharing } from "./share.js";
import { anySeed, Studio } from "./studio.js";

const CROSS_SHARE = 4; // two parents' children are moved by this part of what one's are
const PATIENCE_MS = 2000; // the page is without pictures for no longer than this
const MOST_PICTURES = 64; // at hand
const MOST_THUMBS = 2 * MOST_INDIVIDUALS;
const THUMB_PX = 128;
const [TILE_PX, STEP_PX] = [72, 100]; // of the tree

const album = new Album(JSON.parse(document.getElementById("album").textContent));
const [subject] = album.subjects;
const page = document.querySelector("[data-breed]");
const root = new URL(page.dataset.root, document.baseURI);
const find = (selector) => page.querySelector(selector);
const tiles = [...page.querySelectorAll("[data-tile]")];
const studio = new Studio(subject, root);
const panel = new Panel(page, again, () => studio.stop());

let family = null; // what all members share
let shown = null; // {individual, isBrood, code}
let dials = undefined; // how they are turned, of a single one
let painted = null; // what the single one's canvas has, for files of it: {pick, facts}
let chosen = []; // one or two individuals
let styles = new Map();
let turn = 0;
const pictures = new Map(); // by code
const thumbs = new Map();
const members = new WeakMap(); // a button's individual
const codes = new WeakMap();

/** An individual's code; everybody here is of one family. */
function codeOf(one) {
  if (!codes.has(one)) codes.set(one, writeLineage(family, one));
  return codes.get(one);
}

/** What is shown, as an address; : and , may stand as they are. */
function addressOf(code) {
  const turned = dialsText(dials);
  return `?${new URLSearchParams({ lineage: code })}${turned && `&dials=${turned}`}`;
}

function say(name, more = "") {
  const line = find("[data-status]");
  line.textContent = [line.dataset[name], more].filter(Boolean).join(" ");
}

function complain(name) {
  const line = find("[data-complaint]");
  line.textContent = line.dataset[name] ?? "";
  line.hidden = !line.textContent;
}

// ---------------------------------------------------------------------------------------------
// Pictures

const founder = ({ seed, projected }) =>
  projected
    ? studio.projected(projected, family.label)
    : studio.styles({ seed, label: family.label, psi: family.psi / PSI_UNITS });

async function drawn(one, steps) {
  return studio.paint(studio.turned(await stylesOf(one, family, founder, styles), steps));
}

/** What a Map keeps under a name, made when it is first wanted; the oldest go. */
function kept(map, most, name, make) {
  if (!map.has(name)) {
    const made = make();
    map.set(name, made);
    made.catch(() => map.delete(name));
    if (map.size > most) map.delete(map.keys().next().value);
  }
  return map.get(name);
}

const pictureOf = (one) => kept(pictures, MOST_PICTURES, codeOf(one), () => drawn(one));
const thumbOf = (one) => kept(thumbs, MOST_THUMBS, codeOf(one), async () => small(canvasOf(await pictureOf(one))));

function small(source) {
  const scale = Math.min(1, THUMB_PX / Math.max(source.width, source.height));
  if (scale === 1) return source;
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [Math.round(source.width * scale), Math.round(source.height * scale)];
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(source, 0, 0, canvas.width, canvas.height);
  return canvas;
}

/** The single one anew while its dials are turned, as often as it can be drawn. */
let turning = null;
async function turnDials(steps) {
  if (shown.isBrood) return;
  const busy = turning !== null;
  dials = steps;
  turning = { steps };
  if (busy) return;
  while (turning) {
    const [wanted, current] = [turning, turn];
    const picture = await drawn(shown.individual, wanted.steps).catch(() => null);
    if (picture && current === turn) paintOne(picture, wanted.steps);
    turning = turning === wanted ? null : turning;
  }
}

/** No dial is turned any more. */
function settleDials() {
  try {
    history.replaceState(history.state, "", addressOf(shown.code));
  } catch {
    // As in `go`.
  }
  point();
}

/** Paints the single one that is shown, with its dials turned so, and notes what that is. */
function paintOne(picture, steps) {
  paint(find("[data-one-picture]"), picture);
  const { code } = shown;
  const psi = family.psi / PSI_UNITS;
  const [bred] = find("[data-generation]").textContent.split(". ");
  const pick = { subject, live: true, dials: steps, psi, lineage: { code, checksum: checksumOf(code) } };
  painted = { pick, facts: `${bred}, psi ${short(psi)}` };
}

async function fill(element, canvas, one, current) {
  element.setAttribute("aria-busy", "true");
  const steps = dials;
  const picture = await (steps ? drawn(one, steps) : pictureOf(one));
  if (current !== turn) return;
  if (shown.isBrood) paint(canvas, picture);
  else paintOne(picture, steps);
  element.removeAttribute("aria-busy");
}

// ---------------------------------------------------------------------------------------------
// What is shown

/** Shows nine, or a single one; `push` makes it an entry of the history, else it takes the place of the current one. */
function go(individual, { isBrood, push = true }) {
  const code = writeLineage(family, individual, { isBrood });
  dials = undefined;
  try {
    history[push ? "pushState" : "replaceState"]({ chosen: [] }, "", addressOf(code));
  } catch {
    // Some browsers refuse a hundred changes within seconds; the pictures matter more.
  }
  complain("");
  return show({ individual, isBrood, code });
}

async function show({ individual, isBrood, code }, wanted = []) {
  const current = ++turn;
  const ancestors = ancestry(...(isBrood ? (individual.parents ?? []) : [individual]));
  const brood = isBrood ? broodOf(individual, family) : [];
  shown = { individual, isBrood, code };
  styles = new Map();
  delete page.dataset.shown;
  arrange(isBrood);
  panel.set({ psi: family.psi / PSI_UNITS, dials });
  tell(ancestors);
  tiles.forEach((button, i) => isBrood && members.set(button, brood[i]));
  const leaves = growTree(ancestors, isBrood && individual.parents);
  const everybody = [...brood, ...ancestors];
  chosen = isBrood ? everybody.filter((one) => wanted.includes(codeOf(one))).slice(0, 2) : [individual];
  mark();
  try {
    if (isBrood) await Promise.all(tiles.map((button, i) => fill(button, button.querySelector("canvas"), brood[i], current)));
    else await fill(find("[data-one]"), find("[data-one-picture]"), individual, current);
    // The youngest first: they are in sight.
    for (const [one, button] of leaves.reverse()) {
      if (current !== turn) return;
      const canvas = await thumbOf(one);
      canvas.setAttribute("aria-hidden", "true");
      if (current === turn) button.firstChild.replaceChildren(canvas);
    }
    if (current === turn) page.dataset.shown = code; // all is there
  } catch {
    if (current === turn) say("broken");
  }
}

function arrange(isBrood) {
  for (const part of page.querySelectorAll("[data-brood], [data-of-brood], [data-rule]")) part.hidden = !isBrood;
  for (const part of page.querySelectorAll("[data-one], [data-one-words], [data-of-one]")) part.hidden = isBrood;
  say("");
}

const many = (count, one, more = `${one}s`) => `${count} ${count === 1 ? one : more}`;

const originOf = ({ seed, projected }) => (projected ? "a visitor’s picture, as this generator draws it" : `seed ${seed}`);

/** Where this is in the family, in words. */
function tell(ancestors) {
  const { individual, isBrood, code } = shown;
  const founders = ancestors.filter(({ parents }) => !parents).length;
  const before = depths(ancestors);
  const generation = individual.parents ? 1 + Math.max(...individual.parents.map((one) => before.get(one))) : 0;
  const from = `generation ${generation}, from ${many(founders, "founder")}`;
  const words = {
    true: individual.parents ? `Nine children: ${from}.` : "Nine founders.",
    false: individual.parents ? `Bred: ${from}.` : `A founder: ${originOf(individual)}.`,
  }[isBrood];
  find("[data-generation]").textContent = `${words} The address has ${code.length} letters.`;
  find("[data-announce]").textContent = words;
  point();
  tiles.forEach((button, i) => button.setAttribute("aria-label", individual.parents ? `Child ${i + 1}` : `Founder ${i + 1}`));
  find("[data-one-picture]").setAttribute("aria-label", `${album.alt({ subject, seed: checksumOf(code) })} ${words}`);
}

function point() {
  const links = page.querySelectorAll('[data-slot="permalink"], [data-slot="download"]');
  for (const link of links) link.href = addressOf(shown.code);
}

/** The generation of each: 0 for founders. */
function depths(everybody) {
  const depth = new Map();
  for (const one of everybody) depth.set(one, one.parents ? 1 + Math.max(...one.parents.map((each) => depth.get(each))) : 0);
  return depth;
}

// ---------------------------------------------------------------------------------------------
// The tree

/** Draws the ancestors, and the place of their children; the answer is each one with its button. */
function growTree(everybody, coming) {
  const tree = find("[data-tree]");
  find("[data-ancestors]").hidden = !everybody.length;
  const depth = depths(everybody);
  const columns = [];
  for (const one of everybody) (columns[depth.get(one)] ??= []).push(one);
  if (coming) columns.push([null]);
  const rows = Math.max(0, ...columns.map(({ length }) => length));
  const height = TILE_PX / (subject.width / subject.height);
  const place = new Map();
  columns.forEach((column, x) =>
    column.forEach((one, y) => place.set(one, { x: x * STEP_PX, y: ((rows - column.length) / 2 + y) * (height + STEP_PX - TILE_PX) })),
  );
  const size = { width: Math.max(0, columns.length * STEP_PX - STEP_PX + TILE_PX), height: rows * (height + STEP_PX - TILE_PX) };
  Object.assign(tree.style, { width: `${size.width}px`, height: `${size.height}px` });
  const lines = [...everybody, ...(coming ? [null] : [])].flatMap((one) =>
    (one ? (one.parents ?? []) : coming).map((parent) => line(place.get(parent), place.get(one), height)),
  );
  const leaves = everybody.map((one, i) => [one, leaf(one, i, place.get(one), depth.get(one), everybody)]);
  tree.replaceChildren(svg("svg", { ...size, "aria-hidden": "true" }, lines), ...leaves.map(([, button]) => button));
  if (coming) {
    const next = Object.assign(document.createElement("span"), { className: "coming", textContent: "9" });
    next.setAttribute("aria-hidden", "true");
    tree.append(put(next, place.get(null)));
  }
  find("[data-tree-scroll]").scrollLeft = size.width;
  return leaves;
}

function leaf(one, i, at, generation, everybody) {
  const button = Object.assign(document.createElement("button"), { type: "button", className: "choice" });
  const from = (one.parents ?? []).map((parent) => `no. ${everybody.indexOf(parent) + 1}`).join(" and ");
  const words = one.parents ? `generation ${generation}, child of ${from}` : `founder, ${originOf(one)}`;
  button.setAttribute("aria-label", `No. ${i + 1}: ${words}`);
  button.title = words;
  button.append(Object.assign(document.createElement("span"), { className: "mat" }));
  button.firstChild.append(document.createElement("canvas"));
  members.set(button, one);
  return put(button, at);
}

function put(element, { x, y }) {
  Object.assign(element.style, { left: `${x}px`, top: `${y}px` });
  return element;
}

function svg(name, attributes, children = []) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function line(from, to, height) {
  const [x1, y1, x2, y2] = [from.x + TILE_PX, from.y + height / 2, to.x, to.y + height / 2];
  const middle = (x1 + x2) / 2;
  return svg("path", { d: `M${x1} ${y1}C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}` });
}

// ---------------------------------------------------------------------------------------------
// Choosing and breeding

/** Chooses one, or lets it go; of three the first goes. */
function toggle(one) {
  const at = chosen.findIndex((other) => codeOf(other) === codeOf(one));
  if (at >= 0) chosen.splice(at, 1);
  else chosen = [...chosen, one].slice(-2);
  mark();
  remember({ ...history.state, chosen: chosen.map(codeOf) });
}

/** Notes what this entry of the history shows. */
function remember(state) {
  try {
    history.replaceState(state, "");
  } catch {
    // As in `go`.
  }
}

function mark() {
  const wanted = chosen.map(codeOf);
  for (const button of page.querySelectorAll(".choice")) {
    const one = members.get(button);
    button.setAttribute("aria-pressed", String(Boolean(one) && wanted.includes(codeOf(one))));
  }
  const button = find("[data-breed-on]");
  button.textContent = button.dataset[["none", "single", "pair"][chosen.length]];
  button.setAttribute("aria-disabled", String(!chosen.length));
  find("[data-release]").setAttribute("aria-disabled", String(chosen.length !== 1));
}

/** The pattern of a brood of the chosen, as the desk says. */
function patternOf(parents) {
  const strength = Number(find("[data-strength]").value);
  const [from, to] = find("[data-changes]").value.split(",").map(Number);
  const isCross = parents.length === 2;
  return {
    parents,
    taken: isCross ? layersBetween(0, 4, family.layers) : null, // of the first; broodOf has the others'
    mutated: layersBetween(from, to, family.layers),
    strength: isCross ? Math.floor(strength / CROSS_SHARE) : strength,
    seed: anySeed(),
  };
}

async function breed() {
  if (!chosen.length) return;
  const pattern = patternOf([...chosen]);
  const isFull = ancestry(pattern).length > MOST_INDIVIDUALS;
  if (isFull || writeLineage(family, pattern, { isBrood: true }).length > MOST_LETTERS) {
    say("full");
    return;
  }
  go(pattern, { isBrood: true });
  tiles[0].focus({ preventScroll: true });
  find("[data-brood]").scrollIntoView({ block: "nearest" });
}

function others() {
  const { individual } = shown;
  go({ ...individual, seed: anySeed() }, { isBrood: true });
}

function release() {
  if (chosen.length !== 1) return;
  go(chosen[0], { isBrood: false });
  find("[data-headline]").focus({ preventScroll: true });
  page.scrollIntoView({ block: "start" });
}

/** Arrows go among the nine, as they lie. */
function move(event) {
  const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 3, ArrowUp: -3 }[event.key];
  const to = tiles[tiles.indexOf(document.activeElement) + by];
  if (!by || !to || event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  to.focus();
}

// ---------------------------------------------------------------------------------------------
// The page

const own = () => ({
  layers: studio.layers,
  mark: subject.live.mark,
  psi: Math.round(PSI_UNITS * studio.allowed(subject.live.psi)),
  label: usualLabel(subject.live),
});

/**
 * Shows what the address asks for; nine founders if it asks for nothing, or for what can't be. From the history come what was
 * chosen and, where the address can't be shown, the seed of the founders that were shown `instead`.
 */
function open({ chosen: wanted = [], instead = anySeed() } = {}) {
  const query = new URLSearchParams(location.search);
  const code = query.get("lineage");
  dials = undefined;
  complain("");
  try {
    if (code !== null) {
      const { family: asked, individual, isBrood } = readLineage(code);
      requireSameGenerator(asked, own());
      family = asked;
      if (!isBrood && studio.turns) dials = readDials(query, subject.live);
      return show({ individual, isBrood, code }, wanted);
    }
  } catch (error) {
    if (!(error instanceof BadCode)) throw error;
    family = own();
    const pattern = { seed: instead };
    remember({ chosen: wanted, instead });
    const code = writeLineage(family, pattern, { isBrood: true });
    const shownInstead = show({ individual: pattern, isBrood: true, code }, wanted);
    complain(error.reason); // the address stays as it is, to be looked at
    return shownInstead;
  }
  family = own();
  return go({ seed: anySeed() }, { isBrood: true, push: false });
}

/** What a card says of the one that is painted. */
function cardWords() {
  const address = (album.base || root.href).replace(/^https?:\/\/|\/$/g, "");
  return { heading: find("[data-headline]"), facts: painted.facts, site: album.site, address };
}

const current = () => painted && { pick: painted.pick, source: find("[data-one-picture]"), words: cardWords() };

function again() {
  studio.retry();
  begin();
}

async function begin() {
  find("[data-prepared]").hidden = true;
  find("[data-rule]").hidden = false;
  const loading = studio.load((...progress) => panel.progress(...progress));
  panel.tell(studio);
  const late = setTimeout(() => showPrepared(true), PATIENCE_MS);
  const ready = await loading;
  clearTimeout(late);
  panel.tell(studio);
  if (!ready) {
    lack();
    return;
  }
  find("[data-prepared]").hidden = true;
  find("[data-bench]").hidden = false;
  studio.grow();
  open(history.state ?? {});
}

/** Prepared pictures; of those that stand in until the generator is there the panel doesn't say what they are. */
function showPrepared(meanwhile) {
  find("[data-prepared]").hidden = false;
  find("[data-meanwhile]").hidden = !meanwhile;
}

/** Without a generator there is the gallery. */
function lack() {
  panel.tell(studio);
  showPrepared(false);
  find("[data-rule]").hidden = true;
  if (new URLSearchParams(location.search).has("lineage")) complain("needed");
}

page.addEventListener("click", ({ target }) => {
  const button = target.closest(".choice");
  if (button && members.has(button)) toggle(members.get(button));
});
find("[data-brood]").addEventListener("keydown", move);
find("[data-breed-on]").addEventListener("click", breed);
find("[data-others]").addEventListener("click", others);
find("[data-release]").addEventListener("click", release);
panel.bind(({ dials: steps }) => turnDials(steps), settleDials);
window.addEventListener("popstate", ({ state }) => studio.ready && open(state ?? {}));
bindSharing({ link: () => new URL(addressOf(shown.code), location.href).href, say });
bindSaving({ current, say });
keepOffline(root);
await studio.consider();
if (studio.hopeful) begin();
else lack();
