// The contact sheet, which grows as one scrolls.

import { letGo, source } from "./shards.js";

const BATCH = 48;

function tile(album, url, pick) {
  const image = new Image(pick.subject.width, pick.subject.height);
  image.loading = "lazy";
  image.decoding = "async";
  image.alt = album.alt(pick);
  const link = document.createElement("a");
  link.href = url(album.permalink(pick));
  link.dataset.number = pick.number;
  link.append(image);
  const item = document.createElement("li");
  item.append(link);
  if (!album.src(pick)) {
    image.loading = "eager"; // what is read out of a shard is here already
    image.addEventListener("load", () => letGo(image), { once: true });
  }
  source(image, album, pick, url).catch(() => {
    item.hidden = true; // the sheet shows what there is
  });
  return item;
}

/**
 * Fills the section's list with the subject's pictures; a click on one calls `open(pick)`, or without that follows its
 * link. `url(path)` is the address of a path on the site. The answer ends the growth when it is called.
 */
export function fillGallery(section, { album, url, open = null }) {
  const list = section.querySelector("[data-tiles]");
  const subject = album.subjects[0];
  const count = album.seeds(subject).length;
  const end = document.createElement("div");
  list.after(end);

  const grow = () => {
    const from = list.children.length;
    const numbers = Array.from({ length: Math.min(BATCH, count - from) }, (_, i) => from + i);
    list.append(...numbers.map((number) => tile(album, url, album.at(subject, number))));
    if (list.children.length === count) observer.disconnect();
  };
  /** Without a network what isn't kept is hidden (absent.js); no use to ask for ever more. */
  const isDry = () => list.children.length > 0 && [...list.children].slice(-BATCH).every(({ hidden }) => hidden);
  const observer = new IntersectionObserver((entries) => {
    if (!entries.at(-1).isIntersecting) return; // a busy page gets several at once
    if (isDry()) observer.disconnect();
    else grow();
    // Looked at afresh, in case the end is still in sight.
    observer.unobserve(end);
    if (list.children.length < count && !isDry()) observer.observe(end);
  }, { rootMargin: "400px" });
  observer.observe(end);

  if (open) list.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    open(album.at(subject, Number(link.dataset.number)));
  });
  return () => {
    observer.disconnect();
    end.remove();
  };
}
