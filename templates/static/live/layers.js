// The layers of a synthesis network: what each keeps in the kernel's memory, what it needs while it runs, and its call.

const SMALL = { same: 4 * 4, up: 8 * 8 }; // inputs of so few pixels are convolved by one product, others by Winograd's
const CACHE = 300_000; // floats of transformed tiles that are worked on at a time: a processor's second cache
const [FEWEST, MOST] = [16, 64]; // of these tiles: fewer would have the weights read too often
const POINTS = { same: 36, up: 81 }; // a tile's points
const TILE = 4;
const FIR = 1 / 16; // the upsampling filter's factor

/** Channels as the kernel pads them. */
export const wide = (channels) => Math.ceil(channels / 8) * 8;

/** Floats of features with their border. A size is {height, width}. */
export const plane = ({ height, width }, channels) => (height + 2) * (width + 2) * channels;

/** Pixels of a size. */
export const pixelsOf = ({ height, width }) => height * width;

/** A size, so many times as large. */
export const scaled = ({ height, width }, factor) => ({ height: height * factor, width: width * factor });

/** A size as the kernel's functions take it. */
const sides = ({ height, width }) => [height, width];

/** Tiles of an ordinary convolution that are worked on at a time, by the channels that it reads and writes. */
export const chunkOf = (channels) => Math.min(MOST, Math.max(FEWEST, Math.floor(CACHE / (POINTS.same * channels))));

/** A styled convolution, to twice the size or to the same. */
export class Convolution {
  /** @param size of the output, {height, width} in pixels */
  constructor(name, size, [input, output], { up, style, config }) {
    Object.assign(this, { name, size, input, output, up, style, clamp: config.clamp ?? Infinity });
    this.noisy = config.noise;
    this.in = wide(input);
    this.out = wide(output);
    this.from = up ? scaled(size, 1 / 2) : size;
    const isTiled = sides(this.from).every((side) => side % TILE === 0);
    this.small = !isTiled || pixelsOf(this.from) <= (up ? SMALL.up : SMALL.same);
  }

  /** Floats that the features before and after it take. */
  get planes() {
    return [plane(this.from, this.in), plane(this.size, this.out)];
  }

  /** The last argument of the larger convolutions: tiles, or rows of tiles, at a time. */
  get #chunk() {
    if (!this.up) return chunkOf(this.in + this.out);
    const fitting = CACHE / (POINTS.up * (this.in + this.out));
    const tiles = Math.min(MOST, Math.max(FEWEST, Math.floor(fitting)));
    return Math.min(this.from.height / TILE, Math.ceil(tiles / (this.from.width / TILE)));
  }

  /** Floats of work. */
  work(run) {
    const from = sides(this.from);
    if (this.small) return run[this.up ? "convolve_up_small_floats" : "convolve_small_floats"](...from, this.in, this.out);
    if (this.up) return run.convolve_up_floats(...from, this.in, this.out, this.#chunk);
    return run.convolve_floats(this.in, this.out, this.#chunk);
  }

  /** Floats of scratch that loading takes: the kernels, and their halves. */
  get loading() {
    return 9 * this.input * this.output * 2;
  }

  /** Brings the weights into the form in which they are used; scratch holds `loading` floats. */
  load(kernel, weights, scratch, styleWidth) {
    const { run } = kernel;
    const sizes = [this.output, this.input, this.out, this.in];
    kernel.put(weights.read(`${this.name}.weight`), scratch, scratch + 4 * 9 * this.input * this.output);
    this.kernels = kernel.keep(this.#packed(run));
    this.squares = kernel.keep(this.out * this.in);
    run[this.#packing](scratch, this.kernels, ...sizes);
    run.sum_squares(scratch, this.squares, ...sizes);
    const keep = (name, count) => {
      const place = kernel.keep(count);
      kernel.put(weights.read(`${this.name}.${name}`), place, scratch);
      return place;
    };
    this.styleWeight = keep("style.weight", this.in * styleWidth);
    this.styleBias = keep("style.bias", this.in);
    this.bias = keep("bias", this.out);
    this.noise = this.noisy ? keep("noise", pixelsOf(this.size)) : 0;
  }

  get #packing() {
    if (this.small) return this.up ? "small_upsampling_kernels" : "small_kernels";
    return this.up ? "upsampling_kernels" : "winograd_kernels";
  }

  #packed(run) {
    if (this.small) return 9 * this.out * this.in;
    return run[`${this.#packing}_floats`](this.out, this.in);
  }

  /** Features at x and style at w to features at y. */
  apply(run, { x, y, w, s, gain, work, styleWidth }) {
    run.dense(this.styleWeight, this.styleBias, w, s, this.in, styleWidth);
    run.demodulate(this.squares, s, gain, this.out, this.in, Math.SQRT2 * (this.up ? FIR : 1));
    run.clear_border(y, ...sides(this.size), this.out);
    const sizes = [...sides(this.from), this.in, this.out];
    const shared = [x, y, this.kernels, s, gain, this.bias, this.noise, this.clamp, work, ...sizes];
    if (this.small) run[this.up ? "convolve_up_small" : "convolve_small"](...shared);
    else run[this.up ? "convolve_up" : "convolve"](...shared, this.#chunk);
  }
}

/** Features to colours, on top of the former picture at twice its size. */
export class Colours {
  constructor(name, size, channels, { style, config }) {
    Object.assign(this, { name, size, channels, style, clamp: config.clamp ?? Infinity });
    this.count = config.image_channels;
    this.in = wide(channels);
  }

  /** Floats of work. */
  work() {
    return 4 * this.in;
  }

  load(kernel, weights, scratch, styleWidth) {
    const keep = (name, count) => {
      const place = kernel.keep(count);
      kernel.put(weights.read(`${this.name}.${name}`), place, scratch);
      return place;
    };
    this.styleWeight = keep("style.weight", this.in * styleWidth);
    this.styleBias = keep("style.bias", this.in);
    this.bias = keep("bias", 4);
    this.weight = this.#widen(kernel, weights, scratch);
  }

  /** Rows are as long as the padded channels. */
  #widen(kernel, weights, scratch) {
    kernel.put(weights.read(`${this.name}.weight`), scratch, scratch + 4 * this.count * this.channels);
    const place = kernel.keep(this.count * this.in);
    for (let row = 0; row < this.count; row++) {
      const from = kernel.floats(scratch + 4 * row * this.channels, this.channels);
      kernel.floats(place + 4 * row * this.in, this.channels).set(from);
    }
    return place;
  }

  /** Features at x and style at w, and the former picture (0 for none), to the picture. */
  apply(run, { x, image, former, w, s, work, styleWidth }) {
    run.dense(this.styleWeight, this.styleBias, w, s, this.in, styleWidth);
    const sizes = [...sides(this.size), this.count, this.in];
    run.colour_picture(x, image, former, this.weight, s, this.bias, this.clamp, work, ...sizes);
  }
}

/** All layers in the order in which they run; a conversion to colours shares its style with the next convolution. */
export function layersOf(config) {
  const layers = [];
  const [height, width] = config.constant;
  config.channels.forEach((channels, index) => {
    const name = 4 * 2 ** index; // blocks are named as if the constant were 4x4
    const size = scaled({ height, width }, 2 ** index);
    const before = config.channels[index - 1];
    const first = 2 * index;
    if (index) {
      layers.push(new Convolution(`${name}.conv0`, size, [before, channels], { up: true, style: first - 1, config }));
    }
    layers.push(new Convolution(`${name}.conv1`, size, [channels, channels], { up: false, style: first, config }));
    layers.push(new Colours(`${name}.rgb`, size, channels, { style: first + 1, config }));
  });
  return layers;
}
