// What draws a generator's pictures: WebAssembly, until WebGPU has been seen to draw the same faster, and again as soon as that fails.

const ROUNDS = 3; // in which the two are timed in turns
const CLEARLY = 2; // so many times as fast: no further round is needed
const HOPELESS = 8; // so many times as slow: convolutions by their faster form don't make up for it
const FORMS_MS = 10_000; // for timing forms of convolutions on one page; those that are left are direct
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
  #colours; // of a pixel, without what is always 255
  #devices = new Set(); // those in use
  #chosen = null; // {name, device, network}
  #considered = false;
  #isSure = true; // whether the next page would find the same

  /** While something is timed, a promise that it has ended: whatever else the worker does would count as its time. */
  timing = null;

  /**
   * @param {import("./generator.js").Generator} generator
   * @param {import("./weights.js").Weights} weights
   * @param {{wanted?: string, tell: (name: string, isSure: boolean) => void, forms?: object}} options wanted: "wasm", "webgpu",
   *   "webgpu-f16", or the fastest one; tell: is told which it is when that is known, which is after the first picture, and when it
   *   changes, and whether that holds for the next page; forms: what is known of the fastest forms of convolutions, and who is told
   *   more (see webgpu/forms.js).
   */
  constructor(generator, weights, { wanted, tell, forms }) {
    this.#generator = generator;
    this.#weights = weights;
    this.#wanted = wanted;
    this.#tell = tell;
    this.#forms = { ...forms, budget: { ms: FORMS_MS }, quietly: (run) => this.#quietly(run) };
    this.#colours = weights.config.image_channels === 4 ? 4 : 3;
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
    this.#tell(this.#chosen?.name ?? "wasm", this.#isSure);
  }

  /** Ends drawing on a GPU that is drawn on. */
  #drop(device) {
    if (this.#chosen?.device !== device) return;
    this.#chosen = null;
    this.#end(device);
    this.#tell("wasm", true);
  }

  #end(device) {
    this.#devices.delete(device);
    device.destroy();
  }

  /** Finds the fastest that draws the same picture. */
  async #consider(ws) {
    const want = { pixels: null, ms: Infinity }; // WebAssembly's picture, and the least time that it took
    let fastest = Infinity;
    for (const name of Object.keys(ON_GPU)) {
      if (this.#wanted && this.#wanted !== name) continue;
      const found = await this.#open(name);
      if (!found) continue;
      const taken = await this.#time(found, ws, want).catch(() => Infinity);
      if (!this.#chosen) fastest = Infinity; // also if it was lost meanwhile
      const slower = taken < fastest ? this.#chosen : found;
      if (taken < fastest) [this.#chosen, fastest] = [found, taken];
      if (slower) this.#end(slower.device);
    }
    this.#settle();
  }

  /** The network on a GPU, all convolutions direct; null where there is none, or only a program that stands in for one, or it fails. */
  async #open(name) {
    const { precision } = ON_GPU[name];
    let device = null;
    try {
      const adapter = await navigator.gpu.requestAdapter();
      if (!adapter || (!this.#wanted && isSoftware(adapter)) || !computes(adapter, precision)) return null;
      const parts = await loadParts().catch(() => null);
      if (!parts) {
        this.#isSure = false; // the network failed
        return null;
      }
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
      const { Network, Forms, withoutErrors, code } = parts;
      const forms = new Forms({ ...this.#forms, adapter: `${nameOf(adapter)} ${precision}` });
      const safely = (run) => withoutErrors(device, run);
      const network = await safely(() => Network.open(device, code, this.#weights, { precision }));
      return { name, device, network, forms, safely };
    } catch {
      // No adapter, no memory, a shader that isn't taken.
      if (device) this.#end(device);
      return null;
    }
  }

  /** How long a picture takes; Infinity if it is not `want`, or comes later than WebAssembly's. */
  async #time({ name, network, forms, safely }, ws, want) {
    const isAlike = async () => areAlike(await safely(() => network.synthesize(ws)), want.pixels, ON_GPU[name], this.#colours);
    const onGpu = () => this.#quietly(() => duration(() => network.synthesize(ws)));
    if (!want.pixels) this.#drawAgain(ws, want);
    if (!(await isAlike())) return Infinity;
    if (!this.#wanted && (await onGpu()) > HOPELESS * want.ms) return Infinity;
    await safely(() => network.choose(forms));
    if (!(await isAlike())) return Infinity;
    if (this.#wanted) return 0;
    let fastest = Infinity;
    for (let round = 0; round < ROUNDS && fastest * CLEARLY > want.ms; round++) {
      fastest = Math.min(fastest, await onGpu());
      if (round > 0) this.#drawAgain(ws, want);
    }
    return fastest < want.ms ? fastest : Infinity;
  }

  #drawAgain(ws, want) {
    const start = performance.now();
    want.pixels = this.#generator.synthesize(ws);
    want.ms = Math.min(want.ms, performance.now() - start);
  }

  /** Runs something that is timed; then what waited meanwhile has its turn. */
  async #quietly(run) {
    let end;
    this.timing = new Promise((resolve) => (end = resolve));
    try {
      return await run();
    } finally {
      this.timing = null;
      end();
      await new Promise((resolve) => setTimeout(resolve));
    }
  }
}

const FEATURES = { f32: [], f16: ["shader-f16"] };

/** Whether an adapter, and the browser, have a precision. */
const computes = ({ features }, precision) =>
  FEATURES[precision].every((name) => features.has(name)) && (precision === "f32" || "Float16Array" in globalThis);

const isSoftware = ({ info, isFallbackAdapter }) => info?.isFallbackAdapter ?? isFallbackAdapter ?? false;

const nameOf = ({ info }) => [info?.vendor, info?.architecture, info?.device, info?.description].filter(Boolean).join(" ");

/** What only drawing on a GPU takes. */
async function loadParts() {
  const load = (name) => import(`./webgpu/${name}.js${search}`);
  const parts = await Promise.all([load("network"), load("forms"), load("gpu"), loadShaders()]);
  const [{ Network }, { Forms }, { withoutErrors }, code] = parts;
  return { Network, Forms, withoutErrors, code };
}

async function loadShaders() {
  const answer = await fetch(new URL(`./webgpu/kernel.wgsl${search}`, import.meta.url));
  if (!answer.ok) throw new Error(`${answer.url}: the server answered ${answer.status}`);
  return answer.text();
}

/** Whether two pictures of RGBA bytes are the same but for rounding, in their first so many of four bytes. */
function areAlike(one, other, { levels, square }, colours) {
  let sum = 0;
  for (let i = 0; i < one.length; i++) {
    if (i % 4 >= colours) continue;
    const difference = Math.abs(one[i] - other[i]);
    if (difference > levels) return false;
    sum += difference ** 2;
  }
  return sum <= (square * one.length * colours) / 4;
}

async function duration(run) {
  const start = performance.now();
  await run();
  return performance.now() - start;
}
