// What all shaders share: a layer's numbers, its buffers, and what follows every convolution.
//
// Features lie as planes[channels / 4][height][width] of vectors of four channels, without a border, so that neighbouring
// threads read neighbouring vectors. Channels are padded with zeros. All shaders are joined to one module. What is put
// before it says what features, kernels and their products are: `alias Real`, f32 or f16, and `NARROW`, which is true for f16.
// Everything else is f32.

alias Feature = vec4<Real>;
alias Kernel = mat4x4<Real>;  // from four inputs to four outputs

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
@group(0) @binding(1) var<storage, read> x: array<Feature>;
@group(0) @binding(2) var<storage, read_write> y: array<Feature>;
@group(0) @binding(3) var<storage, read> kernels: array<Kernel>;
@group(0) @binding(4) var<storage, read> modulation: array<vec4f>;
@group(0) @binding(5) var<storage, read> channels: array<Channels>;
@group(0) @binding(6) var<storage, read> noise: array<f32>;
@group(0) @binding(7) var<storage, read> residual: array<Feature>;

fn pixels(size: vec2u) -> u32 { return size.x * size.y; }

fn is_inside(p: vec2i, size: vec2u) -> bool { return all(p >= vec2i()) && all(p < vec2i(size)); }

// v where it is positive, slope * v where it is negative (the leaky ReLU, and He et al. 2015, arXiv:1502.01852: PReLU)
fn rectify(v: vec4f, slope: vec4f) -> vec4f { return max(v, vec4f()) + slope * min(v, vec4f()); }

// Sums of products of f16 are f16 for one vector of inputs at a time, and f32 from one to the next. Sums of f32 go on and on.
fn begun(sum: vec4f) -> Feature { return select(Feature(sum), Feature(), NARROW); }

fn ended(sum: vec4f, part: Feature) -> vec4f { return select(vec4f(part), sum + vec4f(part), NARROW); }

// A sum times the gain of its output, the demodulation (Karras et al. 2020, arXiv:1912.04958, equation 3).
fn demodulated(sum: vec4f, output: u32) -> vec4f { return sum * modulation[layer.gain + output]; }

// y = clamp(clamp(lrelu(sum + noise + bias)) + residual), for a vector of outputs at a pixel; sum is demodulated.
//
// The activation's own gain, sqrt(2), is folded into the demodulation, noise and bias beforehand.
fn finish(sum: vec4f, output: u32, pixel: vec2u) {
  let place = pixel.y * layer.size.x + pixel.x;
  let at = output * pixels(layer.size) + place;
  var v = sum + channels[output].bias;
  if (layer.noisy != 0) { v += noise[place]; }
  let most = vec4f(layer.clamp);
  v = clamp(rectify(v, channels[output].slope), -most, most);
  if (layer.adds != 0) { v = clamp(v + vec4f(residual[at]), -most, most); }
  y[at] = Feature(v);
}
