// A name's own picture, the same for everybody: api/SLUG.json states the rule for other programs.

const SPACES = /\s+/gu;

/** The form in which names are compared. */
export function normalise(name) {
  return name.normalize("NFC").toLowerCase().normalize("NFC").replace(SPACES, " ").trim();
}

/** SHA-256 of a text's UTF-8 bytes. */
export const digest = (text) => sha256Of(new TextEncoder().encode(text));

/** SHA-256 of bytes. */
export async function sha256Of(bytes) {
  if (globalThis.crypto?.subtle) return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return sha256(bytes);
}

/** The place of a name's picture among `count`. */
export async function placeOf(name, count) {
  const bytes = await digest(normalise(name));
  return bytes.slice(0, 6).reduce((number, byte) => number * 256 + byte, 0) % count;
}

/** A name as somebody may write it, without what only hides or turns others' letters; "" if nothing of it is seen. */
export function readName(text) {
  const name = (text ?? "").replace(/[\p{Cc}\u202a-\u202e\u2066-\u2069\ufeff]/gu, " ").trim();
  const seen = /[^\p{Default_Ignorable_Code_Point}\p{C}\p{M}\p{Z}\u2800]/u.test(name);
  return seen ? [...name.normalize("NFC").replace(SPACES, " ")].slice(0, 80).join("") : "";
}

/** The seed of a name, for a generator that draws any. */
export async function seedOf(name) {
  const bytes = await digest(normalise(name));
  return bytes.slice(0, 4).reduce((number, byte) => number * 256 + byte, 0);
}

const rotate = (word, by) => (word >>> by) | (word << (32 - by));

/** The first `count` primes' roots: their fractions' first 32 bits are SHA-256's constants. */
function fractions(count, root) {
  const primes = [];
  for (let n = 2; primes.length < count; n++) {
    if (primes.every((prime) => n % prime)) primes.push(n);
  }
  return primes.map((prime) => Math.floor((root(prime) % 1) * 2 ** 32));
}

/** The message with its closing bit and length, as big-endian words (FIPS 180-4, section 5.1.1). */
function padded(bytes) {
  const whole = new Uint8Array((((bytes.length + 8) >> 6) + 1) * 64);
  whole.set(bytes);
  whole[bytes.length] = 0x80;
  const view = new DataView(whole.buffer);
  view.setUint32(whole.length - 8, Math.floor(bytes.length / 2 ** 29));
  view.setUint32(whole.length - 4, bytes.length << 3);
  return view;
}

/** The message schedule of one block (section 6.2.2, step 1). */
function schedule(view, offset) {
  const w = Array.from({ length: 16 }, (_, t) => view.getInt32(offset + 4 * t));
  for (let t = 16; t < 64; t++) {
    const [a, b] = [w[t - 15], w[t - 2]];
    const low = rotate(a, 7) ^ rotate(a, 18) ^ (a >>> 3);
    const high = rotate(b, 17) ^ rotate(b, 19) ^ (b >>> 10);
    w[t] = (w[t - 16] + low + w[t - 7] + high) | 0;
  }
  return w;
}

/** One block's rounds (section 6.2.2, steps 2 to 4). */
function compress(state, w, k) {
  let [a, b, c, d, e, f, g, h] = state;
  for (let t = 0; t < 64; t++) {
    const big1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
    const t1 = (h + big1 + ((e & f) ^ (~e & g)) + k[t] + w[t]) | 0;
    const big0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
    const t2 = (big0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    [a, b, c, d, e, f, g, h] = [(t1 + t2) | 0, a, b, c, (d + t1) | 0, e, f, g];
  }
  return [a, b, c, d, e, f, g, h].map((word, i) => (word + state[i]) | 0);
}

/** SHA-256 (FIPS 180-4) for pages without https, where crypto.subtle is missing. */
export function sha256(bytes) {
  const k = fractions(64, Math.cbrt);
  const view = padded(bytes);
  let state = fractions(8, Math.sqrt);
  for (let offset = 0; offset < view.byteLength; offset += 64) {
    state = compress(state, schedule(view, offset), k);
  }
  const result = new DataView(new ArrayBuffer(32));
  state.forEach((word, i) => result.setInt32(4 * i, word));
  return new Uint8Array(result.buffer);
}
