// The page's side of the worker: a promise an answer.

const { search } = new URL(import.meta.url);

export class Live {
  #worker = new Worker(new URL(`./worker.js${search}`, import.meta.url), { type: "module" });
  #waiting = new Map();
  #next = 0;

  /** What draws, "wasm", "webgpu" or "webgpu-f16"; null until the first picture has been drawn and that is known. */
  backend = null;

  /** Is told what draws, when it is known and whenever it changes, and whether that holds for the next page too. */
  onBackend = null;

  /** Is told which forms of convolutions are the fastest, whenever the worker has measured one. */
  onForms = null;

  constructor() {
    this.#worker.addEventListener("message", ({ data }) => this.#answer(data));
    this.#worker.addEventListener("error", (event) => this.#fail(new Error(event.message || "the worker can't start")));
  }

  /**
   * Loads weights; the answer is their configuration. `progress` is told bytes loaded and bytes in all. `backend` is what is to draw:
   * "wasm", or "webgpu" or "webgpu-f16" if it can be had; without it, the fastest of the three. `forms` is what `onForms` was told before.
   * With `keptOnly` no weights are downloaded.
   */
  load({ url, sha256, size, keptOnly, backend, forms }, progress) {
    this.backend = null;
    // The worker lies elsewhere, so that the page's address is the one to count from.
    return this.#ask({ ask: "load", url: new URL(url, document.baseURI).href, sha256, size, keptOnly, backend, forms }, progress);
  }

  /** A seed's picture: {pixels: RGBA bytes, width, height}. `shift` is added to its styles after truncation. */
  draw({ seed, psi = 1, label, cutoff, shift }) {
    return this.#ask({ ask: "draw", seed, psi, label, cutoff, shift });
  }

  /** A seed's style, untruncated. */
  style({ seed, label }) {
    return this.#ask({ ask: "style", seed, label });
  }

  /** One style for every layer, truncated. */
  spread({ w, psi = 1, cutoff }) {
    return this.#ask({ ask: "spread", w, psi, cutoff });
  }

  /** The picture of one style for every layer. */
  synthesize(ws) {
    return this.#ask({ ask: "synthesize", ws });
  }

  /** The axes of the styles, on which projected pictures are written. See axes.js. */
  axes({ count, label }) {
    return this.#ask({ ask: "axes", count, label });
  }

  /** Where an encoder sees a picture, in coordinates of axes. */
  encode({ encoder, picture }) {
    return this.#ask({ ask: "encode", encoder, picture });
  }

  /** Has drawings compared with a picture, of numbers within [-1, 1] and the generator's own size. */
  aim({ picture, axes }) {
    return this.#ask({ ask: "aim", picture, axes });
  }

  /** A drawing's differences to that picture: its distance is their sum of squares. */
  apart({ code, ranges }) {
    return this.#ask({ ask: "apart", code, ranges });
  }

  /** Ends the worker; whoever waits is told. */
  close() {
    this.#worker.terminate();
    this.#fail(new Error("closed"));
  }

  #ask(message, progress) {
    const id = this.#next++;
    const { promise, resolve, reject } = deferred();
    this.#waiting.set(id, { resolve, reject, progress });
    this.#worker.postMessage({ id, ...message });
    return promise;
  }

  #answer({ id, result, error, progress, backend, isSure, forms }) {
    if (forms) {
      this.onForms?.(forms);
      return;
    }
    if (backend) {
      this.backend = backend;
      this.onBackend?.(backend, isSure);
      return;
    }
    const asked = this.#waiting.get(id);
    if (!asked) return;
    if (progress) {
      asked.progress?.(...progress);
      return;
    }
    this.#waiting.delete(id);
    if (error) asked.reject(Object.assign(new Error(error.message), { name: error.name }));
    else asked.resolve(result);
  }

  #fail(error) {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}

function deferred() {
  const parts = {};
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }));
  return parts;
}
