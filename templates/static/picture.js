// A picture's own page: the links are there already; keys, swipes and sharing are added.
import { obstacle } from "./live/able.js";
import { bindKeys, bindSwipe } from "./controls.js";
import { bindSharing } from "./share.js";

const article = document.querySelector("[data-picture]");
const follow = (selector) => () => article.querySelector(selector)?.click();
const moves = { next: follow("a[data-next]"), back: follow("a[data-back]") };

bindKeys(moves);
bindSwipe(article.querySelector("[data-frame]"), moves);
bindSharing({
  link: () => location.origin + location.pathname,
  say(name, more) {
    const line = document.querySelector("[data-status]");
    line.textContent = [line.dataset[name], more].filter(Boolean).join(" ");
  },
});
const way = document.querySelector("[data-live-way]");
if (way) way.hidden = !["", "saver"].includes(obstacle());
new Image().src = article.dataset.preload;
