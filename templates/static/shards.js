// Pictures out of shards: zips of a thousand pictures each, uncompressed, on any host that answers requests for ranges
// of bytes. The list of shards and an index of each lie on the site, metagan/site/build/sharded.py writes them.

import { sha256Of } from "./names.js";

const BLOCK = 64; // rows of an index that are fetched at once
const MOST_BLOCKS = 128;

/** The host sends only whole shards. */
export class WholeError extends Error {
  name = "WholeError";
}

const readers = new Map();

/** Reads a subject's pictures out of its shards. `list` is the address of the list of shards. */
function readerOf(list) {
  if (!readers.has(list)) readers.set(list, new Reader(list));
  return readers.get(list);
}

class Reader {
  #list = null;
  #blocks = new Map();

  constructor(list) {
    this.list = list;
  }

  async picture(seed) {
    const { shards, zips, type, row } = await this.#shards();
    const [first, last] = shards.find(([first, last]) => first <= seed && seed <= last);
    const name = [first, last].map((end) => String(end).padStart(10, "0")).join("-");
    const view = await this.#row(name, seed - first, last - first + 1, row);
    const [offset, length] = [Number(view.getBigUint64(0, true)), view.getUint32(8, true)];
    const bytes = await part(new URL(`${name}.zip`, new URL(zips, this.list)), offset, length, "no-store");
    const found = await sha256Of(bytes);
    if (found.some((byte, i) => byte !== view.getUint8(12 + i))) throw new Error(`${name}.zip: seed ${seed} is damaged`);
    return new Blob([bytes], { type });
  }

  /** The list of shards, fetched when it is first wanted. */
  #shards() {
    this.#list ??= fetch(this.list).then((answer) => (answer.ok ? answer.json() : Promise.reject(answer.status)));
    this.#list.catch(() => (this.#list = null));
    return this.#list;
  }

  async #row(name, number, count, row) {
    const block = Math.floor(number / BLOCK);
    const key = `${name}/${block}`;
    if (!this.#blocks.has(key)) {
      const rows = Math.min(BLOCK, count - block * BLOCK);
      const bytes = part(new URL(`${name}.bin`, this.list), block * BLOCK * row, rows * row);
      bytes.catch(() => this.#blocks.delete(key));
      this.#blocks.set(key, bytes);
      if (this.#blocks.size > MOST_BLOCKS) this.#blocks.delete(this.#blocks.keys().next().value);
    }
    const { buffer, byteOffset } = await this.#blocks.get(key);
    return new DataView(buffer, byteOffset + (number % BLOCK) * row, row);
  }
}

/** Bytes of a file, and no more of it on the way. Browsers let requests for one kept file wait for each other. */
async function part(url, start, length, cache = "default") {
  const stop = new AbortController();
  const headers = { Range: `bytes=${start}-${start + length - 1}` };
  const answer = await fetch(url, { headers, cache, signal: stop.signal });
  if (answer.status !== 206) stop.abort();
  if (answer.ok && answer.status !== 206) throw new WholeError(url);
  const bytes = answer.ok ? new Uint8Array(await answer.arrayBuffer()) : null;
  if (bytes?.length !== length) throw new Error(`${url}: ${answer.status}`);
  return bytes;
}

/** Has an image show a picture, be it a file or part of a shard. `url(path)` is the address of a path on the site. */
export async function source(image, album, pick, url) {
  const file = album.src(pick);
  if (file) {
    image.src = url(file);
    return;
  }
  image.src = URL.createObjectURL(await readerOf(url(pick.subject.shards)).picture(pick.seed));
}

/** Gives the memory of a picture that came out of a shard back. */
export function letGo({ src }) {
  if (src?.startsWith("blob:")) URL.revokeObjectURL(src);
}
