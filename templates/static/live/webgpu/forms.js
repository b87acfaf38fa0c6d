// Which form a convolution takes: the one that the visitor's GPU computes faster, measured once for each shape.

const FORMS = ["direct", "winograd"];
const ENOUGH_MS = 4; // of repeated runs, for clocks that tell tenths of a millisecond
const MOST_RUNS = 64;
const ROUNDS = 3; // in which forms are timed in turns
const PATIENCE_MS = 100; // of runs, after which no further round begins

export class Forms {
  #adapter;
  #known;
  #tell;
  #budget;
  #quietly;

  /**
   * @param {{adapter?: string, known?: Record<string, string>, tell?: (known: object) => void, budget?: {ms: number},
   *   quietly?: (run: () => Promise<any>) => Promise<any>}} options adapter: its name; known: what was found before, on any adapter;
   *   tell: is told all that is known when something is added to it; budget: how long may be measured, less what was spent;
   *   quietly: runs what is timed while nothing else is done.
   */
  constructor({ adapter = "", known = {}, tell = () => {}, budget = { ms: Infinity }, quietly = (run) => run() } = {}) {
    this.#adapter = adapter;
    this.#known = { ...known };
    this.#tell = tell;
    this.#budget = budget;
    this.#quietly = quietly;
  }

  /**
   * The name of the fastest form of a convolution of this shape. `make` makes the steps to be timed, {name: step}. Once the budget is
   * spent, and where a form can't be had, it is the direct one; the next page asks again.
   */
  async choose(gpu, shape, make) {
    const key = `${this.#adapter} ${shape}`;
    if (FORMS.includes(this.#known[key])) return this.#known[key];
    if (this.#budget.ms <= 0) return FORMS[0];
    try {
      this.#known[key] = await gpu.safely(async () => this.#fastest(gpu, await make()));
    } catch {
      return FORMS[0]; // no memory for its kernels
    }
    this.#tell(this.#known);
    return this.#known[key];
  }

  async #fastest(gpu, steps) {
    const times = await this.#quietly(async () => {
      const start = performance.now();
      const found = await timesOf(gpu, steps);
      this.#budget.ms -= performance.now() - start;
      return found;
    });
    return Object.keys(times).reduce((best, name) => (times[name] < times[best] ? name : best));
  }
}

/**
 * Milliseconds that each of some steps {name: step} takes, by the fastest of a few rounds. No round begins after runs of `patience`
 * milliseconds.
 */
export async function timesOf(gpu, steps, patience = PATIENCE_MS) {
  const names = Object.keys(steps);
  let spent = 0;
  const time = async (name, runs) => {
    const taken = await gpu.time(steps[name], runs);
    spent += taken;
    return taken;
  };
  for (const name of names) await time(name, 1); // the first run takes longer
  let runs = 1;
  if (spent < PATIENCE_MS) {
    while (runs < MOST_RUNS && (await time(names[0], runs)) < ENOUGH_MS) runs *= 2;
  }
  const times = Object.fromEntries(names.map((name) => [name, Infinity]));
  for (let round = 0; round < ROUNDS && (round === 0 || spent < patience); round++) {
    for (const name of names) times[name] = Math.min(times[name], (await time(name, runs)) / runs);
  }
  return times;
}
