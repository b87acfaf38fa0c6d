// 3x3 convolutions by Winograd's F(4x4, 3x3): a tile of 4x4 outputs takes 36 products instead of 144.
//
// Lavin & Gray 2016, arXiv:1509.09308, section 4: y = A'[(G w G') . (B' d B)]A over tiles of 6x6 inputs d, with the
// points 0, 1, -1, 2, -2 and infinity, as ../winograd.c.
//
// A workgroup makes 16 tiles of 16 channels. It goes through the inputs four channels at a time: its threads transform the
// tiles, share their 36 points in workgroup memory, and each multiplies one point of 8 tiles by the kernels of 8 outputs.

const POINTS = 6u; // along an axis
const PLANES = POINTS * POINTS;
const TILE_SIDE = 4u;
const TILES = 16u; // of a workgroup
const ROWS = TILES * POINTS; // and their rows or columns

// Of the inputs, later of the sums, [tiles][6][6]: 9 kB.
var<workgroup> points: array<vec4f, TILES * PLANES>;

@group(0) @binding(11) var<storage, read> kernel_points: array<Kernel>;
@group(0) @binding(12) var<storage, read_write> new_points: array<Feature>;

// Six points, or six of what is transformed.
struct Six { p0: vec4f, p1: vec4f, p2: vec4f, p3: vec4f, p4: vec4f, p5: vec4f }

// G w: three taps to six points.
fn spread_taps(w0: vec4f, w1: vec4f, w2: vec4f) -> Six {
  let even = w0 + w2;
  let even2 = w0 + 4 * w2;
  return Six(w0 / 4, (even + w1) / -6, (even - w1) / -6, (even2 + 2 * w1) / 24, (even2 - 2 * w1) / 24, w2);
}

// B' d: six inputs of one axis to six points.
fn spread(d: Six) -> Six {
  let a = d.p4 - 4 * d.p2;
  let b = d.p3 - 4 * d.p1;
  let e = d.p4 - d.p2;
  let f = 2 * (d.p3 - d.p1);
  return Six(4 * d.p0 - 5 * d.p2 + d.p4, a + b, a - b, e + f, e - f, 4 * d.p1 - 5 * d.p3 + d.p5);
}

// A' m: six points to the four outputs of one axis.
fn gather(m: Six) -> mat4x4f {
  let a = m.p1 + m.p2;
  let b = m.p1 - m.p2;
  let e = m.p3 + m.p4;
  let f = m.p3 - m.p4;
  return mat4x4f(m.p0 + a + e, b + 2 * f, a + 4 * e, b + 8 * f + m.p5);
}

fn load_points(first: u32, step: u32) -> Six {
  return Six(
    points[first], points[first + step], points[first + 2 * step],
    points[first + 3 * step], points[first + 4 * step], points[first + 5 * step],
  );
}

fn store_points(v: Six, first: u32, step: u32) {
  points[first] = v.p0;
  points[first + step] = v.p1;
  points[first + 2 * step] = v.p2;
  points[first + 3 * step] = v.p3;
  points[first + 4 * step] = v.p4;
  points[first + 5 * step] = v.p5;
}

// G w G' of kernels[pairs][9] to new_points[pairs][36].
@compute @workgroup_size(64)
fn spread_kernels(@builtin(global_invocation_id) id: vec3u) { spread_kernel(id.x, false); }

// A thread makes one input's four outputs. `is_up` is for transposed convolutions.
fn spread_kernel(thread: u32, is_up: bool) {
  let pair = thread / 4;
  let input = thread % 4;
  if (pair >= layer.inputs * layer.outputs) { return; }
  var half: array<Six, 3>;
  for (var row = 0u; row < 3; row++) {
    let at = pair * 9 + 3 * row;
    half[row] = taps_at_points(is_up, vec4f(kernels[at][input]), vec4f(kernels[at + 1][input]), vec4f(kernels[at + 2][input]));
  }
  let to = pair * PLANES;
  store_taps(taps_at_points(is_up, half[0].p0, half[1].p0, half[2].p0), to, input);
  store_taps(taps_at_points(is_up, half[0].p1, half[1].p1, half[2].p1), to + 1, input);
  store_taps(taps_at_points(is_up, half[0].p2, half[1].p2, half[2].p2), to + 2, input);
  store_taps(taps_at_points(is_up, half[0].p3, half[1].p3, half[2].p3), to + 3, input);
  store_taps(taps_at_points(is_up, half[0].p4, half[1].p4, half[2].p4), to + 4, input);
  store_taps(taps_at_points(is_up, half[0].p5, half[1].p5, half[2].p5), to + 5, input);
}

fn taps_at_points(is_up: bool, w0: vec4f, w1: vec4f, w2: vec4f) -> Six {
  if (is_up) { return spread_up_taps(w0, w1, w2); }
  return spread_taps(w0, w1, w2);
}

// A column of a kernel's points.
fn store_taps(v: Six, first: u32, input: u32) {
  new_points[4 * first + input] = Feature(v.p0);
  new_points[4 * (first + POINTS) + input] = Feature(v.p1);
  new_points[4 * (first + 2 * POINTS) + input] = Feature(v.p2);
  new_points[4 * (first + 3 * POINTS) + input] = Feature(v.p3);
  new_points[4 * (first + 4 * POINTS) + input] = Feature(v.p4);
  new_points[4 * (first + 5 * POINTS) + input] = Feature(v.p5);
}

fn tiles_of_layer() -> vec2u { return (layer.size + TILE_SIDE - 1) / TILE_SIDE; }

// The first of a tile's outputs.
fn corner_of(tile: u32) -> vec2u {
  let across = tiles_of_layer().x;
  return TILE_SIDE * vec2u(tile % across, tile / across);
}

// The six inputs of a tile's column that begins at p.
fn load_column(input: u32, p: vec2i) -> Six {
  let s = modulation[layer.s + input];
  return Six(
    s * input_at(input, p), s * input_at(input, p + vec2i(0, 1)), s * input_at(input, p + vec2i(0, 2)),
    s * input_at(input, p + vec2i(0, 3)), s * input_at(input, p + vec2i(0, 4)), s * input_at(input, p + vec2i(0, 5)),
  );
}

fn input_at(input: u32, p: vec2i) -> vec4f {
  let is_in = is_inside(p, layer.before);
  let at = input * pixels(layer.before) + u32(select(0, p.y * i32(layer.before.x) + p.x, is_in));
  return select(vec4f(), vec4f(x[at]), is_in);
}

// y = finish(conv3x3(s * x)). kernel_points[outputs][inputs][36], each of 4 columns: an input's four outputs.
@compute @workgroup_size(144)
fn convolve_winograd(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3u) {
  // A thread that transforms has a tile's column, and then its row.
  let own = thread / POINTS;
  let line = thread % POINTS;
  let tile = group.x * TILES + own;
  let column = vec2i(corner_of(tile)) + vec2i(i32(line), 0) - 1;
  // A thread that multiplies has a point, every other tile, and two vectors of outputs.
  let plane = thread % PLANES;
  let first = thread / PLANES % 2 * PLANES + plane;
  let pair = thread / (2 * PLANES);
  let output = 4 * group.z + 2 * pair;
  let is_needed = output < layer.outputs;
  var a0 = vec4f(); var a1 = vec4f(); var a2 = vec4f(); var a3 = vec4f();
  var a4 = vec4f(); var a5 = vec4f(); var a6 = vec4f(); var a7 = vec4f();
  var b0 = vec4f(); var b1 = vec4f(); var b2 = vec4f(); var b3 = vec4f();
  var b4 = vec4f(); var b5 = vec4f(); var b6 = vec4f(); var b7 = vec4f();
  for (var input = 0u; input < layer.inputs; input++) {
    workgroupBarrier();
    if (thread < ROWS) { store_points(spread(load_column(input, column)), own * PLANES + line, POINTS); }
    workgroupBarrier();
    if (thread < ROWS) {
      let row = own * PLANES + line * POINTS;
      store_points(spread(load_points(row, 1)), row, 1);
    }
    workgroupBarrier();
    if (is_needed) {
      let v = mat4x4f(kernel_points[(output * layer.inputs + input) * PLANES + plane]);
      let w = mat4x4f(kernel_points[((output + 1) * layer.inputs + input) * PLANES + plane]);
      let x0 = points[first];
      let x1 = points[first + 2 * PLANES];
      let x2 = points[first + 4 * PLANES];
      let x3 = points[first + 6 * PLANES];
      let x4 = points[first + 8 * PLANES];
      let x5 = points[first + 10 * PLANES];
      let x6 = points[first + 12 * PLANES];
      let x7 = points[first + 14 * PLANES];
      a0 += v * x0; a1 += v * x1; a2 += v * x2; a3 += v * x3; a4 += v * x4; a5 += v * x5; a6 += v * x6; a7 += v * x7;
      b0 += w * x0; b1 += w * x1; b2 += w * x2; b3 += w * x3; b4 += w * x4; b5 += w * x5; b6 += w * x6; b7 += w * x7;
    }
  }
  // One vector of outputs after the other: that of the first threads, then that of the others.
  for (var n = 0u; n < 4; n++) {
    if (4 * group.z + n >= layer.outputs) { break; }
    workgroupBarrier();
    if (pair == n / 2) {
      let second = n % 2 == 1;
      points[first] = select(a0, b0, second);
      points[first + 2 * PLANES] = select(a1, b1, second);
      points[first + 4 * PLANES] = select(a2, b2, second);
      points[first + 6 * PLANES] = select(a3, b3, second);
      points[first + 8 * PLANES] = select(a4, b4, second);
      points[first + 10 * PLANES] = select(a5, b5, second);
      points[first + 12 * PLANES] = select(a6, b6, second);
      points[first + 14 * PLANES] = select(a7, b7, second);
    }
    workgroupBarrier();
    if (thread < ROWS) {
      let at = own * PLANES + line;
      let sums = gather(load_points(at, POINTS));
      for (var row = 0u; row < TILE_SIDE; row++) { points[at + row * POINTS] = sums[row]; }
    }
    workgroupBarrier();
    if (thread < ROWS && line < TILE_SIDE) {
      let sums = gather(load_points(own * PLANES + line * POINTS, 1));
      for (var across = 0u; across < TILE_SIDE; across++) {
        let pixel = corner_of(tile) + vec2u(across, line);
        if (all(pixel < layer.size)) { finish(demodulated(sums[across], 4 * group.z + n), 4 * group.z + n, pixel); }
      }
    }
  }
}
