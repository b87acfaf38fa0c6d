// A device of WebGPU with the shaders: buffers, and steps that run a shader over them.

const SHADERS = [
  "modulate", "normalize_styles", "demodulate", "convolve", "convolve_transposed", "filter_wide", "colour", "to_bytes",
  "take_picture", "shuffle", "give_picture",
];
const SIDE = 8; // of the workgroups of shaders that go pixel by pixel
const PRECISIONS = {
  // What is put before the shaders; the largest feature; a number of it.
  f32: { head: "alias Real = f32; const NARROW = false;\n", largest: 3e38, bytes: 4 },
  // The sum of 36 products of a feature and a number up to 1 is less than 65504.
  f16: { head: "enable f16; alias Real = f16; const NARROW = true;\n", largest: 1536, bytes: 2 },
};
const LAYER_BYTES = 64; // as layer.wgsl declares it
const TIME_BYTES = 8;
const NANOSECONDS = 1e6; // in a millisecond

export class Gpu {
  #module;
  #precision;
  #pipelines = {};

  /** Compiles the shaders that every network may take for a device, in "f32" or, if it has the feature shader-f16, in "f16". */
  static async open(device, code, precision = "f32") {
    const gpu = new Gpu(device, device.createShaderModule({ code: PRECISIONS[precision].head + code }), precision);
    await gpu.compile(SHADERS);
    return gpu;
  }

  constructor(device, module, precision = "f32") {
    this.device = device;
    this.isNarrow = precision === "f16";
    this.#module = module;
    this.#precision = PRECISIONS[precision];
  }

  /** Compiles more of them; each takes a while. */
  async compile(names) {
    const compiled = names.filter((name) => !(name in this.#pipelines)).map(async (entryPoint) => {
      const compute = { module: this.#module, entryPoint };
      this.#pipelines[entryPoint] = await this.device.createComputePipelineAsync({ layout: "auto", compute });
    });
    await Promise.all(compiled);
  }

  /** Bytes of so many vectors of features or kernels. */
  bytesOf(count) {
    return 4 * this.#precision.bytes * count;
  }

  /** The largest feature. */
  get largest() {
    return this.#precision.largest;
  }

  /** Zeros, as features and kernels are stored. */
  reals(count) {
    return this.isNarrow ? new Float16Array(count) : new Float32Array(count);
  }

  /** Whether a shader could read a buffer of so many bytes. */
  fits(size) {
    return size <= this.device.limits.maxStorageBufferBindingSize;
  }

  /** A buffer of zeros. */
  buffer(size, usage = GPUBufferUsage.STORAGE) {
    if (!this.fits(size)) throw new RangeError(`${size} bytes are too many for this GPU`);
    return this.device.createBuffer({ size, usage: usage | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC });
  }

  /** A buffer with these arrays, one after the other. */
  filled(...arrays) {
    const buffer = this.buffer(arrays.reduce((sum, { byteLength }) => sum + byteLength, 0));
    let at = 0;
    for (const array of arrays) {
      this.write(buffer, array, at);
      at += array.byteLength;
    }
    return buffer;
  }

  write(buffer, array, at = 0) {
    this.device.queue.writeBuffer(buffer, at, array);
  }

  /** A layer's numbers, as layer.wgsl declares them. Sizes are {height, width}. */
  layer({ size, before = size, inputs = 0, outputs = 0, s = 0, gain = 0, across = 1, down = 1, clamp = Infinity, noisy = false, adds = false, colours = 0, factor = 1 }) {
    const head = [before.width, before.height, size.width, size.height, inputs, outputs, s, gain, across, down];
    const tail = [Number(noisy), Number(adds), colours, factor];
    const bytes = new DataView(new ArrayBuffer(LAYER_BYTES));
    head.forEach((value, i) => bytes.setUint32(4 * i, value, true));
    bytes.setFloat32(4 * head.length, Math.min(clamp, this.#precision.largest), true);
    tail.forEach((value, i) => bytes.setUint32(4 * (head.length + 1 + i), value, true));
    const buffer = this.buffer(LAYER_BYTES, GPUBufferUsage.UNIFORM);
    this.write(buffer, bytes);
    return buffer;
  }

  /** A shader with the buffers that are bound to it, by number, in so many workgroups. */
  step(shader, buffers, groups) {
    const pipeline = this.#pipelines[shader];
    const entries = Object.entries(buffers).map(([binding, buffer]) => ({ binding: Number(binding), resource: { buffer } }));
    return { pipeline, bound: this.device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }), groups };
  }

  /** The same for a shader that goes pixel by pixel, for each vector of channels. */
  pixels(shader, buffers, { width, height }, channels = 1) {
    return this.step(shader, buffers, [Math.ceil(width / SIDE), Math.ceil(height / SIDE), channels]);
  }

  /** Has steps run one after the other. */
  record(encoder, steps, options = {}) {
    const pass = encoder.beginComputePass(options);
    for (const { pipeline, bound, groups } of steps) {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, bound);
      pass.dispatchWorkgroups(...groups);
    }
    pass.end();
  }

  /** Has steps run now. */
  run(steps) {
    const encoder = this.device.createCommandEncoder();
    this.record(encoder, steps);
    this.device.queue.submit([encoder.finish()]);
  }

  /** What a function answers that uses the device; an error if the device reports one. */
  safely(run) {
    return withoutErrors(this.device, run);
  }

  /** Milliseconds that a step takes so many times, by the GPU's own clock where it has one that can be read. */
  async time(step, runs) {
    const { device } = this;
    const clock = device.features.has("timestamp-query") ? new Clock(device) : null;
    const encoder = device.createCommandEncoder();
    this.record(encoder, Array(runs).fill(step), clock?.options);
    clock?.record(encoder);
    const start = performance.now();
    device.queue.submit([encoder.finish()]);
    await device.queue.onSubmittedWorkDone();
    const elapsed = performance.now() - start;
    return (await clock?.read()) ?? elapsed;
  }
}

/** What a function answers; an error if it, or the device, reports one meanwhile, which a device doesn't do by itself. */
export async function withoutErrors(device, run) {
  const kinds = ["validation", "out-of-memory", "internal"];
  for (const kind of kinds) device.pushErrorScope(kind);
  let result, thrown = null;
  try {
    result = await run();
  } catch (error) {
    thrown = error;
  }
  const errors = await Promise.all(kinds.map(() => device.popErrorScope()));
  const reported = errors.find(Boolean);
  if (thrown ?? reported) throw thrown ?? new Error(reported.message);
  return result;
}

/** The times at which a pass begins and ends. */
class Clock {
  #times;
  #resolved;
  #back;

  constructor(device) {
    const size = 2 * TIME_BYTES;
    this.#times = device.createQuerySet({ type: "timestamp", count: 2 });
    this.#resolved = device.createBuffer({ size, usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC });
    this.#back = device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  }

  get options() {
    return { timestampWrites: { querySet: this.#times, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 } };
  }

  record(encoder) {
    encoder.resolveQuerySet(this.#times, 0, 2, this.#resolved, 0);
    encoder.copyBufferToBuffer(this.#resolved, 0, this.#back, 0, 2 * TIME_BYTES);
  }

  /** Milliseconds between them, 0 if that is less than a tick; null from a clock that doesn't run, or runs backwards. */
  async read() {
    await this.#back.mapAsync(GPUMapMode.READ);
    const [begin, end] = new BigUint64Array(this.#back.getMappedRange().slice(0));
    for (const each of [this.#times, this.#resolved, this.#back]) each.destroy();
    return end && end >= begin ? Number(end - begin) / NANOSECONDS : null;
  }
}
