// Dials: directions of styles, in a small file beside a generator's weights.

import { sha256 } from "../names.js";
import { keep, recall } from "./cache.js";

/** A generator's dials. */
export class Dials {
  #vectors;
  #layers;

  /** @param {Float32Array} vectors A direction for each dial. @param {[number, number][]} layers Those that each moves. */
  constructor(vectors, layers) {
    this.#vectors = vectors;
    this.#layers = layers;
    this.width = vectors.length / layers.length;
  }

  /** What turning dials by as many steps adds to the styles of all layers; null if none is turned. */
  shift(steps, styles) {
    if (!steps?.some(Boolean)) return null;
    const total = new Float32Array(styles * this.width);
    this.#layers.forEach(([first, last], dial) => {
      const by = Math.fround(steps[dial] ?? 0);
      if (!by) return;
      const vector = this.#vectors.subarray(dial * this.width, (dial + 1) * this.width);
      for (let layer = first; layer <= last; layer++) {
        for (let i = 0; i < this.width; i++) total[layer * this.width + i] += Math.fround(by * vector[i]);
      }
    });
    return total;
  }
}

/** Loads dials, from what was kept or from the network. */
export async function loadDials(url, { sha256: want, layers }) {
  const known = await recall(url);
  const answer = known ?? (await fetch(url));
  if (!answer.ok) throw new Error(`${url}: the server answered ${answer.status}`);
  const blob = await answer.blob();
  const bytes = await blob.arrayBuffer();
  // Pages without https have no crypto.subtle.
  const digest = crypto.subtle ? await crypto.subtle.digest("SHA-256", bytes) : sha256(new Uint8Array(bytes));
  const got = Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (got !== want) throw new Error(`${url}: its SHA-256 is ${got}, want ${want}`);
  if (!known) await keep(url, blob);
  return new Dials(new Float32Array(bytes), layers);
}
