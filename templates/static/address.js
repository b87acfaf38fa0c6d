// What an address says of a picture, and what a picture's address is: ?seed=123456&psi=0.8&class=3&mix=7&from=4.

import { MOST_SEED } from "./studio.js";

const whole = (text, most) => (/^\d{1,10}$/.test(text ?? "") && Number(text) <= most ? Number(text) : null);

/** A number in the shortest digits that registry and command line use too. */
export const short = (number) => String(Math.round(number * 1e4) / 1e4);

/** The live pick that a query asks for, or null. */
export function readPick(query, subject) {
  const seed = whole(query.get("seed"), MOST_SEED);
  if (seed === null) return null;
  const { live } = subject;
  const pick = { subject, live: true, seed, psi: live?.psi ?? Number(subject.psi), label: live?.class ?? undefined };
  const psi = Number(query.get("psi") || NaN);
  if (psi >= -2 && psi <= 2) pick.psi = psi;
  const label = whole(query.get("class"), (live?.classes ?? 0) - 1);
  if (label !== null) pick.label = label;
  const [other, from] = [whole(query.get("mix"), MOST_SEED), whole(query.get("from"), 99)];
  if (other !== null && from !== null) pick.mix = { seed: other, from };
  return pick;
}

/** Whether a live pick is what was prepared under its seed. */
export function isOrdinary({ subject, psi, label, mix }) {
  const { live } = subject;
  return !mix && psi === Number(subject.psi) && (!live || label === (live.class ?? undefined));
}

/** A live pick's query. */
export function writePick({ subject, seed, psi, label, mix }) {
  const query = new URLSearchParams({ seed, psi: short(psi) });
  if (label !== undefined && label !== (subject.live.class ?? undefined)) query.set("class", label);
  if (mix) {
    query.set("mix", mix.seed);
    query.set("from", mix.from);
  }
  return `?${query}`;
}
