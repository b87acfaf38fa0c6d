// The search for a picture in a generator: metagan/lab/fit.py in the browser. Drawings are made by workers; what is computed here
// is spread over their answers, so that the page stays responsive.

const STEP = 0.05;
const PRIOR = 1e-4;
const MOST = 5;
const DAMPINGS = [0.1, 1, 10];
const [LEAST_DAMPING, FIRST_DAMPING, MOST_DAMPING] = [1e-5, 0.01, 1e3];
const STUCK = 30;
const TRIES = 2;
const ROUNDS = [[1, 3], [0, 5]]; // one style for all layers; then one a range
const PATIENCE_MS = 9000; // no round begins that would end later, but the first

const dot = (one, other) => {
  let sum = 0;
  for (let i = 0; i < one.length; i++) sum += one[i] * other[i];
  return sum;
};
const costOf = (apart, code) => dot(apart, apart) + PRIOR * dot(code, code);

/** How many rounds there are. */
export const rounds = ROUNDS.reduce((sum, [, count]) => sum + count, 0);

/** The distance of a drawing: mean squares at three scales, added up. */
export const distanceOf = (apart) => dot(apart, apart);

/** The peak signal-to-noise ratio of a drawing of so many numbers, at most 99. */
export const psnrOf = (apart, values) => {
  const finest = apart.subarray(0, values);
  return Math.min(99, 10 * Math.log10(4 / Math.max(dot(finest, finest), 1e-9)));
};

/** The nearest of some coordinates, each of one style for all layers. `ask({code, ranges})` gives a drawing's differences. */
export async function nearest(ask, codes) {
  const costs = await Promise.all(codes.map(async (code) => costOf(await ask({ code, ranges: 1 }), code)));
  return codes[costs.indexOf(Math.min(...costs))];
}

/**
 * Searches from coordinates of one style for all layers; the answer is those of one a range. `tell(code, ranges, done)` is called
 * after each round, and `signal` ends the search with what was found.
 */
export async function fit(given, start, ranges, { tell, signal }) {
  const began = performance.now();
  let drawings = 0;
  const ask = (wish) => {
    drawings++;
    return given(wish);
  };
  const isTimely = ({ length }) => {
    const past = performance.now() - began;
    return drawings <= 1 || past + ((length + DAMPINGS.length) * past) / drawings < PATIENCE_MS;
  };
  let place = { code: start, apart: await ask({ code: start, ranges: 1 }), ranges: 1 };
  let done = 0;
  for (const [asked, count] of ROUNDS) {
    const wanted = asked || ranges;
    if (wanted !== place.ranges) place = { ...place, code: repeated(place.code, wanted), ranges: wanted };
    place.damping = FIRST_DAMPING;
    for (let round = 0; round < count && !signal.aborted && isTimely(place.code); round++) {
      place = await better(ask, place, signal);
      tell(place.code, place.ranges, ++done);
    }
  }
  return place.code;
}

function repeated(code, ranges) {
  const all = new Float64Array(code.length * ranges);
  for (let range = 0; range < ranges; range++) all.set(code, range * code.length);
  return all;
}

/** A round of Levenberg and Marquardt: a better place, if there is one. */
async function better(ask, place, signal) {
  const { code, apart, ranges } = place;
  const [curvature, slope] = await slopesAt(ask, place);
  const mean = curvature.reduce((sum, row, i) => sum + row[i], 0) / code.length;
  const now = costOf(apart, code);
  let { damping } = place;
  for (let attempt = 0; attempt < TRIES && !signal.aborted; attempt++) {
    const found = await Promise.all(DAMPINGS.map(async (factor) => {
      const step = solved(curvature, slope, PRIOR + damping * factor * mean);
      const there = code.map((x, i) => Math.max(-MOST, Math.min(MOST, x - step[i])));
      const differences = await ask({ code: there, ranges });
      return { code: there, apart: differences, cost: costOf(differences, there), factor };
    }));
    const best = found.reduce((one, other) => (other.cost < one.cost ? other : one));
    if (best.cost < now) {
      damping = Math.max(LEAST_DAMPING, Math.min(MOST_DAMPING, damping * best.factor));
      return { code: best.code, apart: best.apart, ranges, damping };
    }
    damping = Math.min(damping * STUCK, MOST_DAMPING);
  }
  return { ...place, damping };
}

/** The products of all derivatives with each other and with the differences; a drawing a coordinate. */
async function slopesAt(ask, { code, apart, ranges }) {
  const columns = [];
  const curvature = Array.from(code, () => new Float64Array(code.length));
  const slope = new Float64Array(code.length);
  await Promise.all(Array.from(code, async (x, number) => {
    const moved = code.slice();
    moved[number] += STEP;
    const column = await ask({ code: moved, ranges });
    for (let i = 0; i < column.length; i++) column[i] = (column[i] - apart[i]) / STEP;
    slope[number] = dot(column, apart) + PRIOR * x;
    columns.push([number, column]);
    for (const [other, known] of columns) curvature[number][other] = curvature[other][number] = dot(column, known);
  }));
  return [curvature, slope];
}

/** Solves (matrix + damping) x = b by Cholesky's decomposition. */
function solved(matrix, b, damping) {
  const count = b.length;
  const lower = Array.from({ length: count }, () => new Float64Array(count));
  const x = Float64Array.from(b);
  for (let i = 0; i < count; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = matrix[i][j] + (i === j ? damping : 0);
      for (let k = 0; k < j; k++) sum -= lower[i][k] * lower[j][k];
      lower[i][j] = i === j ? Math.sqrt(Math.max(sum, 1e-12)) : sum / lower[j][j];
    }
    for (let k = 0; k < i; k++) x[i] -= lower[i][k] * x[k];
    x[i] /= lower[i][i];
  }
  for (let i = count - 1; i >= 0; i--) {
    for (let k = i + 1; k < count; k++) x[i] -= lower[k][i] * x[k];
    x[i] /= lower[i][i];
  }
  return x;
}
