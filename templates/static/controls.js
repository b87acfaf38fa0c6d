// Keys, fingers, buttons.

const SWIPE_PX = 40;

/** Whether a key belongs to what has the focus rather than to the page. */
function isTaken(event) {
  const { target, key } = event;
  if (key === " " && target.matches("input[type=range]")) return false;
  if (target.closest("input, textarea, select, [contenteditable]")) return true;
  return key === " " && target.closest("button, summary") !== null;
}

/** → and Space go on, ← goes back. */
export function bindKeys({ next, back }) {
  const actions = { ArrowRight: next, " ": next, ArrowLeft: back };
  document.addEventListener("keydown", (event) => {
    const action = actions[event.key];
    const modified = event.ctrlKey || event.altKey || event.metaKey || event.shiftKey;
    if (!action || modified || event.defaultPrevented || isTaken(event)) return;
    event.preventDefault();
    if (!event.repeat) action();
  });
}

/** A finger drawn to the left goes on, to the right back. */
export function bindSwipe(element, { next, back }) {
  let start = null;
  element.addEventListener("pointerdown", (event) => {
    start = event.pointerType === "mouse" || !event.isPrimary ? null : event;
  });
  element.addEventListener("pointercancel", () => (start = null));
  element.addEventListener("pointerup", (event) => {
    if (!start || event.pointerId !== start.pointerId) return;
    const x = event.clientX - start.clientX;
    const y = event.clientY - start.clientY;
    start = null;
    if (Math.abs(x) < SWIPE_PX || Math.abs(x) < 1.5 * Math.abs(y)) return;
    (x < 0 ? next : back)();
  });
}

/** With JavaScript the link to the next picture is a button; null where a template has none. */
export function upgradeNext(element, next) {
  const link = element.querySelector("a[data-next]");
  if (!link) return null;
  const button = document.createElement("button");
  button.type = "button";
  button.className = link.className;
  button.dataset.next = "";
  button.append(...link.childNodes);
  button.addEventListener("click", next);
  link.replaceWith(button);
  return button;
}

/** The form that asks for a name. */
export function bindNames(open) {
  const section = document.querySelector("[data-names]");
  if (!section) return;
  section.hidden = false;
  section.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    const name = new FormData(event.target).get("name").trim();
    if (name) open(name);
  });
}
