// PNG files that say, for programs, that a machine made them: XMP in an iTXt chunk behind the header
// (PNG 3rd edition, sections 5.3 and 11.3.3.4; XMP part 3, section 1.1.5).

const HEADER_END = 33; // signature 8, IHDR 12 + 13
const KEYWORD = "XML:com.adobe.xmp";

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

/** CRC-32 (PNG, annex D). */
export function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = TABLE[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/** Length, type, data, checksum. */
function chunk(type, data) {
  const bytes = new Uint8Array(12 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  bytes.set(new TextEncoder().encode(type), 4);
  bytes.set(data, 8);
  view.setUint32(8 + data.length, crc32(bytes.subarray(4, 8 + data.length)));
  return bytes;
}

/** A PNG with an XMP packet put in. */
export async function labelled(png, packet) {
  // Keyword, 0, not compressed, method 0, no language, no translated keyword.
  const text = new TextEncoder().encode(`${KEYWORD}\0\0\0\0\0${packet}`);
  return new Blob([png.slice(0, HEADER_END), chunk("iTXt", text), png.slice(HEADER_END)], { type: "image/png" });
}
