// The compiled kernel: its functions and its memory.

const PAGE = 65536;
const ALIGNMENT = 64;
const VERSION = 2; // of the functions and their arguments
const BUILDS = ["kernel.relaxed.wasm", "kernel.wasm"]; // the faster first; engines refuse what they don't know

/** Compiles the first build that this engine takes. `folder` holds them; `query` keeps caches apart. */
export async function loadKernel(folder, query = "") {
  let refused;
  for (const cache of ["default", "reload"]) { // one may be damaged on its way, or in the browser's cache
    for (const name of BUILDS) {
      try {
        return await compiled(new URL(name + query, folder), cache);
      } catch (error) {
        refused = error;
      }
    }
  }
  throw refused;
}

async function compiled(url, cache) {
  const answer = await fetch(url, { cache });
  if (!answer.ok) throw new Error(`${answer.url}: the server answered ${answer.status}`);
  const module = await WebAssembly.compile(await answer.arrayBuffer());
  if (!WebAssembly.Module.exports(module).length) throw new Error(`${answer.url}: not the kernel`);
  return module;
}

/** One running kernel. Places in its memory are byte offsets, sizes are counted in floats. */
export class Kernel {
  #top;

  /** @param {WebAssembly.Module} module */
  static async start(module) {
    return new Kernel((await WebAssembly.instantiate(module, {})).exports);
  }

  constructor(functions) {
    if (functions.version?.() !== VERSION) throw new Error("the kernel was compiled from other sources");
    this.run = functions;
    this.#top = functions.__heap_base.value;
  }

  /** A place for so many floats, for good; zeros. */
  keep(count) {
    const place = Math.ceil(this.#top / ALIGNMENT) * ALIGNMENT;
    this.#top = place + 4 * count;
    const missing = this.#top - this.run.memory.buffer.byteLength;
    if (missing > 0) this.run.memory.grow(Math.ceil(missing / PAGE));
    return place;
  }

  /** The floats at a place, until the memory grows. */
  floats(place, count) {
    return new Float32Array(this.run.memory.buffer, place, count);
  }

  bytes(place, count) {
    return new Uint8Array(this.run.memory.buffer, place, count);
  }

  /** Puts a tensor of the weights at a place, as floats. `spare` is a place that may hold it meanwhile as it came. */
  put({ bytes, dtype, count, scale }, place, spare) {
    this.bytes(dtype === "F32" ? place : spare, bytes.length).set(bytes);
    if (dtype === "F16") this.run.widen(spare, place, count);
    if (dtype === "I8") {
      const factors = spare + Math.ceil(bytes.length / ALIGNMENT) * ALIGNMENT;
      this.bytes(factors, scale.bytes.length).set(scale.bytes);
      this.run.scale_bytes(spare, factors, place, scale.count, count / scale.count);
    }
  }
}
