// Which of the site's pictures this browser has kept: those can be shown without a network.

const FILE = /pictures\/([^/]+)\/(?:\d+\/)?(\d+)\.\w+$/;
const PATIENCE_MS = 2500;

/** The subject and seed that a picture's address names: {slug, seed}, the seed as text; null for another address. */
export function pictureAt(url) {
  const [, slug, seed] = FILE.exec(new URL(url).pathname) ?? [];
  return seed ? { slug: decodeURIComponent(slug), seed } : null;
}

/** The kept pictures, as {url, slug, seed}; none where the browser keeps nothing. `root` is the site's address. */
export async function keptPictures(root) {
  try {
    const names = (await caches.keys()).filter((name) => name.startsWith(`metagan:${root.pathname}:`));
    const requests = await Promise.all(names.map(async (name) => (await caches.open(name)).keys()));
    return requests.flat().flatMap(({ url }) => (pictureAt(url) ? [{ url, ...pictureAt(url) }] : []));
  } catch {
    return []; // plain http, or storage is switched off
  }
}

/** Whether a page was kept. */
export async function isPageKept(url) {
  return Boolean(await globalThis.caches?.match(url, { ignoreVary: true }).catch(() => null));
}

/** Whether the server has a file and can be reached at this moment, past everything that was kept. */
export async function answers(url) {
  const options = { method: "HEAD", cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) };
  return fetch(url, options).then(({ ok }) => ok, () => false);
}

/** The same things in another order. */
export function shuffled(things) {
  return things.map((thing) => [Math.random(), thing]).sort(([a], [b]) => a - b).map(([, thing]) => thing);
}
