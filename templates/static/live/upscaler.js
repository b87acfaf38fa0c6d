// An upscaler on the kernel: a picture to one of two or four times its size. See metagan/networks/upscaler/network.py.

import { chunkOf, pixelsOf, plane, scaled, wide } from "./layers.js";

/** A 3x3 convolution with its PReLU, if there is one. */
class Layer {
  constructor(name, size, input, output) {
    Object.assign(this, { name, size, input, output, in: wide(input), out: wide(output) });
    this.chunk = chunkOf(this.in + this.out);
  }

  work(run) {
    return run.convolve_floats(this.in, this.out, this.chunk);
  }

  load(kernel, weights, scratch) {
    const { run } = kernel;
    const count = 9 * this.input * this.output;
    kernel.put(weights.read(`${this.name}.weight`), scratch, scratch + 4 * count);
    this.kernels = kernel.keep(run.winograd_kernels_floats(this.out, this.in));
    run.winograd_kernels(scratch, this.kernels, this.output, this.input, this.out, this.in);
    for (const part of ["bias", "slope"]) {
      this[part] = kernel.keep(this.out);
      kernel.put(weights.read(`${this.name}.${part}`), this[part], scratch);
    }
  }

  /** Features at x to features at y; a residual is added where there is one. */
  apply(run, x, y, { ones, work }, residual = 0) {
    const { height, width } = this.size;
    const sizes = [height, width, this.in, this.out];
    run.convolve(x, y, this.kernels, ones, ones, this.bias, 0, Infinity, work, ...sizes, this.chunk);
    run.rectify(y, this.slope, residual, height, width, this.out);
  }
}

/** An upscaler's layers: {head, blocks, fine, last}; fine is null where the factor is 2. */
export function upscalerLayers({ factor, channels, blocks, fine_channels: fine }, size) {
  const layer = (name, at, from, to) => new Layer(`upscaler.${name}`, at, from, to);
  return {
    head: layer("head", size, 3, channels),
    blocks: Array.from({ length: blocks }, (_, i) => ["first", "second"].map((part) => layer(`${i}.${part}`, size, channels, channels))),
    fine: factor === 4 ? layer("fine", size, channels, 4 * fine) : null,
    last: layer("last", scaled(size, factor / 2), factor === 4 ? fine : channels, 12),
  };
}

export class Upscaler {
  #kernel;
  #places = {};

  /** @param size of the pictures that it is given, {height, width} in pixels; `config` is the weights' own of the upscaler. */
  constructor(kernel, weights, config, size) {
    Object.assign(this, { config, size, given: scaled(size, config.factor) });
    this.#kernel = kernel;
    Object.assign(this, upscalerLayers(config, size));
    this.#layOut(this.last.size);
    for (const each of this.#layers) each.load(kernel, weights, this.#places.work);
  }

  get #layers() {
    return [this.head, ...this.blocks.flat(), ...(this.fine ? [this.fine] : []), this.last];
  }

  /** Every plane has its own place: borders and padding are zeros once and stay so. */
  #layOut(half) {
    const { run } = this.#kernel;
    const layers = this.#layers;
    const work = Math.max(...layers.map((layer) => Math.max(layer.work(run), 18 * layer.input * layer.output)));
    const features = plane(this.size, this.head.out);
    const sizes = { input: plane(this.size, this.head.in), x: features, t: features, y: features };
    if (this.fine) Object.assign(sizes, { folded: plane(this.size, this.fine.out), doubled: plane(half, this.last.in) });
    Object.assign(sizes, { missing: plane(half, this.last.out), work, bytes: pixelsOf(this.given) });
    for (const [name, count] of Object.entries(sizes)) this.#places[name] = this.#kernel.keep(count);
    const widest = Math.max(...layers.map((layer) => Math.max(layer.in, layer.out)));
    this.#places.ones = this.#kernel.keep(widest);
    this.#kernel.floats(this.#places.ones, widest).fill(1);
  }

  /** The picture at a place, [height][width][4] floats, to the larger one's RGBA bytes, row by row. */
  enlarge(image) {
    const { run } = this.#kernel;
    const { input, t, folded, doubled, missing, bytes } = this.#places;
    let { x, y } = this.#places;
    const { height, width } = this.size;
    run.take_picture(image, input, height, width, this.head.in);
    this.head.apply(run, input, x, this.#places);
    for (const [first, second] of this.blocks) {
      first.apply(run, x, t, this.#places);
      second.apply(run, t, y, this.#places, x);
      [x, y] = [y, x];
    }
    if (this.fine) {
      this.fine.apply(run, x, folded, this.#places);
      run.shuffle(folded, doubled, height, width, this.fine.out, this.config.fine_channels, this.last.in);
      x = doubled;
    }
    this.last.apply(run, x, missing, this.#places);
    run.give_picture(image, missing, bytes, height, width, this.config.factor, this.last.out);
    return new Uint8ClampedArray(run.memory.buffer, bytes, 4 * pixelsOf(this.given)).slice();
  }
}
