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
    if (!this.#steps.has(number)) this.#steps.set(number, this.#make((1 - Math.cos((Math.PI * number) / STEPS)) / 2));
    return this.#steps.get(number);
  }

  #make(t) {
    const { from, to } = this;
    return this.studio.paint(from.map((w, i) => w + t * (to[i] - w)));
  }

  /** All steps in their order, so many at a time. `go()` says whether it still makes sense. */
  async fill(atOnce, go) {
    for (let step = 0; step <= STEPS && go(); step += atOnce) {
      const some = Array.from({ length: Math.min(atOnce, STEPS + 1 - step) }, (_, i) => this.step(step + i));
      await Promise.all(some);
    }
  }
}

/** Plays a way on a canvas, there and back, for ever. */
export class Player {
  #way = null;
  #frame = 0;
  #playing = false;

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

  async play() {
    if (this.#playing) return;
    this.#playing = true;
    const way = this.#way;
    const go = () => this.#playing && way === this.#way;
    await way.studio.grow();
    const begin = performance.now();
    way.fill(way.studio.workers, go).then(() => go() && performance.measure("metagan:morph", { start: begin, detail: STEPS + 1 }));
    let due = 0;
    while (this.#playing && this.#way) {
      const picture = await this.#way.step(stepOf(this.#frame));
      due = Math.max(due + 1000 / FPS, (await tick()) - 2000 / FPS);
      while (performance.now() < due) await tick();
      if (!this.#playing) break;
      paint(this.canvas, picture);
      this.moved(this.#frame);
      this.#frame = (this.#frame + 1) % LOOP;
    }
    this.#playing = false;
  }
}

/** The next time that the browser paints; it waits while the page is hidden. */
const tick = () => new Promise((resolve) => requestAnimationFrame(resolve));
