// Two pictures of one generator: one becomes the other (morph), or lends it its finish (mix).

import { usualLabel } from "./address.js";
import { paint } from "./canvas.js";
import { saveLoop } from "./loop.js";
import { Player, STEPS, stepOf, Way } from "./morph.js";
import { packetOf, save } from "./saving.js";
import { anySeed } from "./studio.js";

const calm = matchMedia("(prefers-reduced-motion: reduce)");

/** Wires the section. `open(pick)` shows a pick large, `say(name)` tells something. */
export function bindPair(section, { open, say }) {
  return new Pair(section, open, say);
}

class Pair {
  #studio = null;
  #picks = {}; // one and two
  #way = null;
  #turn = 0;
  #seen = false; // in sight
  #paused = calm.matches; // by the visitor, or because nothing is to move by itself

  constructor(section, open, say) {
    Object.assign(this, { section, openLarge: open, say });
    this.find = (name) => section.querySelector(`[data-${name}]`);
    this.position = this.find("position");
    this.share = this.find("share-of");
    this.player = new Player(this.find("result"), (frame) => (this.position.value = stepOf(frame)));
    this.#bind();
    new IntersectionObserver((entries) => this.#see(entries.at(-1).isIntersecting)).observe(section);
    document.addEventListener("visibilitychange", () => this.#see(this.#seen));
  }

  get #morphs() {
    return this.find("mode-morph").getAttribute("aria-pressed") === "true";
  }

  /** The generator is there, and this picture is on the stage. */
  open(studio, pick) {
    this.section.hidden = false;
    this.stagePick = { ...pick, live: true, psi: pick.psi ?? studio.subject.live.psi };
    if (!pick.live) this.stagePick.label = usualLabel(studio.subject.live);
    if (this.#studio === studio) return;
    this.#studio = studio;
    this.share.max = studio.layers - 1;
    this.share.value = Math.floor(studio.layers / 2);
    this.#choose({ one: this.stagePick, two: this.#another() });
    if (location.hash === "#pair") this.section.scrollIntoView(); // it wasn't there yet when the page opened
  }

  #another() {
    const { psi, label } = this.stagePick;
    return { subject: this.#studio.subject, live: true, seed: anySeed(), psi, label };
  }

  #bind() {
    const on = (name, action) => this.find(name).addEventListener("click", action);
    on("take", () => this.#choose({ one: this.stagePick }));
    on("another", () => this.#choose({ two: this.#another() }));
    on("swap", () => this.#choose({ one: this.#picks.two, two: this.#picks.one }));
    on("play", () => this.#toggle());
    on("loop", () => this.#save());
    on("large", () => this.openLarge(this.#mix()));
    for (const mode of ["morph", "mix"]) on(`mode-${mode}`, () => this.#switch(mode));
    this.position.addEventListener("input", () => {
      this.#pause(true);
      this.#still();
    });
    this.share.addEventListener("input", () => this.#showMix());
  }

  /** Takes other pictures; nothing is made before the section is in sight. */
  #choose(picks) {
    Object.assign(this.#picks, picks);
    this.#way = null;
    if (this.#seen) this.#prepare();
  }

  #see(seen) {
    this.#seen = seen;
    if (!seen || document.hidden) this.player.pause();
    else if (this.#studio) this.#prepare();
  }

  async #prepare() {
    const turn = ++this.#turn;
    if (!this.#way) {
      const { one, two } = this.#picks;
      const [from, to] = await Promise.all([this.#studio.styles(one), this.#studio.styles(two)]);
      if (turn !== this.#turn) return;
      this.#way = this.player.way = new Way(this.#studio, from, to);
      this.#thumbnails().catch(() => this.#fail());
    }
    this.#show();
  }

  async #thumbnails() {
    const way = this.#way;
    for (const [name, step] of [["one", 0], ["two", STEPS]]) {
      const picture = await way.step(step);
      if (way === this.#way) paint(this.find(name), picture);
    }
  }

  #show() {
    if (!this.#morphs) this.#showMix();
    else if (this.#paused) this.#still();
    else this.player.play().catch(() => this.#fail());
    this.#label();
  }

  #still() {
    this.player.still(Number(this.position.value)).catch(() => this.#fail());
  }

  /** A picture could not be drawn; the next play begins anew. */
  #fail() {
    this.#way = null;
    this.#pause(true);
    this.say("broken");
  }

  #toggle() {
    this.#pause(!this.#paused);
    this.#prepare();
  }

  #pause(paused) {
    this.#paused = paused;
    if (paused) this.player.pause();
    this.#label();
  }

  #label() {
    const button = this.find("play");
    button.textContent = this.#paused ? button.dataset.paused : button.dataset.playing;
  }

  #switch(mode) {
    for (const one of ["morph", "mix"]) {
      this.find(`mode-${one}`).setAttribute("aria-pressed", String(one === mode));
      this.find(`${one}-controls`).hidden = one !== mode;
    }
    this.player.pause();
    this.#show();
  }

  /** How many layers are the first one's; the slider counts the second's. */
  get #coarse() {
    return this.#studio.layers - Number(this.share.value);
  }

  /** The coarse layers of the one, the fine of the other. */
  #mix() {
    return { ...this.#picks.one, number: undefined, mix: { seed: this.#picks.two.seed, from: this.#coarse } };
  }

  async #showMix() {
    if (!this.#way) return;
    const turn = ++this.#turn;
    const picture = await this.#studio.picture(this.#mix()); // as its address says it, in the settings of the first
    if (turn === this.#turn) paint(this.find("result"), picture);
  }

  async #save() {
    const button = this.find("loop");
    const { one, two } = this.#picks;
    const packet = packetOf({ ...one, seed: `${one.seed}-${two.seed}` });
    button.disabled = true;
    const words = button.textContent;
    try {
      const tell = (done) => (button.textContent = `${button.dataset.busy} ${Math.round(100 * done)}%`);
      const made = await saveLoop(this.#way, packet, tell);
      if (made) save(made.blob, `${one.subject.slug}-${one.seed}-${two.seed}.${made.extension}`);
      else this.say("unlooped");
    } catch {
      this.say("unsaved");
    } finally {
      Object.assign(button, { disabled: false, textContent: words });
    }
  }
}
