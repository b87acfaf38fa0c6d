// The way from one picture to another through the generator's styles, and its player.

import { paint } from "./canvas.js";

export const STEPS = 48; // from the one to the other; the loop goes there and back
export const FPS = 25;
const LOOP = 2 * STEPS;

/** The step that the loop's frame shows: 0, 1, ... STEPS, ... 1. */
export const stepOf = (frame) => (frame <= STEPS ? frame : LOOP - frame);

/** Every picture on the way, made when it is first wanted and kept as long as the way is. */
export class Way {
  #steps = new Map();

  constructor(studio, from, to) {
    Object.assign(this, { studio, from, to });
  }

  /** A step's picture; it sets out slowly and arrives slowly. */
  step(number) {
    if (!this.#steps.has(number)) {
      const made = this.#make((1 - Math.cos((Math.PI * number) / STEPS)) / 2);
      this.#steps.set(number, made);
      made.catch(() => this.#steps.delete(number)); // it is tried again when it is wanted again
    }
    return this.#steps.get(number);
  }

  #make(t) {
    const { from, to } = this;
    return this.studio.paint(from.map((w, i) => w + t * (to[i] - w)));
  }

  /** All steps in their order, so many at a time. `go()` says whether it still makes sense. */
  async fill(atOnce, go) {
    let next = 0;
    const lane = async () => {
      while (next <= STEPS && go()) await this.step(next++);
    };
    await Promise.all(Array.from({ length: atOnce }, lane));
  }
}

/** Plays a way on a canvas, there and back, for ever. */
export class Player {
  #way = null;
  #frame = 0;
  #playing = false;
  #turn = 0;

  /** `moved(frame)` hears which frame is shown, `LOOP` of them a round. */
  constructor(canvas, moved) {
    this.canvas = canvas;
    this.moved = moved;
  }

  get playing() {
    return this.#playing;
  }

  /** Takes another way, from its beginning. */
  set way(way) {
    this.#way = way;
    this.#frame = 0;
    if (this.#playing) this.#fill();
  }

  /** Has all steps made ahead of the play, by all workers at once. */
  async #fill() {
    const way = this.#way;
    const go = () => this.#playing && way === this.#way;
    const begin = performance.now();
    try {
      await way.fill(2 * way.studio.workers, go); // a worker that is done has the next one waiting
    } catch {
      return; // the play comes to that step too
    }
    if (go()) performance.measure("metagan:morph", { start: begin, detail: STEPS + 1 });
  }

  /** Shows one step. */
  async still(step) {
    this.#frame = step;
    const way = this.#way;
    const picture = await way.step(step);
    if (way === this.#way && this.#frame === step) paint(this.canvas, picture);
  }

  pause() {
    this.#playing = false;
  }

  /** Rejects, and plays no more, when a step can't be drawn. */
  async play() {
    if (this.#playing) return;
    this.#playing = true;
    const turn = ++this.#turn;
    const on = () => this.#playing && turn === this.#turn;
    try {
      await this.#run(on);
    } catch (error) {
      if (!on()) return;
      this.#playing = false;
      throw error;
    }
  }

  async #run(on) {
    await this.#way.studio.grow();
    if (on()) this.#fill();
    for (let due = 0; on(); this.#frame = (this.#frame + 1) % LOOP) {
      const picture = await this.#way.step(stepOf(this.#frame));
      due = Math.max(due + 1000 / FPS, (await tick()) - 2000 / FPS);
      while (performance.now() < due) await tick();
      if (!on()) break;
      paint(this.canvas, picture);
      this.moved(this.#frame);
    }
  }
}

/** The next time that the browser paints; it waits while the page is hidden. */
const tick = () => new Promise((resolve) => requestAnimationFrame(resolve));
