// One generator in several workers, a kernel each. The first does whatever is asked; the others come when `grow` is called, and go, or
// don't come at all, when the first draws on the GPU, which is one for all.

import { workers } from "./able.js";
import { Live } from "./client.js";

const FORMS = "metagan:forms"; // of convolutions, by adapter and shape

export class Pool {
  #all = new Set();
  #ready = []; // {live, waiting}
  #model;
  #wanted = false; // whether more than one are, unless the GPU draws
  #grown = false; // whether more than one are there, or on their way
  #forProcessor = false; // whether they stay while pictures come from the GPU
  #chosen; // the first worker's back end, as far as this visit knows it

  /**
   * @param {{url: string, sha256: string, size: number, large: boolean, keptOnly: boolean}} model keptOnly: nothing is downloaded;
   *   of a large one only the first worker may download.
   */
  constructor(model) {
    this.#model = model;
    this.#chosen = new Chosen(model.sha256);
  }

  get size() {
    return this.#ready.length;
  }

  /** Starts the first worker; the answer is the generator's configuration. */
  load(progress) {
    return this.#start(progress, this.#chosen);
  }

  /**
   * Starts as many more workers as the device is good for; the answer comes when all that can are there. `forProcessor` says that they are
   * for what a GPU doesn't do.
   */
  async grow({ forProcessor = false } = {}) {
    this.#wanted = true;
    this.#forProcessor ||= forProcessor;
    const drawsBy = this.#ready[0]?.live.backend ?? this.#chosen.known;
    if (this.#grown || (isOnGpu(drawsBy) && !this.#forProcessor)) return;
    this.#grown = true;
    const more = Array.from({ length: workers(this.#model) - 1 }, () => this.#start().catch(() => null));
    await Promise.all(more);
  }

  /** Ends all workers but the first; those that still draw end after that. */
  #shrink() {
    if (!this.#grown || this.#forProcessor) return;
    this.#grown = false;
    const others = this.#ready.splice(1);
    for (const { live } of others.filter(({ waiting }) => !waiting)) this.#end(live);
  }

  #end(live) {
    live.close();
    this.#all.delete(live);
  }

  async #start(progress, chosen = null) {
    const live = new Live();
    this.#all.add(live);
    live.onBackend = (name, isSure) => {
      if (!chosen) return;
      if (isSure) chosen.keep(name);
      if (isOnGpu(name)) this.#shrink();
      else if (this.#wanted) this.grow();
    };
    live.onForms = (forms) => chosen?.keepForms(forms);
    try {
      const { large, ...model } = this.#model;
      if (!chosen) model.keptOnly ||= large;
      const wanted = chosen ? { backend: chosen.known, forms: chosen.forms } : { backend: "wasm" };
      const config = await live.load({ ...model, ...wanted }, progress);
      if (!chosen && !this.#grown) this.#end(live); // the GPU draws by now
      else this.#ready.push({ live, waiting: 0 });
      return config;
    } catch (error) {
      this.#end(live);
      throw error;
    }
  }

  draw(wish) {
    return this.#ask((live) => live.draw(wish));
  }

  style(wish) {
    return this.#ask((live) => live.style(wish));
  }

  spread(wish) {
    return this.#ask((live) => live.spread(wish));
  }

  synthesize(ws) {
    return this.#ask((live) => live.synthesize(ws));
  }

  axes(wish) {
    return this.#ask((live) => live.axes(wish));
  }

  encode(wish) {
    return this.#ask((live) => live.encode(wish));
  }

  /** Tells all workers. */
  aim(wish) {
    return Promise.all(this.#ready.map(({ live }) => live.aim(wish)));
  }

  apart(wish) {
    return this.#ask((live) => live.apart(wish));
  }

  /** Asks the worker with the least to do. */
  async #ask(question) {
    if (!this.#ready.length) throw new Error("no generator is loaded");
    const worker = this.#ready.reduce((best, one) => (one.waiting < best.waiting ? one : best));
    worker.waiting++;
    try {
      return await question(worker.live);
    } finally {
      worker.waiting--;
      if (!worker.waiting && !this.#ready.includes(worker)) this.#end(worker.live);
    }
  }

  /** Ends all workers, those that are loading as well. */
  close() {
    for (const live of this.#all) live.close();
    this.#all.clear();
    this.#ready = [];
  }
}

const isOnGpu = (name) => name?.startsWith("webgpu") ?? false;

/** Which back end was the faster one for a generator, and which forms of convolutions for all, for as long as the visit lasts. */
class Chosen {
  #key;

  constructor(sha256) {
    this.#key = `metagan:backend:${sha256}`;
  }

  get known() {
    return recall(this.#key) ?? undefined;
  }

  keep(name) {
    if (isOnGpu(name)) performance.mark("metagan:webgpu");
    keep(this.#key, name);
  }

  get forms() {
    try {
      return JSON.parse(recall(FORMS)) ?? undefined;
    } catch {
      return undefined; // not what was kept here
    }
  }

  keepForms(forms) {
    keep(FORMS, JSON.stringify({ ...this.forms, ...forms }));
  }
}

function recall(key) {
  try {
    return sessionStorage.getItem(key);
  } catch {
    return null; // storage is switched off
  }
}

function keep(key, text) {
  try {
    sessionStorage.setItem(key, text);
  } catch {
    // It is measured again on the next page.
  }
}
