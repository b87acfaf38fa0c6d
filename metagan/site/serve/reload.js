// Served by `metagan serve` only: reloads the page when the site was built anew, shows why it couldn't be.
"use strict";
(() => {
  const here = new URL(document.currentScript.src);
  const shown = here.search.slice(1);
  let stream = null;
  let box = null;

  function showError(text) {
    if (!box) {
      box = document.createElement("pre");
      box.setAttribute("role", "alert");
      Object.assign(box.style, {
        position: "fixed", inset: "auto 0 0 0", zIndex: "2147483647", margin: "0", padding: "1rem",
        maxHeight: "60vh", overflow: "auto", whiteSpace: "pre-wrap", font: "14px/1.5 monospace",
        color: "#fff", background: "#8b1a1a",
      });
      document.body.append(box);
    }
    box.textContent = `metagan could not rebuild the site; this is the last good one.\n\n${text}`;
  }

  function hear(event) {
    const news = JSON.parse(event.data);
    if (news.version !== shown) {
      location.reload();
    } else if (news.error) {
      showError(news.error);
    } else if (box) {
      box.remove();
      box = null;
    }
  }

  // A browser opens at most six connections to a host, so tabs in the background let go of theirs.
  function follow() {
    if (document.hidden) {
      stream?.close();
      stream = null;
    } else if (!stream) {
      stream = new EventSource(new URL("events", here.origin + here.pathname));
      stream.addEventListener("message", hear);
    }
  }

  document.addEventListener("visibilitychange", follow);
  addEventListener("pagehide", () => { stream?.close(); stream = null; });
  addEventListener("pageshow", follow);
  follow();
})();
