import { require } from "./errors.js";

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  return crc;
});

/**
 * CRC-32 as zlib has it.
 *
 * @param {Uint8Array} bytes
 * @returns {number}
 */
export function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ CRC_TABLE[(crc ^ byte) & 255];
  return ~crc >>> 0;
}

/** Reads a header's fields one after the other; little-endian. */
export class Reader {
  /**
   * @param {Uint8Array} bytes
   * @param {number} position Of the first field.
   */
  constructor(bytes, position) {
    this.bytes = bytes;
    this.position = position;
  }

  /**
   * @param {number} count
   * @returns {Uint8Array} A copy of the next bytes.
   */
  take(count) {
    require(this.position + count <= this.bytes.length, "the file ends within its header");
    this.position += count;
    return this.bytes.slice(this.position - count, this.position);
  }

  uint8() {
    return this.take(1)[0];
  }

  uint16() {
    const [low, high] = this.take(2);
    return low | (high << 8);
  }

  /** @param {number} count Bytes of a signed integer, 2 to 4. */
  integer(count) {
    let value = 0;
    this.take(count).forEach((byte, i) => (value |= byte << (8 * i)));
    const rest = 32 - 8 * count;
    return (value << rest) >> rest;
  }

  /**
   * A varint: seven bits a byte, lowest first, at most three bytes, none of them superfluous.
   *
   * @param {string} what Its name in messages.
   */
  varint(what) {
    let value = 0;
    for (let index = 0; index < 3; index++) {
      const byte = this.uint8();
      value |= (byte & 127) << (7 * index);
      if (byte < 128) {
        require(byte !== 0 || index === 0, `${what} has a superfluous byte`);
        return value;
      }
    }
    require(false, `${what} takes more than three bytes`);
    return value;
  }
}

/**
 * Bytes of base64 text.
 *
 * @param {string} text
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function fromBase64(text) {
  const characters = atob(text);
  const bytes = new Uint8Array(characters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = characters.charCodeAt(i);
  return bytes;
}
