// Registers the service worker, which keeps the site for the next visit and for times without a network.

/** Once the page has loaded, so that nothing waits for it. `root` is the site's own address. */
export function keepOffline(root) {
  if (!("serviceWorker" in navigator) || navigator.connection?.saveData) return;
  const register = () => {
    // updateViaCache: looking for a new build asks the server no oftener than the host lets files be kept.
    navigator.serviceWorker.register(new URL("sw.js", root), { updateViaCache: "all" }).catch(() => {});
  };
  if (document.readyState === "complete") register();
  else window.addEventListener("load", register, { once: true });
}
