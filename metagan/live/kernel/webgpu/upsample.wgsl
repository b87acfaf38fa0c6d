// Upsampling 3x3 convolutions: a transposed convolution of stride 2, then the filter [1, 3, 3, 1] along both axes.
//
// y[2r + i][2c + j] += w[i][j] x[r][c]: input (r, c) and its neighbours above and to the left make the 2x2 pixels at
// (2r, 2c). A thread makes those of two inputs, of 4 channels.

// y[2 height + 1][2 width + 1] = demodulated(transposed conv3x3(s * x))
@compute @workgroup_size(64)
fn convolve_transposed(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3u) {
  let shape = vec2u(layer.across, layer.down);
  let place = place_of(thread, group, 1u);
  let size = vec2u(2 * shape.x + 1, shape.y + 1);
  let places = places_in_plane(thread, vec2i(group.xy * vec2u(2, 1) * shape) - 1, size);
  let above = place.block.y * size.x + 2 * place.block.x;
  let here = above + size.x;
  // Sums of the first input's 2x2 pixels, and of the second's.
  var a0 = vec4f(); var a1 = vec4f(); var a2 = vec4f(); var a3 = vec4f();
  var b0 = vec4f(); var b1 = vec4f(); var b2 = vec4f(); var b3 = vec4f();
  for (var input = 0u; input < layer.inputs; input++) {
    fill_tile(thread, input, places);
    let first = (place.output * layer.inputs + input) * 9;
    let u0 = tile[above];
    let u1 = tile[above + 1];
    let u2 = tile[above + 2];
    let x0 = tile[here];
    let x1 = tile[here + 1];
    let x2 = tile[here + 2];
    let w0 = kernels[first];
    let w1 = kernels[first + 1];
    let w2 = kernels[first + 2];
    let w3 = kernels[first + 3];
    let w4 = kernels[first + 4];
    let w5 = kernels[first + 5];
    let w6 = kernels[first + 6];
    let w7 = kernels[first + 7];
    let w8 = kernels[first + 8];
    a0 += vec4f(w0 * x1 + w2 * x0 + w6 * u1 + w8 * u0);
    b0 += vec4f(w0 * x2 + w2 * x1 + w6 * u2 + w8 * u1);
    a1 += vec4f(w1 * x1 + w7 * u1);
    b1 += vec4f(w1 * x2 + w7 * u2);
    a2 += vec4f(w3 * x1 + w5 * x0);
    b2 += vec4f(w3 * x2 + w5 * x1);
    a3 += vec4f(w4 * x1);
    b3 += vec4f(w4 * x2);
  }
  if (place.output >= layer.outputs) { return; }
  for (var n = 0u; n < 4; n++) {
    let pixel = 2 * vec2u(2, 1) * (group.xy * shape + place.block) + vec2u(n % 2, n / 2);
    store_wide(nth(n, a0, a1, a2, a3), place.output, pixel);
    store_wide(nth(n, b0, b1, b2, b3), place.output, pixel + vec2u(2, 0));
  }
}

fn wide_size() -> vec2u { return 2 * layer.before + 1; }

fn store_wide(v: vec4f, output: u32, pixel: vec2u) {
  let size = wide_size();
  if (any(pixel >= size)) { return; }
  y[output * pixels(size) + pixel.y * size.x + pixel.x] = Feature(demodulated(v, output));
}

// Pixel n takes pixels n - 1 to n + 2 of the transposed convolution, x here. The filter's factor, 1/16, belongs to gain.
@compute @workgroup_size(8, 8)
fn filter_wide(@builtin(global_invocation_id) id: vec3u) {
  if (any(id.xy >= layer.size)) { return; }
  let size = wide_size();
  var sum = vec4f();
  for (var row = 0; row < 4; row++) {
    for (var column = 0; column < 4; column++) {
      let p = vec2i(id.xy) + vec2i(column, row) - 1;
      if (!is_inside(p, size)) { continue; }
      let factor = select(1.0, 3.0, row == 1 || row == 2) * select(1.0, 3.0, column == 1 || column == 2);
      sum += factor * vec4f(x[id.z * pixels(size) + u32(p.y) * size.x + u32(p.x)]);
    }
  }
  finish(sum, id.z, id.xy);
}
