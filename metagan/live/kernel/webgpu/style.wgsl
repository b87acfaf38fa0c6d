// Styles to what they multiply: every layer's inputs, s = A w + a, and its outputs, gain = scale (s^2 . sum(W^2) + 1e-8)^(-1/2)
// (Karras et al. 2020, arXiv:1912.04958, equation 3). Each workgroup sums one row of a matrix.

struct Row {
  start: u32,    // of its numbers in `matrix`
  source: u32,   // of what they are multiplied by, in `ws` or `modulated`
  count: u32,
  result: u32,   // its place in `modulated`
  shift: f32,    // a of this row; unused by `demodulate`
  scale: f32,    // unused by `modulate`
}

@group(0) @binding(0) var<storage, read> rows: array<Row>;
@group(0) @binding(1) var<storage, read> matrix: array<f32>;
@group(0) @binding(2) var<storage, read> ws: array<f32>;
@group(0) @binding(3) var<storage, read_write> modulated: array<f32>;

var<workgroup> parts: array<f32, 64>;

// The sum of all threads' parts, for the first thread.
fn sum_of(part: f32, thread: u32) -> f32 {
  parts[thread] = part;
  for (var half = 32u; half > 0; half /= 2) {
    workgroupBarrier();
    if (thread < half) { parts[thread] += parts[thread + half]; }
  }
  return parts[0];
}

@compute @workgroup_size(64)
fn modulate(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3u) {
  let row = rows[group.x];
  var part = 0.0;
  for (var i = thread; i < row.count; i += 64) { part += matrix[row.start + i] * ws[row.source + i]; }
  let sum = sum_of(part, thread);
  if (thread == 0) { modulated[row.result] = sum + row.shift; }
}

// A layer's s over the largest of them, so that s * x is at most x, which is what f16 holds. The gains make up for it.
@compute @workgroup_size(64)
fn normalize_styles(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3u) {
  let row = rows[group.x];
  var part = 1e-30;
  for (var i = thread; i < row.count; i += 64) { part = max(part, abs(modulated[row.result + i])); }
  parts[thread] = part;
  workgroupBarrier();
  var largest = part;
  for (var i = 0u; i < 64; i++) { largest = max(largest, parts[i]); }
  for (var i = thread; i < row.count; i += 64) { modulated[row.result + i] /= largest; }
}

@compute @workgroup_size(64)
fn demodulate(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3u) {
  let row = rows[group.x];
  var part = 0.0;
  for (var i = thread; i < row.count; i += 64) {
    let s = modulated[row.source + i];
    part += matrix[row.start + i] * s * s;
  }
  let sum = sum_of(part, thread);
  if (thread == 0) { modulated[row.result] = row.scale * inverseSqrt(sum + 1e-8); }
}
