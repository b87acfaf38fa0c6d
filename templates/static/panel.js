// What the page says of its generator, and the settings of live pictures: truncation, and the class or the label's numbers.

import { short } from "./address.js";
import { DialPanel } from "./dials.js";

const PATIENCE_MS = 400; // what is loaded sooner needs no word
const megabytes = (bytes) => (bytes / 1e6).toFixed(bytes < 10e6 ? 1 : 0);

export class Panel {
  #timer = 0;
  #change = null;

  /** `load()` is to be called for a generator that waits to be asked for, `stop()` for a large one that is not wanted any more. */
  constructor(element, load, stop) {
    this.note = element.querySelector("[data-live-note]");
    this.bar = element.querySelector("[data-live-progress]");
    this.again = element.querySelector("[data-live-load]");
    this.end = element.querySelector("[data-live-stop]");
    this.dial = element.querySelector("[data-dial]");
    this.psi = element.querySelector("[data-psi]");
    this.classes = element.querySelector("[data-classes]");
    this.numbers = element.querySelector("[data-numbers]");
    const turned = element.querySelector("[data-turn]");
    this.turned = turned && new DialPanel(turned);
    this.more = element.querySelector("[data-live-more]");
    this.plays = document.querySelectorAll("[data-live-play]");
    this.names = document.querySelector("[data-names-how]");
    this.namesLive = this.names?.textContent;
    this.again?.addEventListener("click", load);
    this.end?.addEventListener("click", stop);
  }

  /** What is the matter with a studio, in one line. */
  tell(studio) {
    clearTimeout(this.#timer);
    const { state, subject } = studio;
    if (state === "loading") this.#timer = setTimeout(() => this.#say("loading", subject), PATIENCE_MS);
    else this.#say(state === "never" && subject.unfit ? "unfit" : state, subject);
    this.#reserve(this.dial, studio, studio.config?.mean !== false);
    this.#reserve(this.more, studio, true);
    this.#reserve(this.turned?.section, studio, !studio.ready || studio.turns);
    for (const play of this.plays) play.hidden = !studio.hopeful;
    if (this.names) this.names.textContent = studio.hopeful ? this.namesLive : this.names.dataset.prepared;
    this.#ask(studio);
    if (studio.ready) this.#offer(subject.live);
  }

  /** The buttons: one that says how much a large generator's download is, and one to stop it. */
  #ask({ state, asks, subject: { live } }) {
    if (this.end) this.end.hidden = state !== "loading" || !live.large;
    if (!this.again) return;
    this.again.hidden = !asks && state !== "failed";
    const { small, large } = this.again.dataset;
    this.again.textContent = live?.large ? large.replace("{size}", megabytes(live.size)) : small;
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

  #offer({ classes, names = [], ranges = [] }) {
    if (this.classes) {
      const select = this.classes.querySelector("select");
      this.classes.hidden = !classes;
      if (select.options.length !== classes) {
        select.replaceChildren(...Array.from({ length: classes }, (_, i) => new Option(names[i] ?? i, i)));
      }
    }
    if (!this.numbers) return;
    this.numbers.hidden = !ranges.length;
    if (this.#sliders.length === ranges.length) return;
    this.numbers.replaceChildren(...ranges.map((range, i) => slider(names[i] ?? `Label ${i + 1}`, range, i)));
    for (const input of this.#sliders) input.addEventListener("input", () => this.#change?.({ label: this.#label() }));
  }

  get #sliders() {
    return [...(this.numbers?.querySelectorAll("input") ?? [])];
  }

  #label() {
    return this.#sliders.map((input) => Number(input.value));
  }

  /** Shows a pick's settings. */
  set({ psi, label, dials }) {
    this.turned?.set(dials);
    if (this.psi && document.activeElement !== this.psi) this.psi.value = psi;
    this.psi?.setAttribute("aria-valuetext", `psi ${short(psi)}`);
    if (Array.isArray(label)) this.#setNumbers(label);
    const select = this.classes?.querySelector("select");
    if (select && label !== undefined) select.value = label;
  }

  /** A number beyond a slider's range, from an address, widens it. */
  #setNumbers(label) {
    this.#sliders.forEach((input, i) => {
      if (document.activeElement !== input) {
        input.min = Math.min(input.min, label[i]);
        input.max = Math.max(input.max, label[i]);
        input.value = label[i];
      }
      input.nextElementSibling.value = short(label[i]);
    });
  }

  /** Calls `change({psi})`, `change({label})` or `change({dials})` whenever one is moved; `settle()` when dials rest. */
  bind(change, settle) {
    this.#change = change;
    this.turned?.bind((dials) => change({ dials }), settle);
    this.psi?.addEventListener("input", () => change({ psi: Number(this.psi.value) }));
    const select = this.classes?.querySelector("select");
    select?.addEventListener("change", () => change({ label: Number(select.value) }));
  }
}

/** A slider for one of a label's numbers, with its name and its value. */
function slider(name, [least, most], index) {
  const line = document.createElement("div");
  line.className = "dial";
  const id = `label-${index}`;
  const text = Object.assign(document.createElement("label"), { htmlFor: id, textContent: name });
  const input = Object.assign(document.createElement("input"), { id, type: "range", step: "any", min: least, max: most });
  const value = document.createElement("output");
  value.htmlFor.add(id);
  line.append(text, input, value);
  return line;
}
