// Whether this browser, on this device, can run a generator; asked before anything is downloaded.

// navigator.deviceMemory tells 0.25, 0.5, 1, 2, 4 or 8, where there is one.
const LEAST_MEMORY_GB = 1;
const LEAST_MEMORY_LARGE_GB = 4; // a large generator's kernel alone may take one
const AMPLE_MEMORY_GB = 8;

// A function that returns a vector: engines without SIMD refuse it.
const VECTORS = Uint8Array.of(
  0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, // "\0asm", version 1
  1, 5, 1, 0x60, 0, 1, 0x7b, // types: () -> v128
  3, 2, 1, 0, // functions: one, of that type
  10, 8, 1, 6, 0, 0x41, 0, 0xfd, 15, 11, // code: i32.const 0, i8x16.splat, end
);

/**
 * Why not, by name ("wasm", "old", "memory"), or what it waits for a click for ("saver", "large"), or "" if nothing stands in the way.
 * `large` says that the generator is larger than what is downloaded unasked.
 */
export function obstacle({ large = false } = {}) {
  if (typeof WebAssembly !== "object") return "wasm";
  if (!WebAssembly.validate(VECTORS) || !knowsModuleWorkers() || typeof DecompressionStream !== "function") return "old";
  if (navigator.deviceMemory < (large ? LEAST_MEMORY_LARGE_GB : LEAST_MEMORY_GB)) return "memory";
  if (navigator.connection?.saveData) return "saver";
  return large ? "large" : "";
}

/** Browsers that know workers made of modules look for their type. */
function knowsModuleWorkers() {
  let asked = false;
  const options = {
    get type() {
      asked = true;
      throw new Error("no worker is wanted");
    },
  };
  try {
    new Worker("", options);
  } catch {
    // As meant.
  }
  return asked;
}

/** How many workers to have at most: a kernel each, one core left to the page where there are many. */
export function workers({ large = false } = {}) {
  const cores = navigator.hardwareConcurrency || 2;
  const most = large ? (navigator.deviceMemory >= AMPLE_MEMORY_GB ? 2 : 1) : navigator.deviceMemory <= 2 ? 2 : 4;
  return Math.max(1, Math.min(most, cores > 2 ? cores - 1 : cores));
}
