// The generator off the page's thread. One message asks, one answers: {id, ask, ...} -> {id, result} or {id, error};
// while weights load, {id, progress: [loaded, total]} comes in between. {backend} tells what draws from now on.
//
//   load        {url, sha256, size, backend}    -> the weights' configuration
//   draw        {seed, psi, label, cutoff, shift} -> {pixels, width, height}
//   style       {seed, label}                   -> w [w_dim], untruncated
//   spread      {w, psi, cutoff}                -> ws [num_ws * w_dim], one style a layer
//   synthesize  {ws}                            -> {pixels, width, height}

import { Backends } from "./backends.js";
import { Generator } from "./generator.js";
import { Kernel, loadKernel } from "./kernel.js";
import { loadWeights } from "./weights.js";

const { search } = new URL(import.meta.url); // the site's revision, for everything that this module loads
let generator = null; // maps latents to styles
let backends = null; // draw them

async function load({ url, sha256, size, backend }, progress) {
  const [module, weights] = await Promise.all([
    loadKernel(new URL("./", import.meta.url), search),
    loadWeights(url, { sha256, size, progress }),
  ]);
  backends?.close();
  generator = new Generator(await Kernel.start(module), weights);
  backends = new Backends(generator, weights, { wanted: backend, tell: (name) => postMessage({ backend: name }) });
  return generator.config;
}

async function picture(ws) {
  return { pixels: await backends.synthesize(ws), ...generator.given };
}

/** Styles with something added to them, if there is anything. */
function moved(ws, shift) {
  shift?.forEach((by, i) => (ws[i] += by));
  return ws;
}

const answers = {
  load,
  draw: ({ seed, psi, label, cutoff, shift }) =>
    picture(moved(generator.spread(generator.styleOfSeed(seed, label), psi, cutoff), shift)),
  style: ({ seed, label }) => generator.styleOfSeed(seed, label),
  spread: ({ w, psi, cutoff }) => generator.spread(w, psi, cutoff),
  synthesize: ({ ws }) => picture(ws),
};

/** Buffers that may go to the page without being copied. */
const buffers = (result) => [result?.pixels ?? result].filter(ArrayBuffer.isView).map(({ buffer }) => buffer);

self.addEventListener("message", async ({ data: { id, ask, ...rest } }) => {
  try {
    if (ask !== "load" && !generator) throw new Error("no weights are loaded");
    const result = await answers[ask](rest, (...progress) => postMessage({ id, progress }));
    postMessage({ id, result }, { transfer: buffers(result) });
  } catch (error) {
    postMessage({ id, error: { name: error.name, message: error.message } });
  }
});
