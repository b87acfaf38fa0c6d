// Whether this browser, on this device, can run a generator; asked before anything is downloaded.

const LEAST_MEMORY_GB = 1; // navigator.deviceMemory tells 0.25, 0.5, 1, 2, 4 or 8

// A function that returns a vector: engines without SIMD refuse it.
const VECTORS = Uint8Array.of(
  0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, // "\0asm", version 1
  1, 5, 1, 0x60, 0, 1, 0x7b, // types: () -> v128
  3, 2, 1, 0, // functions: one, of that type
  10, 8, 1, 6, 0, 0x41, 0, 0xfd, 15, 11, // code: i32.const 0, i8x16.splat, end
);

/** Why not, by name ("wasm", "old", "memory", "saver"), or "" if nothing stands in the way. */
export function obstacle() {
  if (typeof WebAssembly !== "object") return "wasm";
  if (!WebAssembly.validate(VECTORS) || !knowsModuleWorkers() || typeof DecompressionStream !== "function") return "old";
  if (navigator.deviceMemory < LEAST_MEMORY_GB) return "memory";
  if (navigator.connection?.saveData) return "saver";
  return "";
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
export function workers() {
  const cores = navigator.hardwareConcurrency || 2;
  const most = navigator.deviceMemory <= 2 ? 2 : 4;
  return Math.max(1, Math.min(most, cores > 2 ? cores - 1 : cores));
}
