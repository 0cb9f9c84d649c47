/**
 * A UUID of version 7 (RFC 9562): the milliseconds since 1970, then 74 random bits; never a counter, which
 * repeats after a reload. Its time tells the server how old a repeated command is. Works without a secure
 * context.
 */
export function uuid7(now = Date.now()): string {
  const view = new DataView(crypto.getRandomValues(new Uint8Array(16)).buffer);
  view.setUint32(0, Math.floor(now / 2 ** 16));
  view.setUint16(4, now % 2 ** 16);
  view.setUint8(6, 0x70 | (view.getUint8(6) & 0x0f)); // the version
  view.setUint8(8, 0x80 | (view.getUint8(8) & 0x3f)); // the variant
  const hex = Array.from({ length: 16 }, (_, at) => view.getUint8(at).toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
