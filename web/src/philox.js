/** Philox4x32-10 (Salmon et al., SC 2011): all randomness that a file depends on. */

/**
 * The high word of a product of two 32-bit words.
 *
 * @param {number} a
 * @param {number} b
 */
function high(a, b) {
  const [aLow, aHigh, bLow, bHigh] = [a & 0xffff, a >>> 16, b & 0xffff, b >>> 16];
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const other = aLow * bHigh + (middle & 0xffff);
  // Of sums of 33 bits: division, since shifts keep 32.
  return aHigh * bHigh + Math.floor(middle / 65536) + Math.floor(other / 65536);
}

/**
 * Words first to first + words.length - 1 of the sequence (seed, layer, stream).
 *
 * @param {Uint32Array} words Filled.
 * @param {number} seed
 * @param {number} layer
 * @param {number} stream
 * @param {number} [first] A multiple of 4.
 * @returns {Uint32Array} `words`
 */
export function philoxWords(words, seed, layer, stream, first = 0) {
  for (let i = 0; i < words.length; i += 4) {
    const block = (first + i) / 4;
    let c0 = (block % 2 ** 32) | 0;
    let c1 = Math.floor(block / 2 ** 32);
    let c2 = layer;
    let c3 = stream;
    let k0 = seed;
    let k1 = 0;
    for (let round = 0; round < 10; round++) {
      const high0 = high(0xd2511f53, c0);
      const high1 = high(0xcd9e8d57, c2);
      const low0 = Math.imul(0xd2511f53, c0);
      c0 = high1 ^ c1 ^ k0;
      c1 = Math.imul(0xcd9e8d57, c2);
      c2 = high0 ^ c3 ^ k1;
      c3 = low0;
      k0 = (k0 + 0x9e3779b9) | 0;
      k1 = (k1 + 0xbb67ae85) | 0;
    }
    words[i] = c0;
    if (i + 1 < words.length) words[i + 1] = c1;
    if (i + 2 < words.length) words[i + 2] = c2;
    if (i + 3 < words.length) words[i + 3] = c3;
  }
  return words;
}

/**
 * The words that hold signs 0 to count - 1 of a sequence.
 *
 * @param {number} count
 * @param {number} seed
 * @param {number} layer
 * @param {number} stream
 */
export function signWords(count, seed, layer, stream) {
  return philoxWords(new Uint32Array(Math.ceil(count / 32)), seed, layer, stream);
}

/**
 * Sign i, +1 or -1.
 *
 * @param {Uint32Array} words
 * @param {number} i
 */
export function signOf(words, i) {
  return (words[i >>> 5] >>> (i & 31)) & 1 ? -1 : 1;
}
