// What styles become on the GPU: the factors of every layer's inputs, and the gains of its outputs, in one buffer.

import { wide } from "../layers.js";

const GAIN = Math.SQRT2; // of the activation
const ROW_BYTES = 24; // as style.wgsl declares a row

/** Channels, as vectors of four. */
export const vectors = (channels) => Math.ceil(channels / 4);

export class Styles {
  #width;
  #modulate = new Rows();
  #demodulate = new Rows();
  #ones = null;
  #top = 0; // floats of the buffer that are given away

  /** @param {number} width of a style */
  constructor(width) {
    this.#width = width;
  }

  /** Room for the factors of a layer's inputs, and how they are computed; the answer is its place, in vectors. */
  factors(matrix, shifts, style) {
    const start = this.#keep(shifts.length);
    shifts.forEach((shift, i) => {
      this.#modulate.add({ count: this.#width, source: style * this.#width, result: start + i, shift });
    });
    this.#modulate.parts.push(matrix);
    return start / 4;
  }

  /** The same for the gains of a layer's outputs, with kernels [output][input][9] and its inputs' factors at `s`. */
  gains(kernels, [output, input], s, scale) {
    const start = this.#keep(output);
    const squares = new Float32Array(output * input);
    kernels.forEach((tap, i) => (squares[Math.floor(i / 9)] += tap * tap));
    for (let i = 0; i < output; i++) {
      this.#demodulate.add({ count: input, source: 4 * s, result: start + i, scale: GAIN * scale });
    }
    this.#demodulate.parts.push(squares);
    return start / 4;
  }

  /** Ones, for layers without styles; the answer is their place, in vectors. */
  ones(count) {
    this.#ones = { start: this.#keep(count), count };
    return this.#ones.start / 4;
  }

  #keep(count) {
    const start = this.#top;
    this.#top += wide(count);
    return start;
  }

  /** The buffer, and the steps that fill it from the styles `ws` of all layers. */
  finish(gpu, ws) {
    const modulation = gpu.buffer(4 * this.#top);
    if (this.#ones) gpu.write(modulation, new Float32Array(this.#ones.count).fill(1), 4 * this.#ones.start);
    const step = (name, rows, more) =>
      gpu.step(name, { 0: gpu.filled(rows.table()), 1: gpu.filled(...rows.parts), ...more, 3: modulation }, [rows.length, 1, 1]);
    return { modulation, steps: [step("modulate", this.#modulate, { 2: ws }), step("demodulate", this.#demodulate, {})] };
  }
}

/** Rows of some matrices, one after the other. */
class Rows {
  parts = []; // the matrices
  #rows = [];
  #top = 0;

  add({ count, source, result, shift = 0, scale = 0 }) {
    this.#rows.push({ whole: [this.#top, source, count, result], real: [shift, scale] });
    this.#top += count;
  }

  get length() {
    return this.#rows.length;
  }

  /** As style.wgsl reads them. */
  table() {
    const bytes = new DataView(new ArrayBuffer(ROW_BYTES * this.length));
    this.#rows.forEach(({ whole, real }, row) => {
      whole.forEach((value, i) => bytes.setUint32(ROW_BYTES * row + 4 * i, value, true));
      real.forEach((value, i) => bytes.setFloat32(ROW_BYTES * row + 4 * (whole.length + i), value, true));
    });
    return bytes;
  }
}
