// Which form a convolution takes: the one that the visitor's GPU computes faster, measured once for each shape.

const FORMS = ["direct", "winograd"];
const ENOUGH_MS = 4; // of repeated runs, for clocks that tell tenths of a millisecond
const MOST_RUNS = 64;
const ROUNDS = 3; // in which forms are timed in turns
const PATIENCE_MS = 100; // after which no further round begins
const BUDGET_MS = 10_000; // for measuring shapes in one visit to a page; after it, the others are direct

export class Forms {
  #adapter;
  #known;
  #tell;
  #spent = 0; // milliseconds

  /**
   * @param {{adapter?: string, known?: Record<string, string>, tell?: (known: object) => void}} options adapter: its name; known: what
   *   was found before, on any adapter; tell: is told all that is known when something is added to it.
   */
  constructor({ adapter = "", known = {}, tell = () => {} } = {}) {
    this.#adapter = adapter;
    this.#known = { ...known };
    this.#tell = tell;
  }

  /**
   * The name of the fastest form of a convolution of this shape. `make` makes the steps to be timed, {name: step}. On a GPU that is too
   * slow for all of them, the next page measures more.
   */
  async choose(gpu, shape, make) {
    const key = `${this.#adapter} ${shape}`;
    if (FORMS.includes(this.#known[key])) return this.#known[key];
    if (this.#spent > BUDGET_MS) return FORMS[0];
    const start = performance.now();
    this.#known[key] = await fastest(gpu, await make());
    this.#spent += performance.now() - start;
    this.#tell(this.#known);
    return this.#known[key];
  }
}

async function fastest(gpu, steps) {
  const times = await timesOf(gpu, steps);
  return Object.keys(times).reduce((best, name) => (times[name] < times[best] ? name : best));
}

/** Milliseconds that each of some steps {name: step} takes, by the fastest of a few rounds. No round begins after `patience`. */
export async function timesOf(gpu, steps, patience = PATIENCE_MS) {
  const names = Object.keys(steps);
  const start = performance.now();
  for (const name of names) await gpu.time(steps[name], 1); // the first run takes longer
  let runs = 1;
  if (performance.now() - start < PATIENCE_MS) {
    while (runs < MOST_RUNS && (await gpu.time(steps[names[0]], runs)) < ENOUGH_MS) runs *= 2;
  }
  const times = Object.fromEntries(names.map((name) => [name, Infinity]));
  for (let round = 0; round < ROUNDS && (round === 0 || performance.now() - start < patience); round++) {
    for (const name of names) times[name] = Math.min(times[name], (await gpu.time(steps[name], runs)) / runs);
  }
  return times;
}
