// Keeps the site for the next visit and for times without a network. One build, one cache: what is put into it has the
// hash that this build gave it, so that a visitor never gets one build's page with another build's script.

const BUILD = {{ offline | tojson }};
const SCOPE = new URL(self.registration.scope);
const FAMILY = `metagan:${SCOPE.pathname}:`;
const CACHE = FAMILY + BUILD.revision;
const MODELS = "metagan-models"; // filled by static/live/cache.js
const MOST_PICTURES = 60; // of those that were looked at, beside the ones that every visit keeps

const address = (path) => new URL(path, SCOPE).href;
const kept = new Set(BUILD.files.map(([path]) => address(path)));
const later = new Map(BUILD.later.map(([path, hash]) => [address(path), hash])); // kept once they are used
const always = new Set(BUILD.pictures.map(address));

self.addEventListener("install", (event) => event.waitUntil(fill()));
self.addEventListener("activate", (event) => event.waitUntil(takeOver()));

/** All or nothing: a build that is half published stays out, and the former one in. */
async function fill() {
  const cache = await caches.open(CACHE);
  try {
    await Promise.all(BUILD.files.map(async ([path, hash]) => cache.put(address(path), await verified(address(path), hash))));
  } catch (error) {
    await caches.delete(CACHE);
    throw error;
  }
  await Promise.allSettled(BUILD.pictures.map((path) => cache.add(asked(address(path)))));
  await self.skipWaiting();
}

/** A picture has the same address in every build: the browser's own cache may have a former one's, so the server is asked. */
const asked = (request) => new Request(request, { cache: "no-cache" });

/** The file of this very build; from the browser's own cache if that has it, else from the server. */
async function verified(url, integrity) {
  for (const cache of ["default", "reload"]) {
    const answer = await fetch(url, { integrity, cache }).catch(() => null);
    if (answer?.ok) return answer;
  }
  throw new TypeError(`${url} is not this build's`);
}

/** Pages that are open still find the former build's files; older builds and their generators go. */
async function takeOver() {
  const mine = (await caches.keys()).filter((name) => name.startsWith(FAMILY) && name !== CACHE);
  await Promise.all(mine.slice(0, -1).map((name) => caches.delete(name)));
  const models = await caches.open(MODELS);
  const folder = address("models/");
  const isWanted = (url) => BUILD.models.some((name) => url.startsWith(folder + name)); // the beginnings of hashes
  for (const { url } of await models.keys()) {
    if (url.startsWith(folder) && !isWanted(url)) await models.delete(url);
  }
  await self.clients.claim();
}

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || !url.href.startsWith(SCOPE.href)) return;
  const path = url.pathname.slice(SCOPE.pathname.length);
  if (request.mode === "navigate") event.respondWith(page(request, url));
  else if (url.searchParams.has("v")) event.respondWith(asset(request));
  else if (path.startsWith("pictures/")) event.respondWith(picture(request));
  else if (path.startsWith("api/")) event.respondWith(fresh(request));
});

async function page(request, { origin, pathname }) {
  const plain = origin + pathname;
  const cache = await caches.open(CACHE);
  if (kept.has(plain)) {
    const known = await cache.match(plain, { ignoreVary: true });
    if (known) return known;
  }
  return fresh(request, plain).catch(() => nearest(plain));
}

/** Without a network: a picture's or a wall's subject, whose page may draw what was asked for; else home. */
async function nearest(plain) {
  const [, subject, seed] = /^([^/]+\/)(?:(\d+)|[a-z]+)\/$/.exec(plain.slice(SCOPE.href.length)) ?? [];
  const cache = await caches.open(CACHE);
  const has = async (url) => url !== plain && (await cache.match(url, { ignoreVary: true }));
  if (subject && (await has(address(subject)))) {
    return Response.redirect(address(subject) + (seed ? `?seed=${seed}` : ""));
  }
  return (await has(SCOPE.href)) ? Response.redirect(SCOPE.href) : Response.error();
}

/** Keeps an answer where there is room; a full storage is no reason against the answer itself. */
const keep = (cache, name, answer) => cache.put(name, answer).catch(() => {});

/** Addresses with a revision never change what they mean. */
async function asset(request) {
  const known = await caches.match(request, { ignoreVary: true });
  const hash = later.get(request.url);
  if (known || !hash) return known ?? fetch(request);
  const answer = await verified(request.url, hash);
  await keep(await caches.open(CACHE), request.url, answer.clone());
  return answer;
}

/** The server's answer, or without a network the last one. */
async function fresh(request, name = request.url) {
  const cache = await caches.open(CACHE);
  try {
    const answer = await fetch(request);
    if (answer.ok) await keep(cache, name, answer.clone());
    return answer;
  } catch (error) {
    const known = await cache.match(name, { ignoreVary: true });
    if (known) return known;
    throw error;
  }
}

async function picture(request) {
  const cache = await caches.open(CACHE);
  const known = await cache.match(request, { ignoreVary: true });
  if (known) return known;
  const answer = await fetch(asked(request));
  // A hotel's network may answer everything with its own page.
  if (answer.ok && answer.headers.get("Content-Type")?.startsWith("image/")) {
    await keep(cache, request, answer.clone());
    const seen = (await cache.keys()).filter(({ url }) => url.startsWith(address("pictures/")) && !always.has(url));
    if (seen.length > MOST_PICTURES) await cache.delete(seen[0]);
  }
  return answer;
}
