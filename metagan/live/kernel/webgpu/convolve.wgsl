// 3x3 convolutions. A thread makes 2x2 pixels of 8 channels, so that what it reads is used several times.
//
// A workgroup's threads are across * down blocks of pixels, times as many groups of channels as there are threads left. It goes
// through the inputs four channels at a time: its tile of the input, multiplied by the styles, is read once and shared.

const THREADS = 64u;

// The pixels that a workgroup reads, at most 18x10 for 8x4 blocks of 2x2: three a thread.
var<workgroup> tile: array<Feature, 3 * THREADS>;

// A thread's block of pixels in its workgroup, and its first vector of outputs.
struct Place {
  block: vec2u,
  output: u32,
}

fn place_of(thread: u32, group: vec3u, vectors: u32) -> Place {
  let blocks = layer.across * layer.down;
  let channel = group.z * (THREADS / blocks) + thread / blocks;
  return Place(vec2u(thread % layer.across, thread / layer.across % layer.down), channel * vectors);
}

// Where in a plane of the input pixel n of a tile lies; -1 outside, which is zero.
fn place_in_plane(n: u32, corner: vec2i, size: vec2u) -> i32 {
  let p = corner + vec2i(vec2u(n % size.x, n / size.x));
  return select(-1, p.y * i32(layer.before.x) + p.x, is_inside(p, layer.before));
}

// The same of a thread's three pixels.
fn places_in_plane(thread: u32, corner: vec2i, size: vec2u) -> vec3i {
  return vec3i(
    place_in_plane(thread, corner, size),
    place_in_plane(thread + THREADS, corner, size),
    place_in_plane(thread + 2 * THREADS, corner, size),
  );
}

fn modulated_pixel(input: u32, place: i32) -> Feature {
  let at = input * pixels(layer.before) + u32(max(place, 0));
  return select(Feature(), Feature(modulation[layer.s + input] * vec4f(x[at])), place >= 0);
}

fn fill_tile(thread: u32, input: u32, places: vec3i) {
  workgroupBarrier();
  tile[thread] = modulated_pixel(input, places.x);
  tile[thread + THREADS] = modulated_pixel(input, places.y);
  tile[thread + 2 * THREADS] = modulated_pixel(input, places.z);
  workgroupBarrier();
}

// y = finish(conv3x3(s * x)). kernels[outputs][inputs][9], each of 4 columns: an input's four outputs.
@compute @workgroup_size(64)
fn convolve(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3u) {
  let shape = vec2u(layer.across, layer.down);
  let place = place_of(thread, group, 2u);
  let size = 2 * shape + 2;
  let places = places_in_plane(thread, vec2i(2 * group.xy * shape) - 1, size);
  let near = 2 * place.block.y * size.x + 2 * place.block.x;
  // Sums of the first vector of outputs at 2x2 pixels, and of the second.
  var a0 = vec4f(); var a1 = vec4f(); var a2 = vec4f(); var a3 = vec4f();
  var b0 = vec4f(); var b1 = vec4f(); var b2 = vec4f(); var b3 = vec4f();
  for (var input = 0u; input < layer.inputs; input++) {
    fill_tile(thread, input, places);
    let first = (place.output * layer.inputs + input) * 9;
    let second = first + layer.inputs * 9;
    var p0 = begun(a0); var p1 = begun(a1); var p2 = begun(a2); var p3 = begun(a3);
    var q0 = begun(b0); var q1 = begun(b1); var q2 = begun(b2); var q3 = begun(b3);
    for (var tap = 0u; tap < 9; tap++) {
      let corner = near + tap / 3 * size.x + tap % 3;
      let x0 = tile[corner];
      let x1 = tile[corner + 1];
      let x2 = tile[corner + size.x];
      let x3 = tile[corner + size.x + 1];
      let v = kernels[first + tap];
      let w = kernels[second + tap];
      p0 += v * x0; p1 += v * x1; p2 += v * x2; p3 += v * x3;
      q0 += w * x0; q1 += w * x1; q2 += w * x2; q3 += w * x3;
    }
    a0 = ended(a0, p0); a1 = ended(a1, p1); a2 = ended(a2, p2); a3 = ended(a3, p3);
    b0 = ended(b0, q0); b1 = ended(b1, q1); b2 = ended(b2, q2); b3 = ended(b3, q3);
  }
  if (place.output >= layer.outputs) { return; }
  for (var n = 0u; n < 4; n++) {
    let pixel = 2 * (group.xy * shape + place.block) + vec2u(n % 2, n / 2);
    if (any(pixel >= layer.size)) { continue; }
    finish(demodulated(nth(n, a0, a1, a2, a3), place.output), place.output, pixel);
    finish(demodulated(nth(n, b0, b1, b2, b3), place.output + 1), place.output + 1, pixel);
  }
}

fn nth(n: u32, v0: vec4f, v1: vec4f, v2: vec4f, v3: vec4f) -> vec4f {
  return select(select(v0, v1, n == 1), select(v2, v3, n == 3), n >= 2);
}
