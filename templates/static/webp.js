// Animated WebP from still ones (https://developers.google.com/speed/webp/docs/riff_container), with XMP.

const [ALPHA, XMP, ANIMATION] = [0x10, 0x04, 0x02];

function letters(bytes, at, text) {
  for (let i = 0; i < text.length; i++) bytes[at + i] = text.charCodeAt(i);
}

function chunk(name, data) {
  const bytes = new Uint8Array(8 + data.length + (data.length & 1));
  letters(bytes, 0, name);
  new DataView(bytes.buffer).setUint32(4, data.length, true);
  bytes.set(data, 8);
  return bytes;
}

/** Numbers of three bytes each, lowest first. */
const triples = (...numbers) => numbers.flatMap((n) => [n & 255, (n >> 8) & 255, (n >> 16) & 255]);

/** A still file's chunks that hold the picture itself, as they are. */
function* pictureChunks(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  for (let at = 12; at + 8 <= bytes.length; ) {
    const name = String.fromCharCode(...bytes.subarray(at, at + 4));
    const end = at + 8 + view.getUint32(at + 4, true);
    if (["VP8 ", "VP8L", "ALPH"].includes(name)) yield { name, bytes: bytes.subarray(at, end + (end & 1)) };
    at = end + (end & 1);
  }
}

function frame(still, { width, height, duration }) {
  const parts = [Uint8Array.from([...triples(0, 0, width - 1, height - 1, duration), 0x02]), ...still.map((one) => one.bytes)];
  const data = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    data.set(part, at);
    at += part.length;
  }
  return chunk("ANMF", data);
}

/**
 * An animation that loops for ever.
 *
 * @param {Uint8Array[]} stills WebP files of that size, in order; one may be there several times
 * @param {{width: number, height: number, duration: number, packet: string}} options pixels, milliseconds a frame, XMP
 */
export function animation(stills, { width, height, duration, packet }) {
  const known = new Map();
  for (const still of stills) if (!known.has(still)) known.set(still, [...pictureChunks(still)]);
  const alpha = [...known.values()].flat().some(({ name }) => name !== "VP8 ");
  const head = Uint8Array.from([ANIMATION | XMP | (alpha ? ALPHA : 0), 0, 0, 0, ...triples(width - 1, height - 1)]);
  const frames = stills.map((still) => frame(known.get(still), { width, height, duration }));
  const chunks = [chunk("VP8X", head), chunk("ANIM", new Uint8Array(6)), ...frames, chunk("XMP ", new TextEncoder().encode(packet))];
  const start = new Uint8Array(12);
  letters(start, 0, "RIFF");
  letters(start, 8, "WEBP");
  new DataView(start.buffer).setUint32(4, 4 + chunks.reduce((sum, one) => sum + one.length, 0), true);
  return new Blob([start, ...chunks], { type: "image/webp" });
}
