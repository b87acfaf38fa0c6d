// Lineages: individuals bred from others, as a code that fits an address. metagan/lab/lineage.py describes the code's
// bytes and the arithmetic, and does the same in Python.
//
// A family is what all its members share: {layers, mark, psi, label}, psi in thousandths. An individual is {seed} for a
// founder, {projected: [[numbers of a range of layers]]} for one that is a projected picture (metagan/lab/axes.py), else
// {parents: [one or two], taken: [first, last] or null, mutated: [first, last], strength, seed}.

import { crc32 } from "./png.js";

export const BROOD_SIZE = 9;
export const MOST_INDIVIDUALS = 120;
export const FULL_STRENGTH = 128;
export const PSI_UNITS = 1000;
const [VERSION, VERSION_PROJECTED] = [1, 2]; // the second is of codes with projected pictures
const [IS_SEED, IS_PROJECTED] = [0, 1];
const MOST_AXES = 128;
export const MOST_LETTERS = 1932;
const MOST_NUMBERS = 31;
const [IS_BROOD, HAS_CLASS, HAS_NUMBERS] = [1, 2, 4];
const CUTS = [[0, 4], [4, 8], [8, 12], [0, 8], [4, 12], [0, 6], [6, 12], [3, 9], [0, 3]]; // twelfths of the layers

/** A code that can't be read; `reason` is "version", "long", "damaged" or "other" (of another generator). */
export class BadCode extends Error {
  constructor(reason, what) {
    super(what);
    this.reason = reason;
  }
}

/** Twelfths of the layers as the first and the last of them. */
export function layersBetween(from, to, layers) {
  const [first, after] = [from, to].map((twelfths) => Math.floor((layers * twelfths) / 12));
  return [Math.min(first, layers - 1), Math.min(Math.max(first, after - 1), layers - 1)];
}

/** The nine that a brood's pattern stands for. */
export function broodOf(pattern, { layers }) {
  return CUTS.map(([from, to], i) => {
    const seed = (pattern.seed + i) >>> 0;
    if (!pattern.parents) return { seed };
    return { ...pattern, seed, taken: pattern.taken && layersBetween(from, to, layers) };
  });
}

/** Everybody that an individual comes from and itself at last, parents before their children. */
export function ancestry(...individuals) {
  const found = new Set();
  const visit = (one) => {
    if (found.has(one)) return;
    one.parents?.forEach(visit);
    found.add(one);
  };
  individuals.forEach(visit);
  const all = [...found];
  return [...all.filter(({ parents }) => !parents), ...all.filter(({ parents }) => parents)];
}

// ---------------------------------------------------------------------------------------------
// Codes

/** An individual's code, or that of the brood it is the pattern of. */
export function writeLineage({ layers, mark, psi, label }, individual, { isBrood = false } = {}) {
  const bytes = [];
  const put = (size, number) => {
    for (let shift = 8 * (size - 1); shift >= 0; shift -= 8) bytes.push((number >>> shift) & 255);
  };
  const kind = label === undefined ? 0 : Array.isArray(label) ? HAS_NUMBERS : HAS_CLASS;
  const everybody = ancestry(individual);
  const hasProjected = everybody.some(({ projected }) => projected);
  const version = hasProjected ? VERSION_PROJECTED : VERSION;
  bytes.push(version, (isBrood ? IS_BROOD : 0) | kind, layers, ...mark.match(/../g).map((pair) => parseInt(pair, 16)));
  put(2, psi);
  if (kind === HAS_CLASS) put(2, label);
  if (kind === HAS_NUMBERS) {
    bytes.push(label.length);
    for (const number of label) put(4, floatBits(number));
  }
  const number = new Map(everybody.map((one, i) => [one, i]));
  bytes.push(everybody.filter(({ parents }) => !parents).length);
  for (const { parents, taken, mutated, strength, seed, projected } of everybody) {
    if (projected) {
      bytes.push(IS_PROJECTED, projected.length, projected[0].length, ...projected.flat().map((each) => each & 255));
      continue;
    }
    if (hasProjected && !parents) bytes.push(IS_SEED);
    if (parents) bytes.push(number.get(parents[0]), number.get(parents.at(-1)), ...(taken ?? []), ...mutated, strength);
    put(4, seed);
  }
  put(4, crc32(Uint8Array.from(bytes)));
  return textOf(bytes);
}

const textOf = (bytes) =>
  btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
const shared = new DataView(new ArrayBuffer(4));
const floatBits = (number) => (shared.setFloat32(0, number), shared.getUint32(0));
const damaged = (what) => new BadCode("damaged", what);

function bytesOf(code) {
  if (code.length > MOST_LETTERS) throw new BadCode("long", `${code.length} letters`);
  if (!/^[\w-]+$/.test(code) || code.length % 4 === 1) throw damaged(`${code.length} letters`);
  const text = atob(code.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}

/** A code's checksum, 8 hex digits, a short name. */
export const checksumOf = (code) =>
  Array.from(bytesOf(code).subarray(-4), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** What a code says: {family, individual, isBrood}; the individual is a brood's pattern. Throws a BadCode. */
export function readLineage(code) {
  const bytes = bytesOf(code);
  const content = bytes.subarray(0, -4);
  const isWhole = bytes.length > 4 && crc32(content) === new DataView(bytes.buffer, content.length).getUint32();
  if (!isWhole || textOf(bytes) !== code) throw damaged("checksum");
  if (bytes[0] !== VERSION && bytes[0] !== VERSION_PROJECTED) throw new BadCode("version", `version ${bytes[0]}`);
  try {
    return parse(new DataView(bytes.buffer, 0, content.length));
  } catch (error) {
    throw error instanceof RangeError ? damaged(error.message) : error; // behind the end
  }
}

function parse(view) {
  let place = 0;
  const take = (size) => {
    const number = { 1: () => view.getUint8(place), 2: () => view.getUint16(place), 4: () => view.getUint32(place) }[size]();
    place += size;
    return number;
  };
  const require = (isSo, what) => {
    if (!isSo) throw damaged(what);
  };
  const [version, flags, layers] = [take(1), take(1), take(1)];
  const mark = [take(1), take(1), take(1)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const psi = (take(2) << 16) >> 16;
  require(flags < 6 && layers >= 1 && Math.abs(psi) <= 2 * PSI_UNITS, "head");
  let label;
  if (flags & HAS_CLASS) label = take(2);
  if (flags & HAS_NUMBERS) {
    label = Array.from({ length: take(1) }, () => (place += 4, view.getFloat32(place - 4)));
    require(label.length > 0 && label.length <= MOST_NUMBERS && label.every(Number.isFinite), "label");
  }
  const range = () => {
    const [first, last] = [take(1), take(1)];
    require(first <= last && last < layers, "layers");
    return [first, last];
  };
  const founders = take(1);
  require(founders >= 1 && founders <= MOST_INDIVIDUALS, "founders");
  const projected = () => {
    const [ranges, axes] = [take(1), take(1)];
    require(ranges >= 1 && ranges <= layers && axes >= 1 && axes <= MOST_AXES, "axes");
    const rows = Array.from({ length: ranges }, () => Array.from({ length: axes }, () => (take(1) << 24) >> 24));
    require(rows.flat().every((each) => each !== -128), "numbers");
    return { projected: rows };
  };
  const founder = () => {
    const kind = version === VERSION_PROJECTED ? take(1) : IS_SEED;
    require(kind === IS_SEED || kind === IS_PROJECTED, "founder");
    return kind === IS_SEED ? { seed: take(4) } : projected();
  };
  const everybody = Array.from({ length: founders }, founder);
  require(everybody.some((one) => one.projected) === (version === VERSION_PROJECTED), "version");
  while (place < view.byteLength) {
    const [first, second] = [take(1), take(1)];
    require(Math.max(first, second) < everybody.length && everybody.length < MOST_INDIVIDUALS, "parents");
    const parents = first === second ? [everybody[first]] : [everybody[first], everybody[second]];
    const taken = first === second ? null : range();
    const [mutated, strength, seed] = [range(), take(1), take(4)];
    require(strength <= FULL_STRENGTH, "strength");
    everybody.push({ parents, taken, mutated, strength, seed });
  }
  require(everybody.length > founders || founders === 1, "founders");
  const [individual, isBrood] = [everybody.at(-1), Boolean(flags & IS_BROOD)];
  require(!(isBrood && individual.projected), "brood");
  return { family: { layers, mark, psi, label }, individual, isBrood };
}

/** Refuses a family that isn't this generator's. */
export function requireSameGenerator(family, { layers, mark, label }) {
  const shape = (one) => (Array.isArray(one) ? one.length : typeof one);
  if (family.layers !== layers || shape(family.label) !== shape(label) || family.mark !== mark) {
    throw new BadCode("other", `${family.layers} layers, ${family.mark}`);
  }
}

// ---------------------------------------------------------------------------------------------
// Styles

/**
 * An individual's style for every layer. `founder({seed})` gives a seed's, truncated, or `founder({projected})` a
 * projected picture's, and `known` keeps those of individuals: a Map to promises.
 */
export async function stylesOf(individual, { layers }, founder, known) {
  for (const one of ancestry(individual)) if (!known.has(one)) known.set(one, bred(one, layers, founder, known));
  return known.get(individual);
}

async function bred(one, layers, founder, known) {
  const { parents, taken, mutated, strength, seed } = one;
  if (!parents) return founder(one);
  const [first, second, fresh] = await Promise.all([known.get(parents[0]), known.get(parents.at(-1)), founder({ seed })]);
  const child = first.slice();
  const width = child.length / layers;
  if (taken) child.set(second.subarray(taken[0] * width, (taken[1] + 1) * width), taken[0] * width);
  const share = strength / FULL_STRENGTH;
  for (let i = mutated[0] * width; i < (mutated[1] + 1) * width; i++) {
    child[i] += Math.fround(share * Math.fround(fresh[i] - child[i]));
  }
  return child;
}
