// The screensaver, ?play: a new picture every 15 seconds, and nothing else on the page but its headline and line.

const PERIOD_MS = 15_000;
const IDLE_MS = 3000; // then the buttons and the pointer go

export class Slideshow {
  #next;
  #timer = 0;
  #idle = 0;
  #lock = null;

  /** `bar` holds the buttons, and `next()` brings another picture. */
  constructor(bar, next) {
    this.bar = bar;
    this.#next = next;
    this.isOn = false;
    this.isPaused = false;
    if (!bar) return;
    bar.querySelector("[data-show-pause]").addEventListener("click", () => this.pause(!this.isPaused));
    bar.querySelector("[data-show-end]").addEventListener("click", () => this.end());
    const large = bar.querySelector("[data-show-large]");
    large.hidden = !document.fullscreenEnabled;
    large.addEventListener("click", () => this.#fill());
    document.addEventListener("keydown", (event) => this.isOn && event.key === "Escape" && this.end());
    document.addEventListener("visibilitychange", () => this.isOn && this.#keepAwake());
    for (const moved of ["pointermove", "pointerdown", "keydown"]) document.addEventListener(moved, () => this.#stir());
    if (new URLSearchParams(location.search).has("play")) this.start();
  }

  start() {
    this.isOn = true;
    document.body.classList.add("playing");
    this.bar.hidden = false;
    this.pause(false);
    this.#stir();
    this.#keepAwake();
  }

  /** Back to the page as it is, with the picture that is shown. */
  end() {
    this.isOn = false;
    clearInterval(this.#timer);
    clearTimeout(this.#idle);
    document.body.classList.remove("playing", "idle");
    this.bar.hidden = true;
    if (document.fullscreenElement) document.exitFullscreen();
    this.#lock?.release();
    this.#lock = null;
    history.replaceState(history.state, "", location.pathname);
  }

  pause(isPaused) {
    this.isPaused = isPaused;
    const button = this.bar.querySelector("[data-show-pause]");
    button.textContent = isPaused ? button.dataset.paused : button.dataset.playing;
    clearInterval(this.#timer);
    if (!isPaused) this.#timer = setInterval(() => document.hidden || this.#next(), PERIOD_MS);
  }

  async #fill() {
    if (document.fullscreenElement) await document.exitFullscreen();
    else await document.documentElement.requestFullscreen().catch(() => {});
  }

  /** Screens stay on where the browser lets a page ask for that. */
  async #keepAwake() {
    if (document.hidden) return;
    this.#lock = (await navigator.wakeLock?.request("screen").catch(() => null)) ?? null;
  }

  #stir() {
    clearTimeout(this.#idle);
    document.body.classList.remove("idle");
    if (this.isOn) this.#idle = setTimeout(() => document.body.classList.add("idle"), IDLE_MS);
  }
}
