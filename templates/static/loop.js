// A morph as a file: animated WebP where the browser writes WebP, else a film from its own recorder.

import { canvasOf, enlarged, fileOf } from "./canvas.js";
import { FPS, stepOf, STEPS } from "./morph.js";
import { animation } from "./webp.js";

const WANTED_PX = 256;
const QUALITY = 0.9;
const FILMS = ["video/webm;codecs=vp9", "video/webm", "video/mp4"];
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** The loop of a way: {blob, extension}; null where the browser can't. `progress` is told 0 to 1. */
export async function saveLoop(way, packet, progress) {
  const canvases = [];
  for (let step = 0; step <= STEPS; step++) {
    canvases.push(await large(await way.step(step)));
    progress(step / STEPS);
  }
  return (await asWebP(canvases, packet)) ?? asFilm(canvases);
}

async function large(picture) {
  await pause(0); // between frames the page may breathe
  return enlarged(canvasOf(picture), Math.max(1, Math.round(WANTED_PX / Math.max(picture.width, picture.height))));
}

async function asWebP(canvases, packet) {
  const stills = [];
  for (const canvas of canvases) {
    const file = await fileOf(canvas, "image/webp", QUALITY);
    if (!file) return null;
    stills.push(new Uint8Array(await file.arrayBuffer()));
  }
  const [{ width, height }] = canvases;
  const order = Array.from({ length: 2 * STEPS }, (_, frame) => stills[stepOf(frame)]);
  const blob = animation(order, { width, height, duration: 1000 / FPS, packet });
  return { blob, extension: "webp" };
}

/** Recorded as it plays, since recorders know no other way. */
async function asFilm(canvases) {
  const type = globalThis.MediaRecorder && FILMS.find((one) => MediaRecorder.isTypeSupported(one));
  if (!type) return null;
  const screen = document.createElement("canvas");
  Object.assign(screen, { width: canvases[0].width, height: canvases[0].height });
  const context = screen.getContext("2d");
  context.drawImage(canvases[0], 0, 0);
  const recorder = new MediaRecorder(screen.captureStream(FPS), { mimeType: type, videoBitsPerSecond: 4e6 });
  const parts = [];
  recorder.addEventListener("dataavailable", ({ data }) => parts.push(data));
  const stopped = new Promise((resolve) => recorder.addEventListener("stop", resolve));
  recorder.start();
  for (let frame = 0; frame < 2 * STEPS; frame++) {
    context.drawImage(canvases[stepOf(frame)], 0, 0);
    await pause(1000 / FPS);
  }
  recorder.stop();
  await stopped;
  const plain = type.split(";")[0];
  return { blob: new Blob(parts, { type: plain }), extension: plain.split("/")[1] };
}
