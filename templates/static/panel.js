// What the page says of its generator, and the settings of live pictures: truncation, and the class.

import { short } from "./address.js";

const PATIENCE_MS = 400; // what is loaded sooner needs no word
const megabytes = (bytes) => (bytes / 1e6).toFixed(1);

export class Panel {
  #timer = 0;

  /** `load()` is to be called for a generator that waits to be asked for. */
  constructor(element, load) {
    this.note = element.querySelector("[data-live-note]");
    this.bar = element.querySelector("[data-live-progress]");
    this.again = element.querySelector("[data-live-load]");
    this.dial = element.querySelector("[data-dial]");
    this.psi = element.querySelector("[data-psi]");
    this.classes = element.querySelector("[data-classes]");
    this.more = element.querySelector("[data-live-more]");
    this.again?.addEventListener("click", load);
  }

  /** What is the matter with a studio, in one line. */
  tell(studio) {
    clearTimeout(this.#timer);
    const { state, subject } = studio;
    if (state === "loading") this.#timer = setTimeout(() => this.#say("loading", subject), PATIENCE_MS);
    else this.#say(state === "never" && subject.unfit ? "unfit" : state, subject);
    this.#reserve(this.dial, studio, studio.config?.mean !== false);
    this.#reserve(this.more, studio, true);
    if (this.again) this.again.hidden = !["saver", "failed"].includes(state);
    if (studio.ready) this.#offer(studio.config.c_dim);
  }

  /** While something may still come its place is kept, so that nothing jumps. */
  #reserve(part, studio, wanted) {
    if (!part) return;
    part.hidden = !studio.hopeful || !wanted;
    part.classList.toggle("waiting", !studio.ready);
  }

  #say(state, subject) {
    if (!this.note) return;
    const size = megabytes(subject.live?.size ?? 0);
    this.note.textContent = (this.note.dataset[state] ?? "").replace("{size}", size);
    if (this.bar) this.bar.hidden = state !== "loading";
  }

  progress(loaded, total) {
    if (this.bar && total) this.bar.value = loaded / total;
  }

  #offer(count) {
    if (!this.classes) return;
    const select = this.classes.querySelector("select");
    this.classes.hidden = !count;
    if (select.options.length === count) return;
    select.replaceChildren(...Array.from({ length: count }, (_, i) => new Option(i, i)));
  }

  /** Shows a pick's settings. */
  set({ psi, label }) {
    if (this.psi && document.activeElement !== this.psi) this.psi.value = psi;
    this.psi?.setAttribute("aria-valuetext", `psi ${short(psi)}`);
    const select = this.classes?.querySelector("select");
    if (select && label !== undefined) select.value = label;
  }

  /** Calls `change({psi})` or `change({label})` whenever one of them is moved. */
  bind(change) {
    this.psi?.addEventListener("input", () => change({ psi: Number(this.psi.value) }));
    const select = this.classes?.querySelector("select");
    select?.addEventListener("change", () => change({ label: Number(select.value) }));
  }
}
