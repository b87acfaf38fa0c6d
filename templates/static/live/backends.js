// What draws a generator's pictures: WebAssembly, until WebGPU has been seen to draw the same faster, and again as soon as that fails.

const ROUNDS = 3; // in which the two are timed in turns
// How far a picture may be from WebAssembly's, in levels and in their mean square; more is a driver that can't be trusted.
const ON_GPU = {
  "webgpu-f16": { precision: "f16", levels: 16, square: 255 ** 2 / 10 ** 4.5 }, // 45 dB
  webgpu: { precision: "f32", levels: 1, square: 0.01 }, // 1% of the values
};

const { search } = new URL(import.meta.url);

export class Backends {
  #generator;
  #weights;
  #wanted;
  #tell;
  #forms; // of convolutions, as forms.js takes them
  #devices = new Set(); // those in use
  #chosen = null; // {name, device, network}
  #considered = false;

  /**
   * @param {import("./generator.js").Generator} generator
   * @param {import("./weights.js").Weights} weights
   * @param {{wanted?: string, tell: (name: string) => void, forms?: object}} options wanted: "wasm", "webgpu", "webgpu-f16", or the
   *   fastest one; tell: is told which it is when that is known, which is after the first picture, and when it changes; forms: what is
   *   known of the fastest forms of convolutions, and who is told more (see webgpu/forms.js).
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
    if (this.#chosen) {
      const { device, network } = this.#chosen;
      try {
        return await network.synthesize(ws);
      } catch {
        this.#drop(device);
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
    for (const device of this.#devices) this.#end(device);
  }

  /** Nothing is left to be chosen. */
  #settle() {
    this.#considered = true;
    this.#weights = null;
    this.#tell(this.#chosen?.name ?? "wasm");
  }

  /** Ends drawing on a GPU that is drawn on. */
  #drop(device) {
    if (this.#chosen?.device !== device) return;
    this.#chosen = null;
    this.#end(device);
    this.#tell("wasm");
  }

  #end(device) {
    this.#devices.delete(device);
    device.destroy();
  }

  /** Finds the fastest that draws the same picture. */
  async #consider(ws) {
    let fastest = Infinity;
    for (const name of Object.keys(ON_GPU)) {
      if (this.#wanted && this.#wanted !== name) continue;
      const found = await this.#open(name);
      if (!found) continue;
      const taken = await this.#time(found, ws).catch(() => Infinity);
      const slower = taken < fastest ? this.#chosen : found;
      if (taken < fastest) [this.#chosen, fastest] = [found, taken];
      if (slower) this.#end(slower.device);
    }
    this.#settle();
  }

  /** The network on a GPU; null where there is none, or only a program that stands in for one, or where it fails. */
  async #open(name) {
    const { precision } = ON_GPU[name];
    let device = null;
    try {
      const adapter = await navigator.gpu.requestAdapter();
      if (!adapter || (!this.#wanted && isSoftware(adapter)) || !computes(adapter, precision)) return null;
      const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
      const clock = ["timestamp-query"].filter((feature) => adapter.features.has(feature));
      device = await adapter.requestDevice({
        requiredFeatures: [...FEATURES[precision], ...clock],
        requiredLimits: { maxBufferSize, maxStorageBufferBindingSize },
      });
      this.#devices.add(device);
      device.lost.then(() => this.#drop(device));
      device.addEventListener("uncapturederror", (event) => {
        event.preventDefault();
        this.#drop(device);
      });
      const [{ Network }, { Forms }, code] = await Promise.all([
        import(`./webgpu/network.js${search}`),
        import(`./webgpu/forms.js${search}`),
        loadShaders(),
      ]);
      const forms = new Forms({ ...this.#forms, adapter: `${nameOf(adapter)} ${precision}` });
      const network = await withoutErrors(device, () => Network.open(device, code, this.#weights, { precision, forms }));
      return { name, device, network };
    } catch {
      // No adapter, no memory, a shader that isn't taken.
      if (device) this.#end(device);
      return null;
    }
  }

  /** How long a picture takes; Infinity if it is another one, or comes later than WebAssembly's. */
  async #time({ name, device, network }, ws) {
    const got = await withoutErrors(device, () => network.synthesize(ws)); // the first takes longer
    if (!areAlike(got, this.#generator.synthesize(ws), ON_GPU[name])) return Infinity;
    if (this.#wanted) return 0;
    const fastest = { gpu: Infinity, wasm: Infinity };
    for (let round = 0; round < ROUNDS; round++) {
      fastest.gpu = Math.min(fastest.gpu, await duration(() => network.synthesize(ws)));
      fastest.wasm = Math.min(fastest.wasm, await duration(() => this.#generator.synthesize(ws)));
    }
    return fastest.gpu < fastest.wasm ? fastest.gpu : Infinity;
  }
}

const FEATURES = { f32: [], f16: ["shader-f16"] };

/** Whether an adapter, and the browser, have a precision. */
const computes = ({ features }, precision) =>
  FEATURES[precision].every((name) => features.has(name)) && (precision === "f32" || "Float16Array" in globalThis);

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
function areAlike(one, other, { levels, square }) {
  let sum = 0;
  for (let i = 0; i < one.length; i++) {
    const difference = Math.abs(one[i] - other[i]);
    if (difference > levels) return false;
    sum += difference ** 2;
  }
  return sum <= square * one.length;
}

async function duration(run) {
  const start = performance.now();
  await run();
  return performance.now() - start;
}
