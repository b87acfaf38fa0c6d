// The clipboard and the system's share sheet, with a way for browsers and origins that lack them.

/** Copies a text; the answer is whether that worked. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text);
  }
}

/** For pages without https, where there is no navigator.clipboard. */
function copyBySelection(text) {
  const before = document.activeElement;
  const field = document.createElement("textarea");
  field.value = text;
  field.readOnly = true;
  field.className = "unseen";
  document.body.append(field);
  field.select();
  try {
    return document.execCommand("copy");
  } catch {
    return false;
  } finally {
    field.remove();
    before?.focus({ preventScroll: true });
  }
}

/** Shares a page; the answer is "shared", "copied", "cancelled" or "failed". */
export async function share(title, url) {
  if (navigator.share) {
    try {
      await navigator.share({ title, url });
      return "shared";
    } catch (error) {
      if (error.name === "AbortError") return "cancelled";
    }
  }
  return (await copy(url)) ? "copied" : "failed";
}

/** Wires the share and copy buttons. `say(name, more)` tells what came of it, `link()` gives the address. */
export function bindSharing({ link, say }) {
  const tell = (outcome, text) => outcome !== "cancelled" && say(outcome, outcome === "failed" ? text : "");
  for (const button of document.querySelectorAll("[data-share]")) {
    button.hidden = false;
    button.addEventListener("click", async () => tell(await share(document.title, link()), link()));
  }
  for (const button of document.querySelectorAll("[data-copy-api]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const url = new URL(button.dataset.api, document.baseURI).href;
      tell((await copy(url)) ? "copied" : "failed", url);
    });
  }
}
