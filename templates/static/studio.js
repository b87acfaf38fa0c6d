// A subject's generator on this page: loaded once, then asked for pictures.
// A live pick is {subject, live: true, seed, psi, label} and, where dials are turned, dials: [steps of the first, ...];
// for a mix of two, mix: {seed, from}.

import { obstacle } from "./live/able.js";
import { recall } from "./live/cache.js";
import { loadDials } from "./live/dials.js";
import { Pool } from "./live/pool.js";

const { search } = new URL(import.meta.url); // the site's revision

export const MOST_SEED = 2 ** 32 - 1;

/** A seed that nobody has seen. */
export const anySeed = () => crypto.getRandomValues(new Uint32Array(1))[0];

/** Notes a moment once, for whoever measures: seconds from the page's start. */
export function mark(name) {
  const full = `metagan:${name}`;
  if (!performance.getEntriesByName(full).length) performance.mark(full);
}

export class Studio {
  #pool;
  #first; // its state before anything was asked of it
  #loading = null;
  #stopped = false;
  #keptOnly = false; // nobody has said that it may be downloaded
  #dials = null;
  #axes = new Map();

  /** @param subject of the album; `root` is the site's address */
  constructor(subject, root) {
    this.subject = subject;
    this.url = subject.live && new URL(subject.live.url, root).href;
    this.dialsUrl = subject.live?.dials && new URL(subject.live.dials.url, root).href;
    this.config = null;
    this.#first = subject.live ? obstacle(subject.live) || "idle" : "never";
    /** "ready", or why it isn't: "never", "idle", "loading", "failed", or an obstacle's name. */
    this.state = this.#first;
  }

  get ready() {
    return this.state === "ready";
  }

  /** Whether it may still become ready without being asked to. */
  get hopeful() {
    return ["idle", "loading", "ready"].includes(this.state);
  }

  /** Whether the visitor is to say that it may be downloaded. */
  get asks() {
    return ["saver", "large"].includes(this.state);
  }

  /** Whether loading takes no network. */
  async isKept() {
    return this.url !== null && (await recall(this.url)) !== undefined;
  }

  /** Loads the generator; the answer is whether that worked. `progress` is told bytes loaded and bytes in all. */
  load(progress) {
    this.#loading ??= this.#load(progress);
    return this.#loading;
  }

  async #load(progress) {
    if (this.state === "never") return false;
    this.state = "loading";
    this.#stopped = false;
    const { sha256, size, large } = this.subject.live;
    this.#pool = new Pool({ url: this.url, sha256, size, large, keptOnly: this.#keptOnly });
    try {
      const dials = this.dialsUrl ? loadDials(this.dialsUrl, this.subject.live.dials) : null;
      const without = dials?.catch(() => null) ?? null; // pictures can do without
      this.config = await this.#pool.load(progress);
      this.#dials = await without;
      if (this.#stopped) throw new Error("stopped");
      this.state = "ready";
      mark("live-ready");
    } catch (error) {
      if (this.#stopped) [this.#loading, this.state] = [null, this.#first];
      else this.state = "failed";
      this.error = error;
    }
    return this.ready;
  }

  /** Gives up loading; it can be asked for again. */
  stop() {
    if (this.state !== "loading") return;
    this.#stopped = true;
    this.#pool.close();
  }

  /** Sparing data is no reason against what is there already. */
  async consider() {
    if (this.asks && !this.#stopped && (await this.isKept())) [this.state, this.#keptOnly] = ["idle", true];
  }

  /** Lets a failed or forbidden generator be tried anew. */
  retry() {
    if (!this.ready) [this.#loading, this.state, this.#keptOnly] = [null, "idle", false];
  }

  /** More workers, for many pictures at a time; see Pool. */
  grow(options) {
    return this.#pool.grow(options);
  }

  get workers() {
    return this.#pool.size;
  }

  /** Layers that take a style each. */
  get layers() {
    return 2 * this.config.channels.length;
  }

  /** Whether its dials can be turned. */
  get turns() {
    return this.#dials !== null;
  }

  /** What a pick's dials add to its styles, or null. */
  #shift({ dials }) {
    return this.#dials?.shift(dials, this.layers) ?? null;
  }

  /** psi as far as this generator can be truncated at all. */
  allowed(psi) {
    return this.config?.mean === false ? 1 : psi;
  }

  /** A pick's picture: {pixels: RGBA bytes, width, height}. */
  async picture(pick) {
    if (pick.mix) return this.paint(await this.styles(pick));
    const { seed, label } = pick;
    return this.#pool.draw({ seed, psi: this.allowed(pick.psi), label, shift: this.#shift(pick) });
  }

  /** A pick's style for every layer, truncated, with its dials turned; a mix has the coarse layers of one and the fine ones of another. */
  async styles({ mix, ...pick }) {
    if (mix) {
      const [coarse, fine] = await Promise.all([this.styles(pick), this.styles({ ...pick, seed: mix.seed })]);
      return crossed(coarse, fine, mix.from / this.layers);
    }
    const { seed, label, psi } = pick;
    const w = await this.#pool.style({ seed, label });
    const ws = await this.#pool.spread({ w, psi: this.allowed(psi) });
    this.#shift(pick)?.forEach((by, i) => (ws[i] += by));
    return ws;
  }

  /** Styles with dials turned. */
  turned(ws, dials) {
    const shift = this.#shift({ dials });
    return shift ? ws.map((w, i) => w + shift[i]) : ws;
  }

  /** The axes of the styles, of so many; computed once. */
  axes(count, label) {
    const key = `${count}/${label}`;
    if (!this.#axes.has(key)) this.#axes.set(key, this.#pool.axes({ count, label }));
    return this.#axes.get(key);
  }

  /** The style for every layer of a projected picture's numbers. */
  async projected(numbers, label) {
    const { stylesOnAxes, UNITS } = await import(`./live/axes.js${search}`);
    const axes = await this.axes(numbers[0].length, label);
    return stylesOnAxes(axes, numbers.flat().map((number) => number / UNITS), numbers.length, this.layers);
  }

  /** The workers, for the search of a picture. */
  get pool() {
    return this.#pool;
  }

  /** The picture of a style for every layer. */
  paint(ws) {
    return this.#pool.synthesize(ws);
  }
}

/** Styles of which the first `share` of the layers is one picture's, the rest another's. */
function crossed(coarse, fine, share) {
  const ws = fine.slice();
  ws.set(coarse.subarray(0, Math.round(coarse.length * share)));
  return ws;
}
