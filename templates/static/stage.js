// Shows a pick on the page. Whatever a template leaves out is passed over.

import { short, writePick } from "./address.js";
import { isSame } from "./album.js";
import { canvasOf } from "./canvas.js";
import { letGo, source } from "./shards.js";
import { mark } from "./studio.js";

const MOST = 8; // pictures at hand
const LATE = { late: true };

const all = (selector) => document.querySelectorAll(selector);

function fill(selector, text) {
  for (const element of all(selector)) element.textContent = text;
}

function point(slot, href) {
  for (const link of all(`a[data-slot="${slot}"]`)) link.href = href;
}

function filled(tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}

const lateAfter = (ms) => new Promise((resolve) => setTimeout(resolve, ms, LATE));

export class Stage {
  #images = new Map();
  #turn = 0;

  /**
   * `root` is the site's address, `draw(pick)` makes a live pick's picture: {pixels, width, height}, and `standIns(pick)`
   * gives picks, one after the other, to show in place of one whose picture doesn't come.
   */
  constructor(element, album, root, draw, standIns) {
    Object.assign(this, { element, album, root, draw, standIns });
    this.shown = null; // the pick that is in the frame
    this.owner = ""; // whose it is said to be
    this.wholes = new Set(); // subjects of whose shards the host sends no parts
    this.mat = element.querySelector("[data-mat]");
    this.frame = element.querySelector("[data-frame]");
  }

  /** The absolute address of a path on the site. */
  url(path) {
    return new URL(path, this.root).href;
  }

  /** What shows the picture now: an image, or the canvas of a live one. */
  get source() {
    return this.mat.querySelector("img, canvas");
  }

  /** Loads or makes a picture, so that it is there when it is wanted; the answer is what can be shown, or null. */
  async preload(pick, patience_ms) {
    return (await this.#sure(pick, patience_ms))?.pick ?? null;
  }

  /**
   * A picture that is whole: the pick's, or what stands in for it, {pick, element}; null if there is none at all.
   * A prepared picture that isn't there after the patience is waited for only if nothing stands in for it.
   */
  async #sure(pick, patience_ms) {
    const loading = this.#ready(pick);
    const first = await (pick.live ? loading : Promise.race([loading, lateAfter(patience_ms)]));
    if (first.whole) return { pick, element: first.element };
    for await (const other of this.standIns(pick)) {
      const { element, whole } = await this.#ready(other);
      if (whole) return { pick: other, element };
    }
    const last = await loading;
    return last.whole ? { pick, element: last.element } : null;
  }

  /** A pick's element and whether its picture is whole, once it is there. */
  #ready(pick) {
    const name = this.album.permalink(pick);
    if (!this.#images.has(name)) {
      const ready = pick.live ? this.#made(pick) : this.#loaded(pick);
      this.#images.set(name, ready);
      ready.then(({ whole }) => whole || this.#images.delete(name)); // it is tried again when it is wanted again
      if (this.#images.size > MOST) this.#letGo(this.#images.keys().next().value);
    }
    return this.#images.get(name);
  }

  /** Forgets a picture; a canvas gives its memory back at once, before anybody looks for garbage. */
  async #letGo(name) {
    const ready = this.#images.get(name);
    this.#images.delete(name);
    const { element } = await ready;
    if (element === this.source) return;
    if (element instanceof HTMLCanvasElement) element.width = element.height = 0;
    else letGo(element);
  }

  async #loaded(pick) {
    const image = new Image(pick.subject.width, pick.subject.height);
    image.alt = this.album.alt(pick);
    try {
      await source(image, this.album, pick, (path) => this.url(path));
      await image.decode();
    } catch (error) {
      if (error.name === "WholeError") this.wholes.add(pick.subject);
      return { element: image, whole: false };
    }
    return { element: image, whole: true };
  }

  async #made(pick) {
    const picture = await this.draw(pick).catch(() => null);
    const canvas = picture ? canvasOf(picture) : document.createElement("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", this.album.alt(pick));
    return { element: canvas, whole: picture !== null };
  }

  /**
   * Shows a pick when its picture is ready, or another whose picture is; the answer is what is shown now, and null if
   * another pick was asked for meanwhile. What stood there before stays when there is nothing to show.
   */
  async show(pick, owner = "", { quietly = false, patience_ms } = {}) {
    const turn = ++this.#turn;
    this.element.setAttribute("aria-busy", "true");
    const sure = await this.#sure(pick, patience_ms);
    if (turn !== this.#turn) return null;
    this.element.removeAttribute("aria-busy");
    if (!sure) {
      if (!this.shown) this.#tell(pick, owner, turn);
      this.say(this.wholes.has(pick.subject) ? "whole" : "broken");
      return this.shown ?? pick;
    }
    this.shown = sure.pick;
    this.owner = isSame(pick, this.shown) ? owner : "";
    this.#frame(this.shown, sure.element, quietly);
    this.#tell(this.shown, this.owner, turn, sure.element);
    this.say(isSame(pick, this.shown) || !this.wholes.has(pick.subject) ? "" : "whole");
    if (!quietly) fill("[data-announce]", this.album.alt(this.shown));
    mark("first-picture");
    if (this.shown.live) mark("first-live-picture");
    return this.shown;
  }

  #tell(pick, owner, turn, element = null) {
    this.#words(pick, owner);
    this.#links(pick, element);
    this.#line(pick, turn);
  }

  #frame(pick, element, quietly) {
    const { ratio, crisp } = pick.subject;
    this.frame.className = `frame ${ratio}${crisp ? " crisp" : ""}${quietly ? " quietly" : ""}`;
    this.mat.replaceChildren(element);
  }

  #words(pick, owner) {
    const { title, architecture, headline } = pick.subject;
    for (const heading of all("[data-headline]")) this.#announce(heading, pick.subject, owner);
    fill('[data-slot="title"]', title);
    fill('[data-text="seed"]', pick.mix ? `${pick.seed} + ${pick.mix.seed}` : pick.seed);
    fill('[data-text="psi"]', pick.live ? short(pick.psi) : pick.subject.psi);
    fill('[data-text="architecture"]', architecture);
    for (const slot of all('[data-slot="owner"]')) slot.textContent = owner ? `${owner}’s` : slot.dataset.default;
    for (const slot of all('[data-slot="line"]')) Object.assign(slot, { lang: headline.lang, dir: headline.dir });
    const heading = this.element.querySelector("h1");
    if (heading) document.title = heading.textContent.trim().replace(/\s+/g, " ");
  }

  /** The subject's headline, or with an owner's name that of names. */
  #announce(heading, { title, long, headline }, owner) {
    const words = { title: ["em", title], name: ["bdi", owner] };
    const parts = (owner ? headline.named : headline.text).split(/\{(title|name)\}/);
    const nodes = parts.map((part, i) => (i % 2 ? filled(...words[part]) : part));
    heading.replaceChildren(...nodes);
    heading.classList.toggle("long", long);
    Object.assign(heading, { lang: headline.lang, dir: headline.dir });
  }

  #links(pick, element) {
    const { slug } = pick.subject;
    point("permalink", this.url(this.album.permalink(pick)));
    point("subject", this.url(`${slug}/`));
    point("about", this.url(`${slug}/about/`));
    point("breed", this.url(`${slug}/breed/`));
    point("wall", this.url(`${slug}/wall/`));
    point("pair", this.url(`${slug}/${pick.live ? writePick(pick) : `?seed=${pick.seed}`}#pair`));
    const place = pick.live || pick.subject.single ? "" : `#/pictures/${pick.number}`;
    for (const button of all("[data-copy-api]")) button.dataset.api = this.url(`api/${slug}.json${place}`);
    if (pick.live) return; // saving.js makes the file when it is asked for
    const file = this.album.src(pick);
    point("download", file ? this.url(file) : (element?.src ?? ""));
    for (const link of all('a[data-slot="download"]')) link.download = this.album.fileName(pick);
  }

  /** The made-up line, which comes in a small file with its neighbours'. */
  async #line(pick, turn) {
    const text = pick.subject.lines && !pick.live ? await this.#fetchLine(pick) : "";
    if (turn === this.#turn) fill('[data-slot="line"]', text ?? "");
  }

  async #fetchLine({ subject, number }) {
    const { chunk } = this.album;
    const file = this.url(`api/${subject.slug}/lines/${Math.floor(number / chunk)}.json`);
    const lines = await fetch(file).then((answer) => (answer.ok ? answer.json() : []), () => []);
    return lines[number % chunk];
  }

  /** Shows one of the status line's own sentences, by name; "" clears it. */
  say(name, more = "") {
    for (const line of all("[data-status]")) {
      line.textContent = name ? [line.dataset[name], more].filter(Boolean).join(" ") : "";
    }
  }
}
