// Weights kept for the next visit, in Cache Storage. Where there is none (plain http, storage switched off) nothing is kept.

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
  return (await opened())?.match(url);
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
  await (await opened())?.delete(url);
}
