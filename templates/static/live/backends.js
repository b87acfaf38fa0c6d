// What draws a generator's pictures: WebAssembly, until WebGPU has been seen to draw the same faster, and again as soon as that fails.

const ROUNDS = 3; // in which the two are timed in turns
const MOST_OFF = 0.01; // of the values may differ by a level; more is a driver that can't be trusted

const { search } = new URL(import.meta.url);

export class Backends {
  #generator;
  #weights;
  #wanted;
  #tell;
  #forms; // of convolutions, as forms.js takes them
  #device = null;
  #network = null; // on that device
  #considered = false;

  /**
   * @param {import("./generator.js").Generator} generator
   * @param {import("./weights.js").Weights} weights
   * @param {{wanted?: string, tell: (name: string) => void, forms?: object}} options wanted: "wasm", "webgpu", or the faster one; tell: is
   *   told "wasm" or "webgpu" when that is known, which is after the first picture, and when it changes; forms: what is known of the
   *   fastest forms of convolutions, and who is told more (see webgpu/forms.js).
   */
  constructor(generator, weights, { wanted, tell, forms }) {
    this.#generator = generator;
    this.#weights = weights;
    this.#wanted = wanted;
    this.#tell = tell;
    this.#forms = forms;
    if (wanted === "wasm" || !navigator.gpu) this.#settle();
  }

  /** Styles of all layers to a picture's RGBA bytes, row by row. */
  async synthesize(ws) {
    if (this.#network) {
      try {
        return await this.#network.synthesize(ws);
      } catch {
        this.#drop();
      }
    }
    const pixels = this.#generator.synthesize(ws);
    if (!this.#considered) {
      this.#considered = true;
      setTimeout(() => this.#consider(ws)); // the picture comes first
    }
    return pixels;
  }

  close() {
    this.#tell = () => {};
    this.#settle();
    this.#device?.destroy();
  }

  /** Nothing is left to be chosen. */
  #settle() {
    this.#considered = true;
    this.#weights = null;
    this.#tell(this.#network ? "webgpu" : "wasm");
  }

  /** Ends drawing on the GPU. */
  #drop() {
    if (!this.#network) return;
    this.#network = null;
    this.#device.destroy();
    this.#tell("wasm");
  }

  async #consider(ws) {
    try {
      const network = await this.#open();
      if (network && (await this.#isBetter(network, ws))) this.#network = network;
    } catch {
      // No adapter, no memory, a shader that isn't taken: WebAssembly goes on.
    }
    if (!this.#network) this.#device?.destroy();
    this.#settle();
  }

  /** The network on a GPU; null where there is none, or only a program that stands in for one. */
  async #open() {
    const adapter = await navigator.gpu.requestAdapter();
    if (!adapter || (this.#wanted !== "webgpu" && isSoftware(adapter))) return null;
    const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
    const requiredFeatures = ["timestamp-query"].filter((name) => adapter.features.has(name));
    const device = await adapter.requestDevice({ requiredFeatures, requiredLimits: { maxBufferSize, maxStorageBufferBindingSize } });
    this.#device = device;
    device.lost.then(() => this.#drop());
    device.addEventListener("uncapturederror", (event) => {
      event.preventDefault();
      this.#drop();
    });
    const [{ Network }, { Forms }, code] = await Promise.all([
      import(`./webgpu/network.js${search}`),
      import(`./webgpu/forms.js${search}`),
      loadShaders(),
    ]);
    const forms = new Forms({ ...this.#forms, adapter: nameOf(adapter) });
    return withoutErrors(device, () => Network.open(device, code, this.#weights, { forms }));
  }

  /** Whether it draws the same picture, and sooner. */
  async #isBetter(network, ws) {
    const got = await withoutErrors(this.#device, () => network.synthesize(ws)); // the first takes longer
    if (!areAlike(got, this.#generator.synthesize(ws))) return false;
    if (this.#wanted === "webgpu") return true;
    const fastest = { gpu: Infinity, wasm: Infinity };
    for (let round = 0; round < ROUNDS; round++) {
      fastest.gpu = Math.min(fastest.gpu, await duration(() => network.synthesize(ws)));
      fastest.wasm = Math.min(fastest.wasm, await duration(() => this.#generator.synthesize(ws)));
    }
    return fastest.gpu < fastest.wasm;
  }
}

const isSoftware = ({ info, isFallbackAdapter }) => info?.isFallbackAdapter ?? isFallbackAdapter ?? false;

const nameOf = ({ info }) => [info?.vendor, info?.architecture, info?.device, info?.description].filter(Boolean).join(" ");

async function loadShaders() {
  const answer = await fetch(new URL(`./webgpu/kernel.wgsl${search}`, import.meta.url));
  if (!answer.ok) throw new Error(`${answer.url}: the server answered ${answer.status}`);
  return answer.text();
}

/** What a function answers; an error if the device reports one meanwhile, which it doesn't do by itself. */
async function withoutErrors(device, run) {
  const kinds = ["validation", "out-of-memory", "internal"];
  for (const kind of kinds) device.pushErrorScope(kind);
  const result = await run();
  const errors = await Promise.all(kinds.map(() => device.popErrorScope()));
  const error = errors.find(Boolean);
  if (error) throw new Error(error.message);
  return result;
}

/** Whether two pictures are the same but for rounding. */
function areAlike(one, other) {
  let off = 0;
  for (let i = 0; i < one.length; i++) {
    const difference = Math.abs(one[i] - other[i]);
    if (difference > 1) return false;
    off += difference;
  }
  return off <= MOST_OFF * one.length;
}

async function duration(run) {
  const start = performance.now();
  await run();
  return performance.now() - start;
}
