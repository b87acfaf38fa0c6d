// Which pictures there are, and the choice among them.
// A pick is {subject, seed, number}: number is the picture's place among its subject's. Live picks, which studio.js
// describes, have none: they are made when they are wanted.

import { dialsText, writePick } from "./address.js";

const TRIES = 24;
const PATIENCE_MS = 2500;

/** Seeds as the page has them, "0-35,42", in that order. */
export function parseSeeds(ranges) {
  return ranges.split(",").flatMap((range) => {
    const [first, last = first] = range.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
}

/** Ascending seeds as the page has them, without a list of them all: there may be millions. */
class SeedRanges {
  #ranges;
  #before = [];

  constructor(ranges) {
    this.#ranges = ranges.split(",").map((range) => range.split("-").map(Number));
    this.length = 0;
    for (const [first, last = first] of this.#ranges) {
      this.#before.push(this.length);
      this.length += last - first + 1;
    }
  }

  at(number) {
    const i = last(this.#before, (before) => before <= number);
    return this.#ranges[i][0] + number - this.#before[i];
  }

  indexOf(seed) {
    const i = last(this.#ranges, ([first]) => first <= seed);
    const [first, end = first] = this.#ranges[i] ?? [Infinity];
    return seed >= first && seed <= end ? this.#before[i] + seed - first : -1;
  }
}

/** The place of the last thing of which something is true that is true of all before it. */
function last(things, isTrue) {
  let [low, high] = [0, things.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isTrue(things[middle])) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** Names a pick for comparison and storage. */
export const nameOf = ({ subject, seed, live, psi, dials }) =>
  `${subject.slug}/${seed}${live ? `/${psi}` : ""}${dials ? `/${dialsText(dials)}` : ""}`;

/** Whether two picks are the same picture, be one prepared and the other live. */
export const isSame = (a, b) =>
  a.subject === b.subject && a.seed === b.seed && dialsText(a.dials) === dialsText(b.dials) && !(a.mix ?? b.mix);

export class Album {
  #seeds = new Map();

  constructor(data) {
    this.pages = data.pages;
    this.chunk = data.chunk;
    this.wording = data.alt;
    this.xmp = data.xmp ?? "";
    this.headline = data.headline;
    this.site = data.site;
    this.base = data.base;
    /** Of many subjects the page has the first ones; the others lie in files, a group each. */
    this.groups = [{ count: data.subjects.length }, ...(data.groups ?? [])];
    /** The subjects that chance chooses from, and all that have come so far. */
    this.subjects = this.#take(data.subjects, 0);
    this.known = [...this.subjects];
  }

  #take(subjects, group) {
    for (const subject of subjects) {
      const xmp = this.xmp.replace("{maker}", () => subject.maker);
      Object.assign(subject, { group, xmp, headline: { ...this.headline, ...subject.headline } });
    }
    this.groups[group].subjects = subjects;
    return subjects;
  }

  /** A group's subjects, fetched when they are first wanted; null if they don't come. `root` is the site's address. */
  async load(number, root) {
    const group = this.groups[number];
    if (!group || group.subjects) return group?.subjects ?? null;
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const subjects = await fetch(new URL(group.url, root), { signal })
      .then((answer) => (answer.ok ? answer.json() : null))
      .catch(() => null);
    if (!subjects || group.subjects) return group.subjects ?? null; // two may have asked
    this.known.push(...this.#take(subjects, number));
    return subjects;
  }

  /** Lets chance choose the group to choose from; the one before stays if the new one doesn't come. */
  async turn(root) {
    if (this.groups.length === 1) return;
    let place = Math.random() * this.groups.reduce((sum, { count }) => sum + count, 0);
    const number = this.groups.findIndex(({ count }) => (place -= count) < 0);
    this.subjects = (await this.load(number, root)) ?? this.subjects;
  }

  /** A subject's seeds, read when they are first wanted: something with length, at and indexOf. */
  seeds(subject) {
    const read = () => (subject.single ? new SeedRanges(subject.seeds) : parseSeeds(subject.seeds));
    if (!this.#seeds.has(subject)) this.#seeds.set(subject, read());
    return this.#seeds.get(subject);
  }

  /** Those of a subject's seeds whose pictures are files of their own, though the others' are not. */
  singles(subject) {
    subject.files ??= new Set(subject.single ? parseSeeds(subject.single) : []);
    return subject.files;
  }

  at(subject, number) {
    return { subject, number, seed: this.seeds(subject).at(number) };
  }

  /** The pick of that slug and seed, or null. */
  find(slug, seed) {
    const subject = this.known.find((one) => one.slug === slug);
    const number = subject && /^\d+$/.test(seed) ? this.seeds(subject).indexOf(Number(seed)) : -1;
    return number < 0 ? null : this.at(subject, number);
  }

  /** Whether there is only one picture in all. */
  get lonely() {
    return this.groups.length === 1 && this.subjects.length === 1 && this.seeds(this.subjects[0]).length === 1;
  }

  /** A random picture of one of the subjects. The last of the names in `recent` is never taken again at once. */
  random(recent, subjects = this.subjects) {
    for (let i = 0; i < TRIES; i++) {
      const pick = this.#draw(subjects);
      if (!recent.includes(nameOf(pick))) return pick;
    }
    return this.#other(recent.at(-1), subjects);
  }

  #draw(subjects) {
    const subject = subjects[Math.floor(Math.random() * subjects.length)];
    return this.at(subject, Math.floor(Math.random() * this.seeds(subject).length));
  }

  /** Any picture of the subjects but the named one, in case few are left. */
  #other(name, subjects) {
    const rich = subjects.filter((one) => this.seeds(one).length > 1 || `${one.slug}/${this.seeds(one).at(0)}` !== name);
    if (!rich.length) return this.#draw(subjects);
    const pick = this.#draw(rich);
    return nameOf(pick) === name ? this.at(pick.subject, (pick.number + 1) % this.seeds(pick.subject).length) : pick;
  }

  /** A picture's file on the site; null if it lies in a shard, out of which shards.js gets it. */
  src({ subject, seed }) {
    const isSingle = !subject.single || this.singles(subject).has(seed);
    if (!isSingle && subject.shards) return null;
    const folder = isSingle ? "" : `${Math.floor(seed / subject.folder)}/`;
    return `pictures/${subject.slug}/${folder}${seed}.${subject.extension}`;
  }

  permalink(pick) {
    const { subject, seed } = pick;
    if (pick.live) return `${subject.slug}/${writePick(pick)}`;
    return this.pages && !subject.single ? `${subject.slug}/${seed}/` : `${subject.slug}/?seed=${seed}`;
  }

  fileName(pick) {
    return `${pick.subject.slug}-${pick.seed}.${pick.subject.extension}`;
  }

  /** What a screen reader says; titles are put in once, whatever they contain. */
  alt(pick) {
    const words = { title: pick.subject.title, seed: pick.seed };
    return this.wording.replace(/\{(title|seed)\}/g, (_, word) => words[word]);
  }
}
