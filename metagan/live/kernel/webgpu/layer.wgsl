// What all shaders share: a layer's numbers, its buffers, and what follows every convolution.
//
// Features lie as planes[channels / 4][height][width] of vectors of four channels, without a border, so that neighbouring
// threads read neighbouring vectors. Channels are padded with zeros. All shaders are joined to one module.

struct Layer {
  before: vec2u,  // width and height of the features that are read
  size: vec2u,    // and of those that are written
  inputs: u32,    // vectors of channels that are read
  outputs: u32,   // and written
  s: u32,         // where in `modulation` the factors of the inputs begin, in vectors
  gain: u32,      // and those of the outputs
  across: u32,    // blocks of a convolution's workgroup: at most 8
  down: u32,      // by 4
  clamp: f32,     // the bound of every output
  noisy: u32,     // whether `noise` is added
  adds: u32,      // whether `residual` is added
  colours: u32,   // of a picture, or of one pixel before they are shuffled
  factor: u32,    // of an upscaler
}

struct Channels {
  bias: vec4f,
  slope: vec4f,  // of the activation below zero
}

@group(0) @binding(0) var<uniform> layer: Layer;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(3) var<storage, read> kernels: array<mat4x4f>;
@group(0) @binding(4) var<storage, read> modulation: array<vec4f>;
@group(0) @binding(5) var<storage, read> channels: array<Channels>;
@group(0) @binding(6) var<storage, read> noise: array<f32>;
@group(0) @binding(7) var<storage, read> residual: array<vec4f>;

fn pixels(size: vec2u) -> u32 { return size.x * size.y; }

fn is_inside(p: vec2i, size: vec2u) -> bool { return all(p >= vec2i()) && all(p < vec2i(size)); }

// v where it is positive, slope * v where it is negative (the leaky ReLU, and He et al. 2015, arXiv:1502.01852: PReLU)
fn rectify(v: vec4f, slope: vec4f) -> vec4f { return max(v, vec4f()) + slope * min(v, vec4f()); }

// y = clamp(lrelu(sum * gain + noise + bias)) + residual, for a vector of outputs at a pixel.
//
// The activation's own gain, sqrt(2), is folded into gain, noise and bias beforehand; gain is the demodulation
// (Karras et al. 2020, arXiv:1912.04958, equation 3).
fn finish(sum: vec4f, output: u32, pixel: vec2u) {
  let place = pixel.y * layer.size.x + pixel.x;
  let at = output * pixels(layer.size) + place;
  var v = sum * modulation[layer.gain + output] + channels[output].bias;
  if (layer.noisy != 0) { v += noise[place]; }
  v = clamp(rectify(v, channels[output].slope), vec4f(-layer.clamp), vec4f(layer.clamp));
  if (layer.adds != 0) { v += residual[at]; }
  y[at] = v;
}
