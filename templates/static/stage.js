// Shows a pick on the page. Whatever a template leaves out is passed over.

const all = (selector) => document.querySelectorAll(selector);

function fill(selector, text) {
  for (const element of all(selector)) element.textContent = text;
}

function point(slot, href) {
  for (const link of all(`a[data-slot="${slot}"]`)) link.href = href;
}

export class Stage {
  #images = new Map();
  #turn = 0;

  constructor(element, album) {
    this.element = element;
    this.album = album;
    this.root = new URL(element.dataset.root || "./", document.baseURI);
    this.mat = element.querySelector("[data-mat]");
    this.frame = element.querySelector("[data-frame]");
  }

  /** The absolute address of a path on the site. */
  url(path) {
    return new URL(path, this.root).href;
  }

  /** Starts to load a picture, so that it is there when it is wanted. */
  preload(pick) {
    this.#image(pick).decode().catch(() => {});
  }

  #image(pick) {
    const src = this.url(this.album.src(pick));
    if (!this.#images.has(src)) {
      const image = new Image(pick.subject.width, pick.subject.height);
      image.alt = this.album.alt(pick);
      image.src = src;
      this.#images.set(src, image);
      if (this.#images.size > 8) this.#images.delete(this.#images.keys().next().value);
    }
    return this.#images.get(src);
  }

  /** Shows a pick when its picture is ready; the answer is false if another one was asked for meanwhile. */
  async show(pick, owner = "") {
    const turn = ++this.#turn;
    const image = this.#image(pick);
    this.element.setAttribute("aria-busy", "true");
    const whole = await image.decode().then(() => true, () => false);
    if (turn !== this.#turn) return false;
    this.element.removeAttribute("aria-busy");
    this.#frame(pick, image);
    this.#words(pick, owner);
    this.#links(pick);
    this.#line(pick, turn);
    if (!whole) this.#images.delete(image.src);
    this.say(whole ? "" : "broken");
    fill("[data-announce]", whole ? image.alt : "");
    return true;
  }

  #frame(pick, image) {
    const { ratio, crisp } = pick.subject;
    this.frame.className = `frame ${ratio}${crisp ? " crisp" : ""}`;
    this.mat.replaceChildren(image);
  }

  #words(pick, owner) {
    const { title, psi, architecture } = pick.subject;
    fill('[data-slot="title"]', title);
    fill('[data-text="seed"]', pick.seed);
    fill('[data-text="psi"]', psi);
    fill('[data-text="architecture"]', architecture);
    for (const slot of all('[data-slot="owner"]')) slot.textContent = owner || slot.dataset.default;
    const heading = this.element.querySelector("h1");
    if (heading) document.title = heading.textContent.trim().replace(/\s+/g, " ");
  }

  #links(pick) {
    const { slug } = pick.subject;
    point("permalink", this.url(this.album.permalink(pick)));
    point("subject", this.url(`${slug}/`));
    point("about", this.url(`${slug}/about/`));
    point("download", this.url(this.album.src(pick)));
    for (const link of all('a[data-slot="download"]')) link.download = this.album.fileName(pick);
    for (const button of all("[data-copy-api]")) {
      button.dataset.api = this.url(`api/${slug}.json#/pictures/${pick.number}`);
    }
  }

  /** The made-up line, which comes in a small file with its neighbours'. */
  async #line(pick, turn) {
    const text = pick.subject.lines ? await this.#fetchLine(pick) : "";
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
