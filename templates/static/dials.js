// The dials of a subject's page: a slider each, turned by mouse, finger or keys.

import { short } from "./address.js";

const FARTHEST = 3; // steps that a slider goes either way; an address may ask for more
const round = (steps) => Math.round(steps * 10) / 10;
const anyWhere = () => round((2 * Math.random() - 1) * FARTHEST);

export class DialPanel {
  #change = () => {};
  #settle = () => {};

  /** `section` holds the sliders, named, and the buttons. */
  constructor(section) {
    this.section = section;
    this.sliders = [...section.querySelectorAll("input")];
    for (const slider of this.sliders) this.#bind(slider);
    const button = (name, action) => section.querySelector(`[data-${name}]`).addEventListener("click", action);
    button("reset-dials", () => this.#turn(() => 0));
    button("shuffle-dials", () => this.#turn(anyWhere));
  }

  #bind(slider) {
    slider.addEventListener("input", () => this.#tell());
    slider.addEventListener("change", () => this.#settle());
    slider.addEventListener("dblclick", () => this.#turnOne(slider, anyWhere()));
    slider.addEventListener("keydown", (event) => {
      const steps = { r: anyWhere(), 0: 0 }[event.key];
      if (steps === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      this.#turnOne(slider, steps);
    });
  }

  /** The steps of each dial; undefined if none is turned. */
  get steps() {
    const steps = this.sliders.map((slider) => Number(slider.value));
    return steps.some(Boolean) ? steps : undefined;
  }

  #turnOne(slider, steps) {
    slider.value = steps;
    this.#tell();
    this.#settle();
  }

  #turn(choose) {
    for (const slider of this.sliders) slider.value = choose();
    this.#tell();
    this.#settle();
  }

  #tell() {
    for (const slider of this.sliders) this.#write(slider);
    this.#change(this.steps);
  }

  #write(slider) {
    const steps = Number(slider.value);
    const text = `${steps > 0 ? "+" : ""}${short(steps).replace("-", "−")}`;
    slider.nextElementSibling.value = text;
    slider.setAttribute("aria-valuetext", text);
  }

  /** Shows how a pick's dials are turned; more steps than a slider has widen it. */
  set(dials = []) {
    this.sliders.forEach((slider, i) => {
      if (document.activeElement === slider && Number(slider.value) === (dials[i] ?? 0)) return;
      const steps = dials[i] ?? 0;
      const most = Math.max(FARTHEST, Math.ceil(Math.abs(steps)));
      Object.assign(slider, { min: -most, max: most, step: Number.isInteger(steps * 10) ? 0.1 : "any" });
      slider.value = steps;
      this.#write(slider);
    });
  }

  /** Calls `change(steps)` while a dial is turned, and `settle()` when it is let go. */
  bind(change, settle) {
    this.#change = change;
    this.#settle = settle;
  }
}
