// A StyleGAN2 on the kernel: latents to styles, styles to pictures.

import { Colours, Convolution, layersOf, pixelsOf, plane, wide } from "./layers.js";
import { latents } from "./seeds.js";
import { Upscaler } from "./upscaler.js";

export class Generator {
  #kernel;
  #layers;
  #mapping = [];
  #places = {};
  #upscaler = null;

  /**
   * @param {import("./kernel.js").Kernel} kernel
   * @param {import("./weights.js").Weights} weights May be let go of afterwards.
   */
  constructor(kernel, weights) {
    this.config = weights.config;
    this.styleWidth = this.config.widths.at(-1);
    this.styles = 2 * this.config.channels.length;
    this.#kernel = kernel;
    this.#layers = layersOf(this.config);
    this.#layOut();
    this.#load(weights);
    if (this.config.upscaler) this.#upscaler = new Upscaler(kernel, weights, this.config.upscaler, this.size);
  }

  /** The size of the pictures that the network draws, {height, width}. */
  get size() {
    const { height, width } = this.config;
    return { height, width };
  }

  /** The size of the pictures that are given out. */
  get given() {
    return this.#upscaler ? this.#upscaler.given : this.size;
  }

  /** Scratch that all layers share: features, pictures, work. Two neighbours lie at a region's two ends. */
  #layOut() {
    const { run } = this.#kernel;
    const convolutions = this.#layers.filter((layer) => layer instanceof Convolution);
    const channels = Math.max(...this.config.channels.map(wide));
    const most = (of) => Math.max(...convolutions.map(of));
    const [first] = convolutions; // its input has its own place
    const features = most((layer) => layer.planes[1] + (layer === first ? 0 : layer.planes[0]));
    const work = Math.max(...this.#layers.map((layer) => layer.work(run)), this.#widest * 4);
    const pictures = 5 * pixelsOf(this.size); // one, and the former at half its size
    const loading = Math.max(most((layer) => layer.loading), 2 * this.#widestMatrix);
    const start = this.#kernel.keep(Math.max(features + pictures + work, loading));
    this.#places = { features, pictures, scratch: start, image: start + 4 * features, work: start + 4 * (features + pictures) };
    for (const name of ["s", "gain"]) this.#places[name] = this.#kernel.keep(channels);
    this.#places.bytes = this.#kernel.keep(pixelsOf(this.size));
    this.#places.ws = this.#kernel.keep(this.styles * this.styleWidth);
  }

  /** The widest vector of the mapping network. */
  get #widest() {
    const { z_dim, c_dim, embed_dim, widths } = this.config;
    return Math.max(z_dim + embed_dim, c_dim, ...widths);
  }

  /** Elements of the largest matrix outside the convolutions' own kernels. */
  get #widestMatrix() {
    const channels = Math.max(...this.config.channels, 16);
    const [height, width] = this.config.constant;
    const start = height * width;
    return Math.max(this.#widest ** 2, channels * this.styleWidth, pixelsOf(this.size), start * channels);
  }

  #load(weights) {
    const { config } = this;
    const keep = (name, count) => {
      const place = this.#kernel.keep(count);
      this.#kernel.put(weights.read(name), place, this.#places.scratch);
      return place;
    };
    const dense = (name, from, to) => ({ weight: keep(`${name}.weight`, from * to), bias: keep(`${name}.bias`, to), from, to });
    if (config.c_dim) this.#places.embed = dense("embed", config.c_dim, config.embed_dim);
    let from = config.z_dim + config.embed_dim;
    config.widths.forEach((to, index) => {
      this.#mapping.push(dense(`mapping.${index}`, from, to));
      from = to;
    });
    if (config.mean) this.#places.mean = keep("mean", this.styleWidth);
    for (const layer of this.#layers) layer.load(this.#kernel, weights, this.#places.scratch, this.styleWidth);
    this.#loadConstant(weights);
  }

  #loadConstant(weights) {
    const [channels] = this.config.channels;
    const [height, width] = this.config.constant;
    const { scratch } = this.#places;
    this.#kernel.put(weights.read("constant"), scratch, scratch + 4 * height * width * channels);
    this.#places.constant = this.#kernel.keep(plane({ height, width }, wide(channels)));
    this.#kernel.run.place(scratch, this.#places.constant, height, width, channels, wide(channels));
  }

  /** A seed's own style. `label` is a conditional generator's class, or an array of its label's numbers. */
  styleOfSeed(seed, label) {
    return this.map(latents(seed, this.config.z_dim), label);
  }

  /** Latents to a style [styleWidth], untruncated. */
  map(z, label) {
    const { run } = this.#kernel;
    const { z_dim, embed_dim } = this.config;
    const most = this.#widest;
    let [x, y, spare] = [0, 1, 2].map((i) => this.#places.work + 4 * most * i);
    this.#kernel.floats(spare, z_dim).set(z);
    run.normalise(spare, x, z_dim);
    if (embed_dim) this.#embed(label, x + 4 * z_dim, spare);
    for (const { weight, bias, from, to } of this.#mapping) {
      run.dense(weight, bias, x, y, to, from);
      run.activate(y, to);
      [x, y] = [y, x];
    }
    return this.#kernel.floats(x, this.styleWidth).slice();
  }

  /** A label's embedding, normalised. */
  #embed(label, to, spare) {
    const { weight, bias, from: classes, to: width } = this.#places.embed;
    const isOurs = Array.isArray(label)
      ? label.length === classes && label.every(Number.isFinite)
      : Number.isInteger(label) && label >= 0 && label < classes;
    if (!isOurs) throw new RangeError(`class ${label}: want 0 to ${classes - 1}, or ${classes} numbers`);
    const vector = spare + 4 * this.#widest;
    const numbers = this.#kernel.floats(vector, classes).fill(0);
    if (Array.isArray(label)) numbers.set(label);
    else numbers[label] = 1;
    this.#kernel.run.dense(weight, bias, vector, spare, width, classes);
    this.#kernel.run.normalise(spare, to, width);
  }

  /** A style pulled toward the mean by psi: 1 leaves it, 0 gives the mean. */
  truncate(w, psi) {
    if (psi === 1) return w.slice();
    if (!this.config.mean) throw new RangeError(`psi ${psi}: these weights have no mean style, want 1`);
    const { run } = this.#kernel;
    const { mean, work } = this.#places;
    this.#kernel.floats(work, w.length).set(w);
    run.truncate(mean, work, psi, w.length);
    return this.#kernel.floats(work, w.length).slice();
  }

  /** A style for every layer [styles * styleWidth], the first `cutoff` of them truncated. */
  spread(w, psi = 1, cutoff = this.styles) {
    const near = this.truncate(w, psi);
    const ws = new Float32Array(this.styles * this.styleWidth);
    for (let i = 0; i < this.styles; i++) ws.set(i < cutoff ? near : w, i * this.styleWidth);
    return ws;
  }

  /** Styles of all layers [styles * styleWidth] to a picture's RGBA bytes, row by row. */
  synthesize(ws) {
    const { run } = this.#kernel;
    const { bytes } = this.#places;
    const image = this.#draw(ws);
    if (this.#upscaler) return this.#upscaler.enlarge(image);
    run.to_bytes(image, bytes, pixelsOf(this.size), this.config.image_channels);
    return new Uint8ClampedArray(run.memory.buffer, bytes, 4 * pixelsOf(this.size)).slice();
  }

  /** Styles of all layers to the numbers of a picture that isn't enlarged, [height * width * channels], within [-1, 1] nearly. */
  numbers(ws) {
    const { image_channels: channels } = this.config;
    const pixels = pixelsOf(this.size);
    const found = this.#kernel.floats(this.#draw(ws), 4 * pixels);
    const numbers = new Float32Array(pixels * channels);
    for (let i = 0; i < pixels; i++) {
      for (let channel = 0; channel < channels; channel++) numbers[i * channels + channel] = found[4 * i + channel];
    }
    return numbers;
  }

  /** Throws a RangeError if these are not as many numbers as styles have. */
  check(ws) {
    if (ws.length === this.styles * this.styleWidth) return;
    throw new RangeError(`want ${this.styles} styles of ${this.styleWidth}, got ${ws.length} numbers`);
  }

  /** The place of the picture of styles. */
  #draw(ws) {
    this.check(ws);
    this.#kernel.floats(this.#places.ws, ws.length).set(ws);
    return this.#run();
  }

  /** All layers; the answer is the place of the picture. Features and pictures go from one end to the other. */
  #run() {
    const { run } = this.#kernel;
    const { features, pictures, scratch, image, work, s, gain, ws } = this.#places;
    const shared = { work, s, gain, styleWidth: this.styleWidth };
    let [x, atEnd, former, formerAtEnd] = [this.#places.constant, false, 0, false];
    for (const layer of this.#layers) {
      const w = ws + 4 * layer.style * this.styleWidth;
      if (layer instanceof Colours) {
        const to = image + (formerAtEnd ? 4 * (pictures - 4 * pixelsOf(layer.size)) : 0);
        layer.apply(run, { ...shared, x, image: to, former, w });
        [former, formerAtEnd] = [to, !formerAtEnd];
      } else {
        const y = scratch + (atEnd ? 4 * (features - layer.planes[1]) : 0);
        layer.apply(run, { ...shared, x, y, w });
        [x, atEnd] = [y, !atEnd];
      }
    }
    return former;
  }
}
