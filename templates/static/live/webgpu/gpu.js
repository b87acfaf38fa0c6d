// A device of WebGPU with the shaders: buffers, and steps that run a shader over them.

const SHADERS = [
  "modulate", "demodulate", "convolve", "convolve_transposed", "filter_wide", "colour", "to_bytes",
  "take_picture", "shuffle", "give_picture",
];
const SIDE = 8; // of the workgroups of shaders that go pixel by pixel
const LARGEST = 3e38; // a float
const LAYER_BYTES = 64; // as layer.wgsl declares it

export class Gpu {
  #pipelines;

  /** Compiles the shaders for a device. */
  static async open(device, code) {
    const module = device.createShaderModule({ code });
    const compiled = SHADERS.map(async (entryPoint) => [
      entryPoint,
      await device.createComputePipelineAsync({ layout: "auto", compute: { module, entryPoint } }),
    ]);
    return new Gpu(device, Object.fromEntries(await Promise.all(compiled)));
  }

  constructor(device, pipelines) {
    this.device = device;
    this.#pipelines = pipelines;
  }

  /** A buffer of zeros. */
  buffer(size, usage = GPUBufferUsage.STORAGE) {
    if (size > this.device.limits.maxStorageBufferBindingSize) throw new RangeError(`${size} bytes are too many for this GPU`);
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
  layer({ size, before = size, inputs = 0, outputs = 0, s = 0, gain = 0, across = 1, down = 1, clamp, noisy = false, adds = false, colours = 0, factor = 1 }) {
    const head = [before.width, before.height, size.width, size.height, inputs, outputs, s, gain, across, down];
    const tail = [Number(noisy), Number(adds), colours, factor];
    const bytes = new DataView(new ArrayBuffer(LAYER_BYTES));
    head.forEach((value, i) => bytes.setUint32(4 * i, value, true));
    bytes.setFloat32(4 * head.length, clamp < LARGEST ? clamp : LARGEST, true);
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
  record(encoder, steps) {
    const pass = encoder.beginComputePass();
    for (const { pipeline, bound, groups } of steps) {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, bound);
      pass.dispatchWorkgroups(...groups);
    }
    pass.end();
  }
}
