// Dials: directions of styles, in a small file beside a generator's weights.

import { loadChecked } from "./cache.js";

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
  return new Dials(new Float32Array(await loadChecked(url, want)), layers);
}
