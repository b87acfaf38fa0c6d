// A generator's weights, as `metagan export` writes them: safetensors, gzipped.

import { forget, hashOf, keep, recall } from "./cache.js";

const METADATA = "metagan-live";
const VERSION = 2;
const SIZES = { F32: 4, U8: 1, I8: 1 };
const STEPS = Float64Array.from({ length: 32 }, (_, exponent) => 2 ** (exponent - 25)); // between halves, by their exponent
const GZIP = [0x1f, 0x8b];
const WRONG = "WrongWeightsError"; // not the bytes that were meant

let everyHalf = null; // as a number, when one is needed for the first time

/** Weights that can't be used: the network failed, or the file is not the one that was meant. */
export class WeightsError extends Error {
  name = "WeightsError";
}

/**
 * Loads weights, from what was kept or from the network; tells how far it has come, and verifies them.
 *
 * @param {string} url
 * @param {{sha256?: string, size?: number, keptOnly?: boolean, progress?: (loaded: number, total: number) => void,
 *   signal?: AbortSignal}} options sha256 of the content before gzip, in hex; size in bytes as served, when the server doesn't
 *   say; keptOnly if nothing may be downloaded. Weights without a hash are not kept.
 * @returns {Promise<Weights>}
 */
export async function loadWeights(url, { sha256: want, size = 0, keptOnly = false, progress, signal } = {}) {
  const known = want && (await recall(url));
  if (known) {
    try {
      return await opened(url, await known.blob(), want);
    } catch {
      await forget(url);
    }
  }
  if (keptOnly) throw new WeightsError(`${url}: not kept from an earlier visit`);
  try {
    return await fetched(url, want, size, progress, { signal });
  } catch (error) {
    if (error.name !== WRONG) throw error;
    // Damaged on its way or in the browser's cache: once more, past that cache.
    return fetched(url, want, size, progress, { signal, cache: "reload" });
  }
}

async function fetched(url, want, size, progress, options) {
  const answer = await fetch(url, options);
  if (!answer.ok) throw new WeightsError(`${url}: the server answered ${answer.status}`);
  const total = size || Number(answer.headers.get("Content-Length")) || 0;
  const blob = await collect(answer.body, total, progress);
  const weights = await opened(url, blob, want);
  if (want) await keep(url, blob);
  return weights;
}

async function opened(url, blob, want) {
  let content;
  try {
    content = await inflate(blob);
  } catch (error) {
    throw Object.assign(new WeightsError(`${url}: damaged (${error.message})`), { name: WRONG });
  }
  if (want) await verify(url, content, want);
  return new Weights(url, content);
}

/** All bytes of a stream. */
async function collect(stream, total, progress) {
  const chunks = [];
  let loaded = 0;
  for (const reader = stream.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) return new Blob(chunks);
    chunks.push(value);
    loaded += value.length;
    progress?.(loaded, Math.max(loaded, total));
  }
}

/** Unpacks what is gzipped; some servers say so in a header, and then the browser has done it already. */
async function inflate(blob) {
  const start = new Uint8Array(await blob.slice(0, GZIP.length).arrayBuffer());
  if (!GZIP.every((byte, i) => start[i] === byte)) return new Uint8Array(await blob.arrayBuffer());
  const stream = blob.stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function verify(url, content, want) {
  const got = await hashOf(content);
  if (got !== want) throw Object.assign(new WeightsError(`${url}: its SHA-256 is ${got}, want ${want}`), { name: WRONG });
}

/** Tensors by name, and what they belong to. */
export class Weights {
  #data;
  #tensors;

  /** @param {Uint8Array} content A safetensors file: header's length (8 bytes), header (JSON), data. */
  constructor(url, content) {
    try {
      const length = Number(new DataView(content.buffer, content.byteOffset, 8).getBigUint64(0, true));
      const { __metadata__: metadata, ...tensors } = JSON.parse(new TextDecoder().decode(content.subarray(8, 8 + length)));
      this.config = JSON.parse(metadata[METADATA]);
      this.#tensors = tensors;
      this.#data = content.subarray(8 + length);
    } catch (error) {
      throw new WeightsError(`${url}: no weights for the browser (${error.message})`);
    }
    const { version, architecture } = this.config;
    if (version !== VERSION || architecture !== "stylegan2") {
      throw new WeightsError(`${url}: version ${version} of ${architecture}, want version ${VERSION} of stylegan2`);
    }
  }

  has(name) {
    return name in this.#tensors;
  }

  /** A tensor's bytes, their type (F32, F16 or I8), how many numbers they hold; for I8 each row's factor too. */
  read(name) {
    if (!this.has(name)) throw new WeightsError(`no tensor ${name}`);
    const { dtype, shape, data_offsets: [from, to] } = this.#tensors[name];
    const count = shape.reduce((product, length) => product * length, 1);
    if (to - from !== count * SIZES[dtype]) throw new WeightsError(`${name}: ${to - from} bytes for ${count} numbers`);
    const bytes = this.#data.subarray(from, to);
    if (dtype === "U8") return { bytes: joined(bytes), dtype: "F16", count: count / 2, scale: null };
    const scale = dtype === "I8" ? this.read(`${name}.scale`) : null;
    return { bytes, dtype, count, scale };
  }

  /** A tensor's numbers. */
  floats(name) {
    const { bytes, dtype, count, scale } = this.read(name);
    const whole = bytes.slice().buffer; // aligned
    if (dtype === "F32") return new Float32Array(whole);
    const numbers = new Float32Array(count);
    if (dtype === "F16") {
      const halves = new Uint16Array(whole);
      const wide = (everyHalf ??= Float32Array.from({ length: 2 ** 16 }, (_, half) => widen(half)));
      for (let i = 0; i < count; i++) numbers[i] = wide[halves[i]];
    } else {
      const factors = this.floats(`${name}.scale`);
      const row = count / scale.count;
      new Int8Array(whole).forEach((value, i) => (numbers[i] = value * factors[Math.floor(i / row)]));
    }
    return numbers;
  }
}

/** Halves of which all low bytes come first and then all high ones. */
function joined(planes) {
  const bytes = new Uint8Array(planes.length);
  const high = planes.length / 2;
  for (let i = 0; i < high; i++) {
    bytes[2 * i] = planes[i];
    bytes[2 * i + 1] = planes[high + i];
  }
  return bytes;
}

/** An IEEE 754 half to a number: exact. */
export function widen(half) {
  const exponent = (half >> 10) & 31;
  const fraction = half & 1023;
  const size = exponent ? (1024 + fraction) * STEPS[exponent] : fraction * STEPS[1];
  return half & 0x8000 ? -size : size;
}
