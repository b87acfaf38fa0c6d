// Weights kept for the next visit, in Cache Storage. Where there is none (plain http, storage switched off) nothing is kept.

import { sha256 } from "../names.js";

const NAME = "metagan-models";

async function opened() {
  try {
    return await caches.open(NAME);
  } catch {
    return null;
  }
}

/** What was kept under this address, as an answer of the network; undefined if nothing was. */
export async function recall(url) {
  try {
    return await (await opened())?.match(url);
  } catch {
    return undefined; // storage is broken
  }
}

/** The addresses of everything that is kept. */
export async function keptAddresses() {
  const requests = await (await opened())?.keys();
  return new Set((requests ?? []).map(({ url }) => url));
}

export async function keep(url, blob) {
  try {
    await (await opened())?.put(url, new Response(blob));
  } catch {
    // The disk is full: it is downloaded again next time.
  }
}

export async function forget(url) {
  try {
    await (await opened())?.delete(url);
  } catch {
    // Storage is broken: what is kept there is not used.
  }
}

/** The bytes of a small file beside a generator's weights, from what was kept or from the network, held against their SHA-256. */
export async function loadChecked(url, want) {
  const known = await recall(url);
  if (known) {
    const bytes = await known.arrayBuffer();
    if ((await hashOf(bytes)) === want) return bytes;
    await forget(url);
  }
  let got = "";
  for (const cache of ["default", "reload"]) { // damaged on its way or in the browser's cache: once more, past that cache
    const answer = await fetch(url, { cache });
    if (!answer.ok) throw new Error(`${url}: the server answered ${answer.status}`);
    const blob = await answer.blob();
    const bytes = await blob.arrayBuffer();
    got = await hashOf(bytes);
    if (got !== want) continue;
    await keep(url, blob);
    return bytes;
  }
  throw new Error(`${url}: its SHA-256 is ${got}, want ${want}`);
}

/** The SHA-256 of bytes, in hex. */
export async function hashOf(bytes) {
  // Pages without https have no crypto.subtle.
  const digest = crypto.subtle ? await crypto.subtle.digest("SHA-256", bytes) : sha256(new Uint8Array(bytes));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
