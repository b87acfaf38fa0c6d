// Upsampling 3x3 convolutions by Winograd: a tile of 4x4 inputs, which make 8x8 results, takes 81 products instead of 144.
//
// As ../upsample.c: along an axis, a transposed convolution is y[2j] = w[2] x[j - 1] + w[0] x[j] and y[2j + 1] = w[1] x[j]. Four
// results of the first are Winograd's F(4, 2) with the points 0, 1, -1, 2 and infinity (Lavin & Gray 2016, arXiv:1509.09308);
// those of the second need no transform. The filter follows as after the direct form.
//
// A workgroup makes 8 tiles of 16 channels, in the same way as `convolve_winograd`.

const UP_POINTS = 5u; // along an axis
const UP_STEPS = UP_POINTS + 4; // products along an axis
const UP_PLANES = UP_STEPS * UP_STEPS;
const UP_TILES = 8u;

// Of the inputs, later of the sums, [tiles][9][9]: 10 kB.
var<workgroup> up_points: array<vec4f, UP_TILES * UP_PLANES>;

// Nine products of an axis.
struct Nine { p0: vec4f, p1: vec4f, p2: vec4f, p3: vec4f, p4: vec4f, p5: vec4f, p6: vec4f, p7: vec4f, p8: vec4f }

// Inputs j - 1 to j + 3 of an axis to five points; the four of the odd results follow as they are.
fn spread_up(d0: vec4f, d1: vec4f, d2: vec4f, d3: vec4f, d4: vec4f) -> Nine {
  let slope = d3 - d1;
  let sum = d2 - d3;
  return Nine(2 * (d0 - d2) + slope, 2 * d1 + sum, 2 * (d2 - d1) + sum, slope, d4 - d2 - 2 * slope, d1, d2, d3, d4);
}

// Three taps to the five points of the even results, and the odd ones'.
fn spread_up_taps(w0: vec4f, w1: vec4f, w2: vec4f) -> Six {
  return Six(w2 / 2, (w2 + w0) / 2, (w2 - w0) / 6, (2 * w0 + w2) / 6, w0, w1);
}

// Nine products of an axis to eight results, even and odd in turn.
fn gather_up(m: Nine) -> array<vec4f, 8> {
  let a = m.p1 + m.p2;
  let b = m.p1 - m.p2;
  return array(m.p0 + a + m.p3, m.p5, b + 2 * m.p3, m.p6, a + 4 * m.p3, m.p7, b + 8 * m.p3 + m.p4, m.p8);
}

fn load_up_points(first: u32, step: u32) -> Nine {
  return Nine(
    up_points[first], up_points[first + step], up_points[first + 2 * step], up_points[first + 3 * step],
    up_points[first + 4 * step], up_points[first + 5 * step], up_points[first + 6 * step], up_points[first + 7 * step],
    up_points[first + 8 * step],
  );
}

fn store_up_points(v: Nine, first: u32, step: u32) {
  up_points[first] = v.p0;
  up_points[first + step] = v.p1;
  up_points[first + 2 * step] = v.p2;
  up_points[first + 3 * step] = v.p3;
  up_points[first + 4 * step] = v.p4;
  up_points[first + 5 * step] = v.p5;
  up_points[first + 6 * step] = v.p6;
  up_points[first + 7 * step] = v.p7;
  up_points[first + 8 * step] = v.p8;
}

// Kernels[pairs][9] to new_points[pairs][36].
@compute @workgroup_size(64)
fn spread_up_kernels(@builtin(global_invocation_id) id: vec3u) { spread_kernel(id.x, true); }

// The first of a tile's inputs. One more than there are makes the last row and column of the results.
fn up_corner_of(tile: u32) -> vec2u {
  let across = (layer.before.x + TILE_SIDE) / TILE_SIDE;
  return TILE_SIDE * vec2u(tile % across, tile / across);
}

// The five inputs of a tile's column that begins at p.
fn spread_up_column(input: u32, p: vec2i) -> Nine {
  let s = modulation[layer.s + input];
  return spread_up(
    s * input_at(input, p), s * input_at(input, p + vec2i(0, 1)), s * input_at(input, p + vec2i(0, 2)),
    s * input_at(input, p + vec2i(0, 3)), s * input_at(input, p + vec2i(0, 4)),
  );
}

// y[2 height + 1][2 width + 1] = transposed conv3x3(s * x). kernel_points[outputs][inputs][36].
@compute @workgroup_size(162)
fn convolve_transposed_winograd(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3u) {
  // A thread that transforms has a tile's column of inputs, then its row.
  let column = vec2i(up_corner_of(group.x * UP_TILES + thread / UP_POINTS)) + vec2i(i32(thread % UP_POINTS), 0) - 1;
  let to_column = thread / UP_POINTS * UP_PLANES + thread % UP_POINTS;
  let own = thread / UP_STEPS;
  let line = thread % UP_STEPS;
  let row = own * UP_PLANES + line * UP_STEPS;
  let corner = 2 * up_corner_of(group.x * UP_TILES + own);
  // A thread that multiplies has a product of each tile, and two vectors of outputs.
  let plane = thread % UP_PLANES;
  let pair = thread / UP_PLANES;
  let phase = min(vec2u(plane / UP_STEPS, plane % UP_STEPS), vec2u(UP_POINTS));
  let kernel = phase.x * POINTS + phase.y;
  let output = 4 * group.z + 2 * pair;
  let is_needed = output < layer.outputs;
  var a0 = vec4f(); var a1 = vec4f(); var a2 = vec4f(); var a3 = vec4f();
  var a4 = vec4f(); var a5 = vec4f(); var a6 = vec4f(); var a7 = vec4f();
  var b0 = vec4f(); var b1 = vec4f(); var b2 = vec4f(); var b3 = vec4f();
  var b4 = vec4f(); var b5 = vec4f(); var b6 = vec4f(); var b7 = vec4f();
  for (var input = 0u; input < layer.inputs; input++) {
    workgroupBarrier();
    if (thread < UP_TILES * UP_POINTS) { store_up_points(spread_up_column(input, column), to_column, UP_STEPS); }
    workgroupBarrier();
    if (thread < UP_TILES * UP_STEPS) {
      let d = load_up_points(row, 1);
      store_up_points(spread_up(d.p0, d.p1, d.p2, d.p3, d.p4), row, 1);
    }
    workgroupBarrier();
    if (is_needed) {
      let v = mat4x4f(kernel_points[(output * layer.inputs + input) * PLANES + kernel]);
      let w = mat4x4f(kernel_points[((output + 1) * layer.inputs + input) * PLANES + kernel]);
      let x0 = up_points[plane];
      let x1 = up_points[plane + UP_PLANES];
      let x2 = up_points[plane + 2 * UP_PLANES];
      let x3 = up_points[plane + 3 * UP_PLANES];
      let x4 = up_points[plane + 4 * UP_PLANES];
      let x5 = up_points[plane + 5 * UP_PLANES];
      let x6 = up_points[plane + 6 * UP_PLANES];
      let x7 = up_points[plane + 7 * UP_PLANES];
      a0 += v * x0; a1 += v * x1; a2 += v * x2; a3 += v * x3; a4 += v * x4; a5 += v * x5; a6 += v * x6; a7 += v * x7;
      b0 += w * x0; b1 += w * x1; b2 += w * x2; b3 += w * x3; b4 += w * x4; b5 += w * x5; b6 += w * x6; b7 += w * x7;
    }
  }
  for (var n = 0u; n < 4; n++) {
    if (4 * group.z + n >= layer.outputs) { break; }
    workgroupBarrier();
    if (pair == n / 2) {
      let second = n % 2 == 1;
      up_points[plane] = select(a0, b0, second);
      up_points[plane + UP_PLANES] = select(a1, b1, second);
      up_points[plane + 2 * UP_PLANES] = select(a2, b2, second);
      up_points[plane + 3 * UP_PLANES] = select(a3, b3, second);
      up_points[plane + 4 * UP_PLANES] = select(a4, b4, second);
      up_points[plane + 5 * UP_PLANES] = select(a5, b5, second);
      up_points[plane + 6 * UP_PLANES] = select(a6, b6, second);
      up_points[plane + 7 * UP_PLANES] = select(a7, b7, second);
    }
    workgroupBarrier();
    if (thread < UP_TILES * UP_STEPS) {
      let at = own * UP_PLANES + line;
      var results = gather_up(load_up_points(at, UP_STEPS));
      for (var i = 0u; i < 8; i++) { up_points[at + i * UP_STEPS] = results[i]; }
    }
    workgroupBarrier();
    if (thread < UP_TILES * UP_STEPS && line < 8) {
      var results = gather_up(load_up_points(row, 1));
      for (var i = 0u; i < 8; i++) { store_wide(results[i], 4 * group.z + n, corner + vec2u(i, line)); }
    }
  }
}
