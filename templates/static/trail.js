// The pictures seen so far, with a place among them, as ← and → walk it.

const LIMIT = 500;

export class Trail {
  #picks = [];
  #place = -1;

  get current() {
    return this.#picks[this.#place] ?? null;
  }

  get canGoBack() {
    return this.#place > 0;
  }

  /** The pick after the current one, or null at the end. */
  get ahead() {
    return this.#picks[this.#place + 1] ?? null;
  }

  /** Puts a pick after the current one; what lay ahead is forgotten. */
  push(pick) {
    this.#picks = [...this.#picks.slice(0, this.#place + 1), pick].slice(-LIMIT);
    this.#place = this.#picks.length - 1;
  }

  /** Puts a pick in the current one's place. */
  replace(pick) {
    this.#picks[this.#place] = pick;
  }

  back() {
    this.#place = Math.max(0, this.#place - 1);
    return this.current;
  }

  forward() {
    this.#place = Math.min(this.#picks.length - 1, this.#place + 1);
    return this.current;
  }

  /** The picks before and at the current place, the last one last. */
  latest(count) {
    return this.#picks.slice(0, this.#place + 1).slice(-count);
  }
}
