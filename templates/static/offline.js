// Registers the service worker, which keeps the site for the next visit and for times without a network.

const PATIENCE_MS = 24 * 60 * 60 * 1000;

/** Once the page has loaded, so that nothing waits for it. `root` is the site's own address. */
export function keepOffline(root) {
  if (!("serviceWorker" in navigator) || navigator.connection?.saveData) return;
  const register = async () => {
    try {
      // updateViaCache: looking for a new build asks the server no oftener than the host lets files be kept.
      const registration = await navigator.serviceWorker.register(new URL("sw.js", root), { updateViaCache: "all" });
      watch(registration, `metagan:stuck:${root.pathname}`);
    } catch {
      // A host that changes pages on their way, or a browser that keeps nothing: then nothing is kept.
    }
  };
  if (document.readyState === "complete") register();
  else window.addEventListener("load", register, { once: true });
}

/**
 * A new build that can't be had for a day, because its files never come as they were built, ends the old one's keeping.
 * `since` is the key of localStorage for when that began; other sites of this origin have their own.
 */
function watch(registration, since) {
  registration.addEventListener("updatefound", () => {
    const fresh = registration.installing;
    fresh?.addEventListener("statechange", () => {
      if (fresh.state === "activated") localStorage.removeItem(since);
      if (fresh.state !== "redundant" || registration.active === fresh) return;
      localStorage[since] ??= Date.now();
      if (Date.now() - localStorage[since] > PATIENCE_MS) registration.unregister();
    });
  });
}
