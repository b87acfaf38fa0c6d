// The generator off the page's thread. One message asks, one answers: {id, ask, ...} -> {id, result} or {id, error};
// while weights load, {id, progress: [loaded, total]} comes in between. {backend, isSure} tells what draws from now on, and whether the
// next page would find the same; {forms} which forms of convolutions are the fastest on this GPU.
//
//   load        {url, sha256, size, keptOnly, backend, forms} -> the weights' configuration
//   draw        {seed, psi, label, cutoff, shift} -> {pixels, width, height}
//   style       {seed, label}                   -> w [w_dim], untruncated
//   spread      {w, psi, cutoff}                -> ws [num_ws * w_dim], one style a layer
//   synthesize  {ws}                            -> {pixels, width, height}
//
// and for the search of a visitor's picture (aim.js), always on the processor and without the upscaler:
//
//   axes        {count, label}                  -> axes of the styles (axes.js)
//   encode      {encoder, picture}              -> where an encoder sees a picture, on the axes
//   aim         {picture, axes}                 -> nothing; the picture that the next ones are compared with
//   apart       {code, ranges}                  -> a drawing's differences to it

import { Backends } from "./backends.js";
import { Generator } from "./generator.js";
import { Kernel, loadKernel } from "./kernel.js";
import { loadWeights } from "./weights.js";

const { search } = new URL(import.meta.url); // the site's revision, for everything that this module loads
let generator = null; // maps latents to styles
let backends = null; // draw them
let aim = null; // a picture to be found

async function load({ url, sha256, size, keptOnly, backend, forms }, progress) {
  const [module, weights] = await Promise.all([
    loadKernel(new URL("./", import.meta.url), search),
    loadWeights(url, { sha256, size, keptOnly, progress }),
  ]);
  const kernel = await Kernel.start(module);
  backends?.close();
  generator = new Generator(kernel, weights);
  backends = new Backends(generator, weights, {
    wanted: backend,
    tell: (backend, isSure) => postMessage({ backend, isSure }),
    forms: { known: forms, tell: (known) => postMessage({ forms: known }) },
  });
  return generator.config;
}

async function picture(ws) {
  const { given } = generator; // of these weights, whichever are loaded meanwhile
  generator.check(ws);
  return { pixels: await backends.synthesize(ws), ...given };
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
  axes: async ({ count, label }) => (await import(`./axes.js${search}`)).findAxes(generator, count, label),
  encode: async ({ encoder, picture }) => (await import(`./aim.js${search}`)).encode(encoder, picture, generator.size),
  aim: async ({ picture, axes }) => {
    aim = new (await import(`./aim.js${search}`)).Aim(generator, axes, picture);
  },
  apart: ({ code, ranges }) => aim.apart(code, ranges),
};

/** Buffers that may go to the page without being copied. */
const buffers = (result) => [result?.pixels ?? result].filter(ArrayBuffer.isView).map(({ buffer }) => buffer);

self.addEventListener("message", async ({ data: { id, ask, ...rest } }) => {
  try {
    if (ask !== "load" && !generator) throw new Error("no weights are loaded");
    while (backends?.timing) await backends.timing;
    const result = await answers[ask](rest, (...progress) => postMessage({ id, progress }));
    postMessage({ id, result }, { transfer: buffers(result) });
  } catch (error) {
    postMessage({ id, error: { name: error.name, message: error.message } });
  }
});
