// Saves each choice as it is made, and lets arrow keys walk over the sheet.
const form = document.querySelector("form");
const boxes = [...form.querySelectorAll("input[name=out]")];
const state = document.getElementById("state");
const count = document.getElementById("count");
let saving = Promise.resolve();

form.addEventListener("change", (event) => {
  count.textContent = Number(count.textContent) + (event.target.checked ? 1 : -1);
  const body = new URLSearchParams(new FormData(form));
  body.set("quiet", "1");
  // One after the other, so that the last choice is the one that is kept.
  saving = saving.then(() => fetch("/", { method: "POST", body }))
    .then((answer) => { state.textContent = answer.ok ? "Saved." : "Not saved: is metagan still running?"; })
    .catch(() => { state.textContent = "Not saved: is metagan still running?"; });
});

form.addEventListener("keydown", (event) => {
  const at = boxes.indexOf(document.activeElement);
  const top = boxes[0]?.getBoundingClientRect().top;
  const columns = Math.max(1, boxes.filter((box) => Math.abs(box.getBoundingClientRect().top - top) < 4).length);
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
  if (at < 0 || step === undefined) return;
  event.preventDefault();
  boxes[Math.min(Math.max(at + step, 0), boxes.length - 1)].focus();
});
boxes[0]?.focus();
