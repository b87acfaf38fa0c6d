// Download, enlarged download, and the picture on the clipboard: as files that say what made them.

import { dialsText, short } from "./address.js";
import { cardOf } from "./card.js";
import { enlarged, fileOf } from "./canvas.js";
import { labelled } from "./png.js";

/** The packet that a pick's file carries. */
export function packetOf({ subject, seed, lineage, psi = Number(subject.psi) }) {
  const xmp = lineage ? subject.xmp.replace('metagan:seed="{seed}"', `metagan:lineage="${lineage.code}"`) : subject.xmp;
  return xmp.replaceAll("{seed}", String(seed)).replaceAll("{psi}", short(psi));
}

/** "ape-123456-psi-0.8", or "ape-lineage-0a1b2c3d" for what was bred. */
export function nameOfFile({ subject, seed, psi, live, mix, dials, lineage }) {
  const turned = dials ? `-dials-${dialsText(dials).replaceAll(":", "_").replaceAll(",", "-")}` : "";
  if (lineage) return `${subject.slug}-lineage-${lineage.checksum}${turned}`;
  const mixed = mix ? `-mix-${mix.seed}-${mix.from}` : "";
  return `${subject.slug}-${seed}${mixed}${turned}${live ? `-psi-${short(psi)}` : ""}`;
}

/** Hands the visitor a file. */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

async function pngOf(source, pick, factor) {
  return labelled(await fileOf(enlarged(source, factor), "image/png"), packetOf(pick));
}

/**
 * Wires the buttons. `current()` gives {pick, source, words}: what is shown, its canvas or image, and what a card says
 * of it; null while nothing is.
 */
export function bindSaving({ current, say }) {
  const attempt = (action, ...wish) => action(...wish).catch(() => say("unsaved"));
  const bind = (selector, action) => {
    for (const button of document.querySelectorAll(selector)) {
      button.hidden = false;
      button.addEventListener("click", () => {
        const shown = current();
        if (shown) attempt(action, shown, button);
      });
    }
  };
  for (const link of document.querySelectorAll('a[data-slot="download"]')) {
    link.addEventListener("click", async (event) => {
      const shown = current();
      if (shown && !shown.pick.live) return; // the prepared file
      event.preventDefault();
      if (!shown) return;
      attempt(async ({ pick, source }) => save(await pngOf(source, pick, 1), `${nameOfFile(pick)}.png`), shown);
    });
  }
  bind("[data-enlarged]", async ({ pick, source }) => {
    save(await pngOf(source, pick, 4), `${nameOfFile(pick)}-4x.png`);
  });
  bind("[data-card]", async ({ pick, source, words }, { dataset }) => {
    const canvas = cardOf(source, words, dataset.card);
    const file = await labelled(await fileOf(canvas, "image/png"), packetOf(pick));
    save(file, `${nameOfFile(pick)}-${dataset.card}.png`);
  });
  if (!navigator.clipboard?.write || typeof ClipboardItem !== "function") return;
  bind("[data-copy-picture]", async ({ pick, source }) => {
    try {
      // A promise, not a file: Safari forgets the click while it waits.
      await navigator.clipboard.write([new ClipboardItem({ "image/png": pngOf(source, pick, 1) })]);
      say("pictured");
    } catch {
      say("unpictured");
    }
  });
}
