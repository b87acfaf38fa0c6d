// What a site shows by the day. Days are UTC's, so that they are the same for everybody.

import { digest } from "./names.js";

const DAY_MS = 24 * 60 * 60 * 1000;

/** Today as "2026-11-29". */
export const today = () => new Date().toISOString().slice(0, 10);

/** So many days after a day. */
export const shifted = (day, days) => new Date(Date.parse(day) + days * DAY_MS).toISOString().slice(0, 10);

/** Days since 1970-01-01. */
export const dayNumber = (day) => Math.round(Date.parse(day) / DAY_MS);

/** A day in words: "29 November 2026". */
export function said(day) {
  const options = { day: "numeric", month: "long", year: "numeric", timeZone: "UTC" };
  return new Intl.DateTimeFormat("en-GB", options).format(new Date(day));
}

/** The day that an address asks for, ?day=2026-11-29; today without one, or if it is still to come. */
export function askedDay() {
  const day = new URLSearchParams(location.search).get("day") ?? "";
  const known = /^\d{4}-\d\d-\d\d$/.test(day) && !Number.isNaN(Date.parse(day)) && shifted(day, 0) === day;
  return known && day >= "1970-01-01" && day < today() ? day : today();
}

const number = (bytes, start) => bytes.slice(start, start + 6).reduce((sum, byte) => sum * 256 + byte, 0);

/** The place of a day's picture among a subject's `count`. */
export async function placeOfDay(day, count) {
  return number(await digest(day), 0) % count;
}

function free(place, count, had) {
  while (had.has(place)) place = (place + 1) % count;
  had.add(place);
  return place;
}

/** A day's pairs: {real, made, realIsLeft}, places among `reals` and `made`. metagan/site/pages/daily.py states the rule. */
export async function roundOfDay(day, { slug, pairs, reals, made }) {
  const count = Math.min(pairs, reals, made);
  const numbers = Array.from({ length: count }, (_, i) => i);
  const digests = await Promise.all(numbers.map((i) => digest(`${slug}/${day}/${i}`)));
  const [hadReals, hadMade] = [new Set(), new Set()];
  return digests.map((bytes) => ({
    real: free(number(bytes, 0) % reals, reals, hadReals),
    made: free(number(bytes, 6) % made, made, hadMade),
    realIsLeft: bytes[12] % 2 === 0,
  }));
}
