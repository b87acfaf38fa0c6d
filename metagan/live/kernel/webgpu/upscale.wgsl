// What an upscaler needs besides convolutions: the pixel shuffle, and pictures in and out.
//
// References: Shi et al. 2016, arXiv:1609.05158, section 3.2 (pixel shuffle). A convolution's 2x2 pixels lie behind each
// other, [2][2][colours], in its channels.

// A picture within [-1, 1] to a plane of features.
@compute @workgroup_size(8, 8)
fn take_picture(@builtin(global_invocation_id) id: vec3u) {
  if (any(id.xy >= layer.size)) { return; }
  let pixel = id.y * layer.size.x + id.x;
  y[pixel] = Feature(vec4f(clamp(picture[pixel].xyz, vec3f(-1), vec3f(1)), 0));
}

// Channel c of x at p, at twice x's size.
fn shuffled(p: vec2u, c: u32) -> f32 {
  if (c >= layer.colours) { return 0; }
  let channel = (p.y % 2 * 2 + p.x % 2) * layer.colours + c;
  let pixel = p.y / 2 * layer.before.x + p.x / 2;
  return f32(x[channel / 4 * pixels(layer.before) + pixel][channel % 4]);
}

fn shuffled_vector(p: vec2u, c: u32) -> vec4f {
  return vec4f(shuffled(p, c), shuffled(p, c + 1), shuffled(p, c + 2), shuffled(p, c + 3));
}

@compute @workgroup_size(8, 8)
fn shuffle(@builtin(global_invocation_id) id: vec3u) {
  if (any(id.xy >= layer.size)) { return; }
  y[id.z * pixels(layer.size) + id.y * layer.size.x + id.x] = Feature(shuffled_vector(id.xy, 4 * id.z));
}

// The nearest-neighbour enlargement of a picture, and on top of it what it misses, to RGBA bytes.
@compute @workgroup_size(8, 8)
fn give_picture(@builtin(global_invocation_id) id: vec3u) {
  if (any(id.xy >= layer.size)) { return; }
  let place = id.xy / layer.factor;
  let near = clamp(picture[place.y * (layer.size.x / layer.factor) + place.x], vec4f(-1), vec4f(1));
  let v = near + shuffled_vector(id.xy, 0);
  bytes[id.y * layer.size.x + id.x] = packed(vec4f(v.xyz, 1));
}
