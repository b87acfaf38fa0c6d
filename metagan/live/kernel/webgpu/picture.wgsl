// Features to colours, and colours to bytes. A picture is [height][width] vectors of up to four colours, in f32.

@group(0) @binding(8) var<storage, read_write> bytes: array<u32>;
@group(0) @binding(9) var<storage, read> picture: array<vec4f>;  // that is read
@group(0) @binding(10) var<storage, read_write> next: array<vec4f>;  // that is written

// Pixel p of the former picture at twice its size. Between zeros the filter [1, 3, 3, 1] has two taps along an axis: the
// nearest pixel and, at even places, the one before it, at odd ones the one after it.
fn doubled(p: vec2i) -> vec4f {
  let near = p / 2;
  let far = near + select(vec2i(-1), vec2i(1), p % 2 == vec2i(1));
  let half = layer.size / 2;
  let above = 0.75 * former(near, half) + 0.25 * former(vec2i(far.x, near.y), half);
  let below = 0.75 * former(vec2i(near.x, far.y), half) + 0.25 * former(far, half);
  return 0.75 * above + 0.25 * below;
}

fn former(p: vec2i, size: vec2u) -> vec4f {
  if (!is_inside(p, size)) { return vec4f(); }
  return picture[u32(p.y) * size.x + u32(p.x)];
}

// next = clamp(1x1 conv(s * x) + b) + former at twice its size (Karras et al. 2020, arXiv:1912.04958, section 4.1, output skips)
@compute @workgroup_size(8, 8)
fn colour(@builtin(global_invocation_id) id: vec3u) {
  if (any(id.xy >= layer.size)) { return; }
  let pixel = id.y * layer.size.x + id.x;
  var sum = channels[0].bias;
  for (var input = 0u; input < layer.inputs; input++) {
    let v = modulation[layer.s + input] * vec4f(x[input * pixels(layer.size) + pixel]);
    sum += mat4x4f(kernels[input]) * v;
  }
  sum = clamp(sum, vec4f(-layer.clamp), vec4f(layer.clamp));
  if (layer.adds != 0) { sum += doubled(vec2i(id.xy)); }
  next[pixel] = sum;
}

// trunc(clamp(127.5 v + 128, 0, 255)) of four colours, as published generators round, in the order of RGBA.
fn packed(v: vec4f) -> u32 {
  let levels = vec4u(clamp(v * 127.5 + 128, vec4f(), vec4f(255)));
  return levels.x | (levels.y << 8) | (levels.z << 16) | (levels.w << 24);
}

// A picture to RGBA bytes: 1 colour is grey, 3 are RGB, 4 are RGBA.
@compute @workgroup_size(8, 8)
fn to_bytes(@builtin(global_invocation_id) id: vec3u) {
  if (any(id.xy >= layer.size)) { return; }
  let pixel = id.y * layer.size.x + id.x;
  var v = picture[pixel];
  if (layer.colours < 3) { v = v.xxxw; }
  if (layer.colours < 4) { v.w = 1; }
  bytes[pixel] = packed(v);
}
