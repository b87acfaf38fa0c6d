// What an address says of a picture, and what a picture's address is: ?seed=123456&psi=0.8&class=3&mix=7&from=4.
// A generator whose labels are numbers, not classes, has label=0.2,0.7 for class=3. Dials are turned by dials=1:2,3:-0.5,
// each dial's number, from 1, and its steps, as `metagan sample --dials` takes them.

import { MOST_SEED } from "./studio.js";

const whole = (text, most) => (/^\d{1,10}$/.test(text ?? "") && Number(text) <= most ? Number(text) : null);

/** A number in the shortest digits that registry and command line use too. */
export const short = (number) => String(Math.round(number * 1e4) / 1e4);

/** The label that the registry wants: a class's number, or an array of numbers; undefined without one. */
export const usualLabel = (live) => live?.label ?? live?.class ?? undefined;

const isLabel = (one, other) => String(one) === String(other);

/** The label that a query asks for, or null. */
function readLabel(query, live) {
  if (!live?.ranges) return whole(query.get("class"), (live?.classes ?? 0) - 1);
  const numbers = (query.get("label") ?? "").split(",").map((part) => (/\d/.test(part) ? Number(part) : NaN));
  return numbers.length === live.ranges.length && numbers.every(Number.isFinite) ? numbers : null;
}

const MOST_STEPS = 100;

/** How dials are turned as text, "1:2,3:-0.5"; "" if none is. */
export const dialsText = (dials = []) =>
  dials.flatMap((steps, i) => (Number(short(steps)) ? [`${i + 1}:${short(steps)}`] : [])).join(",");

/** The steps of each dial that a query asks for, or undefined. */
export function readDials(query, live) {
  const count = live?.dials?.names.length ?? 0;
  const steps = new Array(count).fill(0);
  for (const part of (query.get("dials") ?? "").split(",")) {
    const [, number, by] = /^(\d{1,4}):(-?\d{1,3}(?:\.\d{1,6})?)$/.exec(part) ?? [];
    if (number >= 1 && number <= count && Math.abs(by) <= MOST_STEPS) steps[number - 1] = Number(by);
  }
  return steps.some(Boolean) ? steps : undefined;
}

/** The live pick that a query asks for, or null. */
export function readPick(query, subject) {
  const seed = whole(query.get("seed"), MOST_SEED);
  if (seed === null) return null;
  const { live } = subject;
  const pick = { subject, live: true, seed, psi: live?.psi ?? Number(subject.psi), label: usualLabel(live) };
  const psi = Number(query.get("psi") || NaN);
  if (psi >= -2 && psi <= 2) pick.psi = psi;
  const dials = readDials(query, live);
  if (dials) pick.dials = dials;
  const label = readLabel(query, live);
  if (label !== null) pick.label = label;
  const [other, from] = [whole(query.get("mix"), MOST_SEED), whole(query.get("from"), 99)];
  if (other !== null && from !== null) pick.mix = { seed: other, from };
  return pick;
}

/** Whether a live pick is what was prepared under its seed. */
export function isOrdinary({ subject, psi, label, mix, dials }) {
  const { live } = subject;
  return !mix && !dialsText(dials) && psi === Number(subject.psi) && (!live || isLabel(label, usualLabel(live)));
}

/** A live pick's query. */
export function writePick({ subject, seed, psi, label, mix, dials }) {
  const query = new URLSearchParams({ seed, psi: short(psi) });
  if (label !== undefined && !isLabel(label, usualLabel(subject.live))) {
    if (Array.isArray(label)) query.set("label", label.map(short));
    else query.set("class", label);
  }
  if (mix) {
    query.set("mix", mix.seed);
    query.set("from", mix.from);
  }
  const turned = dialsText(dials);
  return `?${query}${turned && `&dials=${turned}`}`; // : and , may stand as they are
}
