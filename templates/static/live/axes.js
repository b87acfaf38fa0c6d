// The axes of a generator's styles, on which projected pictures are written. metagan/lab/axes.py describes them, and computes the
// same in Python.

const SAMPLES = 256;
const ROUNDS = 2;
export const UNITS = 24; // of a style's deviation along an axis
const MOST_UNITS = 127;

/** Axes {centre, vectors, count, width}: a mean style [width] and vectors [count * width], each as long as the deviation. */
export function findAxes(generator, count, label) {
  const width = generator.styleWidth;
  if (count > width) throw new RangeError(`${count} axes of styles of ${width}`);
  const apart = Array.from({ length: SAMPLES }, (_, seed) => Float64Array.from(generator.styleOfSeed(seed, label)));
  const centre = new Float64Array(width);
  for (const row of apart) row.forEach((w, i) => (centre[i] += w / SAMPLES));
  for (const row of apart) row.forEach((w, i) => (row[i] = w - centre[i]));
  let axes = perpendicular(apart.slice(0, count));
  for (let round = 0; round < ROUNDS; round++) axes = perpendicular(axes.map((axis) => spread(axis, apart)));
  const vectors = new Float32Array(count * width);
  axes.forEach((axis, number) => {
    const deviation = Math.sqrt(apart.reduce((sum, row) => sum + dot(axis, row) ** 2, 0) / SAMPLES);
    axis.forEach((x, i) => (vectors[number * width + i] = deviation * x));
  });
  return { centre: Float32Array.from(centre), vectors, count, width };
}

function dot(one, other) {
  let sum = 0;
  for (let i = 0; i < one.length; i++) sum += one[i] * other[i];
  return sum;
}

/** The covariance's product with an axis. */
function spread(axis, apart) {
  const sum = new Float64Array(axis.length);
  for (const row of apart) {
    const share = dot(axis, row);
    for (let i = 0; i < sum.length; i++) sum[i] += share * row[i];
  }
  return sum;
}

/** Makes rows perpendicular to all before them, twice for precision, and one long. */
function perpendicular(rows) {
  const done = [];
  for (const given of rows) {
    const row = given.slice();
    for (let pass = 0; pass < 2; pass++) {
      for (const other of done) {
        const share = dot(row, other);
        for (let i = 0; i < row.length; i++) row[i] -= share * other[i];
      }
    }
    const length = Math.sqrt(dot(row, row));
    done.push(row.map((x) => x / length));
  }
  return done;
}

/** The layer after the last one of each range. */
const endsOf = (layers, ranges) => Array.from({ length: ranges }, (_, i) => Math.floor((layers * (i + 1)) / ranges));

/** Coordinates on the axes, [ranges * count], to a style for every layer. */
export function stylesOnAxes({ centre, vectors, count, width }, code, ranges, layers) {
  const ws = new Float32Array(layers * width);
  let layer = 0;
  endsOf(layers, ranges).forEach((end, range) => {
    const w = Float64Array.from(centre);
    for (let axis = 0; axis < count; axis++) {
      const by = code[range * count + axis];
      for (let i = 0; i < width; i++) w[i] += by * vectors[axis * width + i];
    }
    for (; layer < end; layer++) ws.set(w, layer * width);
  });
  return ws;
}

/** The coordinates of a style. */
export function codeOnAxes({ centre, vectors, count, width }, w) {
  return Float64Array.from({ length: count }, (_, axis) => {
    let [along, square] = [0, 0];
    for (let i = 0; i < width; i++) {
      const x = vectors[axis * width + i];
      along += (w[i] - centre[i]) * x;
      square += x * x;
    }
    return along / square;
  });
}

/** Coordinates as a projected picture's numbers, a row for each range. */
export function toNumbers(code, ranges) {
  const count = code.length / ranges;
  const round = (x) => Math.max(-MOST_UNITS, Math.min(MOST_UNITS, Math.round(UNITS * x)));
  return Array.from({ length: ranges }, (_, range) => Array.from(code.slice(range * count, (range + 1) * count), round));
}
