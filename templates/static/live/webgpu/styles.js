// What styles become on the GPU: the factors of every layer's inputs, and the gains of its outputs, in one buffer.

import { wide } from "../layers.js";

const GAIN = Math.SQRT2; // of the activation
const ROW_BYTES = 24; // as style.wgsl declares a row

/** Channels, as vectors of four. */
export const vectors = (channels) => Math.ceil(channels / 4);

export class Styles {
  #width;
  #modulate = new Rows();
  #normalize = new Rows();
  #demodulate = new Rows();
  #constants = [];
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

  /** The same for the gains of a layer's outputs, with kernels [output][input][9], its inputs' factors at `s`, and a scale each. */
  gains(kernels, [output, input], s, scales) {
    const start = this.#keep(output);
    const squares = new Float32Array(output * input);
    for (let i = 0; i < kernels.length; i += 9) {
      for (let tap = i; tap < i + 9; tap++) squares[i / 9] += kernels[tap] ** 2;
    }
    for (let i = 0; i < output; i++) {
      this.#demodulate.add({ count: input, source: 4 * s, result: start + i, scale: GAIN * scales[i] });
    }
    this.#demodulate.parts.push(squares);
    this.#normalize.add({ count: input, result: 4 * s });
    return start / 4;
  }

  /** Factors that don't depend on styles; the answer is their place, in vectors. */
  constants(values) {
    const start = this.#keep(values.length);
    this.#constants.push({ start, values });
    return start / 4;
  }

  #keep(count) {
    const start = this.#top;
    this.#top += wide(count);
    return start;
  }

  /** The buffer, and the steps that fill it from the styles `ws` of all layers. */
  finish(gpu, ws) {
    const modulation = gpu.buffer(4 * this.#top);
    for (const { start, values } of this.#constants) gpu.write(modulation, values, 4 * start);
    const step = (name, rows, more) => gpu.step(name, { 0: gpu.filled(rows.table()), ...more, 3: modulation }, [rows.length, 1, 1]);
    const steps = [step("modulate", this.#modulate, { 1: gpu.filled(...this.#modulate.parts), 2: ws })];
    if (gpu.isNarrow) steps.push(step("normalize_styles", this.#normalize, {}));
    steps.push(step("demodulate", this.#demodulate, { 1: gpu.filled(...this.#demodulate.parts) }));
    return { modulation, steps };
  }
}

/** Rows of some matrices, one after the other. */
class Rows {
  parts = []; // the matrices
  #rows = [];
  #top = 0;

  add({ count, source = 0, result, shift = 0, scale = 0 }) {
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
