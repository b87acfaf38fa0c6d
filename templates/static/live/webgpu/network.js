// A StyleGAN2, and the upscaler that may follow it, on WebGPU: from styles to bytes.

import { Colours, Convolution, layersOf, pixelsOf, scaled } from "../layers.js";
import { upscalerLayers } from "../upscaler.js";
import { Gpu } from "./gpu.js";
import { Styles, vectors } from "./styles.js";

const THREADS = 64; // of a convolution's workgroup
const MOST = { across: 8, down: 4 }; // blocks in it
const SLOPE = 0.2; // of the leaky ReLU
const FIR = 1 / 16; // the upsampling filter's factor
const TAPS = 9;
const PICTURE_BYTES = 16; // of a pixel
// Convolutions by Winograd: their shaders, a workgroup's tiles, and rows and columns that tiles cover beyond the inputs; for both kinds
// a workgroup's vectors of outputs, a tile's side, and a kernel's points.
const WINOGRAD = {
  same: { spread: "spread_kernels", shader: "convolve_winograd", tiles: 16, beyond: 0 },
  up: { spread: "spread_up_kernels", shader: "convolve_transposed_winograd", tiles: 8, beyond: 1 },
  outputs: 4, side: 4, points: 36,
};
const FEWEST_TILES = 16; // smaller layers read more kernels than features

export class Network {
  #gpu;
  #weights;
  #styles;
  #ws;
  #bytes;
  #modulation;
  #planes; // features: one is read, one is written; an upscaler's residual waits in the third
  #pictures; // one, and the former
  #steps = [];
  #choices = []; // steps that have another form, until it is chosen
  #spare = []; // buffers through which pictures have come back

  /**
   * Makes everything that drawing takes; all convolutions are direct until `choose` is called. `code` is the shaders'.
   *
   * @param {import("../weights.js").Weights} weights
   * @param {{precision?: string}} options precision: "f32" or "f16".
   */
  static async open(device, code, weights, { precision } = {}) {
    return Network.load(await Gpu.open(device, code, precision), weights);
  }

  /** Has each convolution take its fastest form, where there is memory for it. `forms` is a Forms of forms.js. */
  async choose(forms) {
    for (const choice of this.#choices) {
      let other = null;
      const makeOther = async () => (other = await this.#byWinograd(choice));
      const both = async () => ({ direct: this.#steps[choice.at], winograd: (await makeOther()).step });
      let form = await forms.choose(this.#gpu, choice.shape, both);
      if (form === "winograd" && !other) await this.#gpu.safely(makeOther).catch(() => (form = "direct"));
      if (form === "winograd") {
        this.#steps[choice.at] = other.step;
        choice.layer.kernels.destroy();
      } else other?.points.destroy();
    }
    this.#choices = [];
  }

  /** The same with shaders that are compiled already. */
  static async load(gpu, weights) {
    const network = new Network(gpu, weights);
    await network.#build(weights.config);
    return network;
  }

  /** @private Takes no weights yet: see `load`. */
  constructor(gpu, weights) {
    const { height, width, widths, upscaler } = weights.config;
    this.#gpu = gpu;
    this.#weights = weights;
    this.#styles = new Styles(widths.at(-1));
    this.size = { height, width };
    this.given = scaled(this.size, upscaler?.factor ?? 1);
  }

  async #build({ channels, widths, image_channels, upscaler }) {
    const gpu = this.#gpu;
    const layers = [];
    for (const layer of layersOf(this.#weights.config)) {
      layers.push({ ...layer, ...this.#load(layer) });
      await pause(); // a large layer takes tens of milliseconds
    }
    const enlarging = upscaler ? this.#loadUpscaler(upscaler) : null;
    this.#ws = gpu.buffer(4 * 2 * channels.length * widths.at(-1));
    this.#bytes = gpu.buffer(4 * pixelsOf(this.given));
    const { modulation, steps } = this.#styles.finish(gpu, this.#ws);
    this.#modulation = modulation;
    this.#steps.push(...steps);
    this.#layOut(layers, enlarging);
    const image = this.#draw(layers);
    if (enlarging) this.#enlarge(image, enlarging, upscaler);
    else this.#add("to_bytes", { 9: image, 8: this.#bytes }, { size: this.size, colours: image_channels });
    this.#weights = null;
  }

  /** Styles of all layers to a picture's RGBA bytes, row by row. */
  async synthesize(ws) {
    const { device } = this.#gpu;
    this.#gpu.write(this.#ws, ws);
    const encoder = device.createCommandEncoder();
    this.#gpu.record(encoder, this.#steps);
    const size = this.#bytes.size;
    const back = this.#spare.pop() ?? device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    encoder.copyBufferToBuffer(this.#bytes, 0, back, 0, size);
    device.queue.submit([encoder.finish()]);
    await back.mapAsync(GPUMapMode.READ);
    const pixels = new Uint8ClampedArray(back.getMappedRange().slice(0));
    back.unmap();
    this.#spare.push(back);
    return pixels;
  }

  /** A layer's weights on the GPU. */
  #load(layer) {
    const isColours = layer instanceof Colours;
    const read = (part) => this.#weights.floats(`${layer.name}.${part}`);
    const kernels = read("weight");
    const s = this.#styles.factors(read("style.weight"), read("style.bias"), layer.style);
    if (isColours) return { s, ...this.#store(kernels, [layer.count, layer.channels], 1, { bias: read("bias") }) };
    const shape = [layer.output, layer.input];
    const powers = powersOf(kernels, layer.output);
    const gain = this.#styles.gains(kernels, shape, s, layer.up ? powers.map((power) => FIR * power) : powers);
    const slopes = new Float32Array(layer.output).fill(SLOPE);
    const noise = layer.noisy ? this.#gpu.filled(read("noise")) : null;
    return { s, gain, noise, ...this.#store(kernels, shape, TAPS, { bias: read("bias"), slopes, powers }) };
  }

  /** Kernels and what belongs to each output; `inputs` and `outputs` count vectors. */
  #store(kernels, [output, input], taps, { bias, slopes = [], powers = bias.map(() => 1) }) {
    const inputs = vectors(input);
    const outputs = taps === 1 ? 1 : 2 * vectors(output / 2); // `convolve` makes two at a time
    const each = new Float32Array(8 * outputs); // bias and slope in turn
    bias.forEach((value, i) => (each[2 * i - (i % 4)] = value));
    slopes.forEach((value, i) => (each[2 * i - (i % 4) + 4] = value));
    const packed = this.#gpu.reals(16 * outputs * inputs * taps);
    pack(kernels, [output, input], taps, powers, packed);
    return { inputs, outputs, kernels: this.#gpu.filled(packed), each: this.#gpu.filled(each) };
  }

  #loadUpscaler(config) {
    const one = (layer) => {
      const read = (part) => this.#weights.floats(`${layer.name}.${part}`);
      // They are stored for the WebAssembly kernel, whose activation comes before them.
      const slopes = read("slope").map((slope) => slope * SLOPE);
      const kernels = read("weight");
      const powers = powersOf(kernels, layer.output);
      const stored = this.#store(kernels, [layer.output, layer.input], TAPS, { bias: read("bias"), slopes, powers });
      return { ...layer, s, gain: this.#styles.constants(powers), ...stored };
    };
    const { head, blocks, fine, last } = upscalerLayers(config, this.size);
    const widest = Math.max(...[head, ...blocks.flat(), fine, last].map((layer) => layer?.in ?? 0));
    const s = this.#styles.constants(new Float32Array(widest).fill(1));
    return { head: one(head), blocks: blocks.map((pair) => pair.map(one)), fine: fine && one(fine), last: one(last) };
  }

  #layOut(layers, enlarging) {
    const all = [...layers.filter(({ up }) => up !== undefined), ...(enlarging ? flat(enlarging) : [])];
    const shuffled = enlarging ? vectors(enlarging.last.input) * pixelsOf(enlarging.last.size) : 0;
    const planes = all.map(({ outputs, size, up }) => outputs * pixelsOf(up ? wideOf(size) : size));
    const most = Math.max(shuffled, pixelsOf(this.size), ...planes);
    this.#planes = [this.#features(most), this.#features(most)];
    if (enlarging) this.#planes.push(this.#features(enlarging.head.outputs * pixelsOf(this.size)));
    this.#pictures = [0, 1].map(() => this.#gpu.buffer(PICTURE_BYTES * pixelsOf(this.size)));
  }

  /** Room for so many vectors of features. */
  #features(count) {
    return this.#gpu.buffer(this.#gpu.bytesOf(count));
  }

  /** A plane that is none of these. */
  #other(...taken) {
    return this.#planes.find((plane) => !taken.includes(plane));
  }

  #add(shader, buffers, layer) {
    this.#steps.push(this.#gpu.pixels(shader, { 0: this.#gpu.layer(layer), ...buffers }, layer.size, layer.outputs));
  }

  /** The generator's layers; the answer is the picture. */
  #draw(layers) {
    const gpu = this.#gpu;
    const { config } = this.#weights;
    const most = gpu.largest;
    const constant = this.#weights.floats("constant").map((value) => Math.min(most, Math.max(-most, value)));
    const [channels] = config.channels;
    let x = gpu.filled(planesOf(constant, channels, gpu.reals((4 * vectors(channels) * constant.length) / channels)));
    let former = null;
    for (const layer of layers) {
      if (layer.up) x = this.#convolveUp(layer, x);
      else if (layer.up === false) x = this.#convolve(layer, x);
      else {
        const image = this.#pictures.find((one) => one !== former);
        const buffers = { 1: x, 3: layer.kernels, 4: this.#modulation, 5: layer.each, 9: former ?? layer.each, 10: image };
        this.#add("colour", buffers, { ...layer, adds: former !== null });
        former = image;
      }
    }
    return former;
  }

  /** What ends every layer. */
  #ending(layer, residual) {
    return { 5: layer.each, 6: layer.noise ?? layer.each, 7: residual ?? layer.each };
  }

  #convolve(layer, x, residual = null) {
    const y = this.#other(x, residual);
    const blocks = { width: Math.ceil(layer.size.width / 2), height: Math.ceil(layer.size.height / 2) };
    const { groups, ...shape } = split(blocks, layer.outputs / 2);
    const numbers = this.#gpu.layer({ ...layer, ...shape, adds: residual !== null });
    const buffers = { 0: numbers, 1: x, 2: y, 3: layer.kernels, 4: this.#modulation, ...this.#ending(layer, residual) };
    this.#steps.push(this.#gpu.step("convolve", buffers, groups));
    this.#mayBeWinograd("same", layer, buffers);
    return y;
  }

  /** The last step may be done by Winograd if there are tiles enough, and memory for its kernels. */
  #mayBeWinograd(kind, layer, buffers) {
    const { side, outputs: most, [kind]: { tiles: each, beyond } } = WINOGRAD;
    const { inputs, outputs, size, from: { height, width } = size } = layer;
    const tiles = Math.ceil((width + beyond) / side) * Math.ceil((height + beyond) / side);
    if (tiles < FEWEST_TILES || !this.#gpu.fits(this.#pointsBytes(layer))) return;
    const groups = [Math.ceil(tiles / each), 1, Math.ceil(outputs / most)];
    const shape = `${kind} ${height}x${width} ${4 * inputs} ${4 * outputs}`;
    this.#choices.push({ at: this.#steps.length - 1, kind, shape, layer, buffers, groups });
  }

  /** What a layer's kernels take at Winograd's points. */
  #pointsBytes({ inputs, outputs }) {
    return this.#gpu.bytesOf(WINOGRAD.points * 4 * inputs * outputs);
  }

  /** A layer's kernels at Winograd's points, and the step that takes them. */
  async #byWinograd({ kind, layer, buffers, groups }) {
    const { spread, shader } = WINOGRAD[kind];
    await this.#gpu.compile([spread, shader]);
    const { inputs, outputs } = layer;
    const { 3: kernels, ...others } = buffers;
    const points = this.#gpu.buffer(this.#pointsBytes(layer));
    const from = { 0: this.#gpu.layer(layer), 3: kernels, 12: points };
    this.#gpu.run([this.#gpu.step(spread, from, [Math.ceil((4 * inputs * outputs) / THREADS), 1, 1])]);
    return { points, step: this.#gpu.step(shader, { ...others, 11: points }, groups) };
  }

  #convolveUp(layer, x) {
    const wide = this.#other(x);
    const y = this.#other(wide);
    const { from: before, size } = layer;
    const { groups, ...shape } = split({ width: Math.ceil((before.width + 1) / 2), height: before.height + 1 }, layer.outputs);
    const numbers = this.#gpu.layer({ ...layer, before, ...shape });
    const buffers = { 0: numbers, 1: x, 2: wide, 3: layer.kernels, 4: this.#modulation };
    this.#steps.push(this.#gpu.step("convolve_transposed", buffers, groups));
    this.#mayBeWinograd("up", layer, buffers);
    this.#steps.push(this.#gpu.pixels("filter_wide", { 0: numbers, 1: wide, 2: y, ...this.#ending(layer) }, size, layer.outputs));
    return y;
  }

  /** The upscaler's layers, to bytes. */
  #enlarge(image, { head, blocks, fine, last }, { factor }) {
    const input = this.#other();
    this.#add("take_picture", { 9: image, 2: input }, { size: this.size });
    let x = this.#convolve(head, input);
    for (const [first, second] of blocks) x = this.#convolve(second, this.#convolve(first, x), x);
    if (fine) {
      const folded = this.#convolve(fine, x);
      x = this.#other(folded);
      this.#add("shuffle", { 1: folded, 2: x }, { before: fine.size, size: last.size, outputs: last.inputs, colours: fine.output / 4 });
    }
    const missing = this.#convolve(last, x);
    const layer = { before: last.size, size: this.given, colours: 3, factor };
    this.#add("give_picture", { 1: missing, 9: image, 8: this.#bytes }, layer);
  }
}

/** Lets a worker answer what it was asked meanwhile. */
const pause = () => new Promise((resolve) => setTimeout(resolve));

const flat = ({ head, blocks, fine, last }) => [head, ...blocks.flat(), ...(fine ? [fine] : []), last];

/** What a transposed convolution makes, before the filter. */
const wideOf = ({ height, width }) => ({ height: height + 1, width: width + 1 });

/** How a convolution is shared out: blocks in a workgroup, {across, down}, and workgroups. */
function split({ width, height }, channels) {
  const side = (blocks, most) => Math.min(most, 2 ** Math.ceil(Math.log2(blocks)));
  const [across, down] = [side(width, MOST.across), side(height, MOST.down)];
  const each = THREADS / (across * down); // groups of channels in a workgroup
  return { across, down, groups: [Math.ceil(width / across), Math.ceil(height / down), Math.ceil(channels / each)] };
}

/** For each output of kernels [output][...], the power of two by which they are divided so that none is above 1. */
function powersOf(kernels, output) {
  const row = kernels.length / output;
  return Float32Array.from({ length: output }, (_, o) => {
    let largest = 0;
    for (let i = o * row; i < (o + 1) * row; i++) largest = Math.max(largest, Math.abs(kernels[i]));
    return largest > 0 ? 2 ** Math.ceil(Math.log2(largest)) : 1;
  });
}

/** Kernels [output][input][taps] to [outputs][inputs][taps] matrices of 4x4: an input's four outputs are a column. */
function pack(kernels, [output, input], taps, powers, packed) {
  const inputs = vectors(input);
  let from = 0;
  for (let o = 0; o < output; o++) {
    for (let i = 0; i < input; i++) {
      const at = ((o >> 2) * inputs + (i >> 2)) * taps * 16 + (i & 3) * 4 + (o & 3);
      for (let tap = 0; tap < taps; tap++) packed[at + 16 * tap] = kernels[from++] / powers[o];
    }
  }
}

/** Features [pixels][channels] to planes of vectors. */
function planesOf(features, channels, planes) {
  const pixels = features.length / channels;
  features.forEach((value, i) => {
    const [pixel, channel] = [Math.floor(i / channels), i % channels];
    planes[((channel >> 2) * pixels + pixel) * 4 + (channel & 3)] = value;
  });
  return planes;
}
