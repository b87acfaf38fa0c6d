// A picture to be found in a generator: how far drawings are from it, and where an encoder sees it. metagan/lab/fit.py and
// metagan/lab/encoder.py do the same in Python.

import { stylesOnAxes } from "./axes.js";
import { loadChecked } from "./cache.js";
import { widen } from "./weights.js";

const SCALES = 3;
const SLOPE = 0.2; // of the encoder's rectifiers
const clamp = (x) => Math.max(-1, Math.min(1, x));

/** Pictures at half their size, [height][width][channels]: means of four pixels. */
function halved(picture, height, width, channels) {
  const half = new Float32Array(picture.length / 4);
  let to = 0;
  for (let y = 0; y < height; y += 2) {
    for (let x = 0; x < width; x += 2) {
      for (let channel = 0; channel < channels; channel++) {
        const at = (y * width + x) * channels + channel;
        const below = at + width * channels;
        half[to++] = (picture[at] + picture[at + channels] + picture[below] + picture[below + channels]) / 4;
      }
    }
  }
  return half;
}

/** A picture at up to three scales, so that sums of squares are added means. */
function pyramid(picture, { height, width }, channels) {
  const scales = [picture.map(clamp)];
  for (let [h, w] = [height, width]; scales.length < SCALES && h % 2 === 0 && w % 2 === 0; h /= 2, w /= 2) {
    scales.push(halved(scales.at(-1), h, w, channels));
  }
  const all = new Float32Array(scales.reduce((sum, { length }) => sum + length, 0));
  let place = 0;
  for (const scale of scales) {
    const factor = 1 / Math.sqrt(scale.length);
    for (const x of scale) all[place++] = factor * x;
  }
  return all;
}

export class Aim {
  #generator;
  #axes;
  #wanted;

  /** @param picture numbers within [-1, 1], [height * width * channels] of the generator's own size */
  constructor(generator, axes, picture) {
    this.#generator = generator;
    this.#axes = axes;
    this.#wanted = this.#pyramid(picture);
  }

  #pyramid(picture) {
    return pyramid(picture, this.#generator.size, this.#generator.config.image_channels);
  }

  /** The differences of the picture at coordinates on the axes, at all scales. */
  apart(code, ranges) {
    const found = this.#pyramid(this.#generator.numbers(stylesOnAxes(this.#axes, code, ranges, this.#generator.styles)));
    for (let i = 0; i < found.length; i++) found[i] -= this.#wanted[i];
    return found;
  }
}

// ---------------------------------------------------------------------------------------------
// Encoders: convolutions of step 2 and a dense layer, as float16 one after the other.

/** Loads an encoder's numbers, from what was kept or from the network. */
export async function loadEncoder(url, want) {
  return Float32Array.from(new Uint16Array(await loadChecked(url, want)), widen);
}

/**
 * Where an encoder sees a picture, in coordinates of axes. `encoder` is {numbers, width, height, channels, widths, axes};
 * the picture has the generator's own size, of which the encoder's is a part.
 */
export function encode(encoder, picture, { height, width }) {
  let place = 0;
  const take = (count) => encoder.numbers.subarray(place, (place += count));
  let x = planes(picture, { height, width }, encoder);
  let [h, w, channels] = [encoder.height, encoder.width, encoder.channels];
  for (const wide of encoder.widths) {
    x = convolved(x, { h, w, channels, wide }, take(wide * channels * 9), take(wide));
    [h, w, channels] = [Math.ceil(h / 2), Math.ceil(w / 2), wide];
  }
  const [weights, bias] = [take(encoder.axes * x.length), take(encoder.axes)];
  return Float64Array.from({ length: encoder.axes }, (_, axis) => {
    let sum = bias[axis];
    for (let i = 0; i < x.length; i++) sum += weights[axis * x.length + i] * x[i];
    return sum;
  });
}

/** A picture [height][width][channels] as the encoder's planes [channels][height][width], by the mean of blocks. */
function planes(picture, { height, width }, encoder) {
  const [tall, wide] = [Math.floor(height / encoder.height), Math.floor(width / encoder.width)];
  const x = new Float32Array(encoder.channels * encoder.height * encoder.width);
  let to = 0;
  for (let channel = 0; channel < encoder.channels; channel++) {
    for (let row = 0; row < encoder.height; row++) {
      for (let column = 0; column < encoder.width; column++, to++) {
        let sum = 0;
        for (let y = row * tall; y < (row + 1) * tall; y++) {
          for (let i = column * wide; i < (column + 1) * wide; i++) sum += picture[(y * width + i) * encoder.channels + channel];
        }
        x[to] = sum / (tall * wide);
      }
    }
  }
  return x;
}

/** A 3x3 convolution of step 2 with a border of zeros, and a leaky rectifier. */
function convolved(x, { h, w, channels, wide }, kernels, bias) {
  const [tall, broad] = [Math.ceil(h / 2), Math.ceil(w / 2)];
  const out = new Float32Array(wide * tall * broad);
  let to = 0;
  for (let output = 0; output < wide; output++) {
    for (let row = 0; row < tall; row++) {
      for (let column = 0; column < broad; column++) {
        let sum = bias[output];
        for (let channel = 0; channel < channels; channel++) {
          for (let dy = 0; dy < 3; dy++) {
            const y = 2 * row + dy - 1;
            if (y < 0 || y >= h) continue;
            for (let dx = 0; dx < 3; dx++) {
              const at = 2 * column + dx - 1;
              if (at < 0 || at >= w) continue;
              sum += kernels[((output * channels + channel) * 3 + dy) * 3 + dx] * x[(channel * h + y) * w + at];
            }
          }
        }
        out[to++] = sum > 0 ? sum : SLOPE * sum;
      }
    }
  }
  return out;
}
