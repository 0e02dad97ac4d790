/** From the latent to the sums that become weights. Integers in doubles: exact below 2^53. */

import { philoxWords, signOf, signWords } from "./philox.js";

/** Words of the order that are made at a time: bounds the memory. */
const FEW_WORDS = 2 ** 18;

/**
 * The sums of all weights: exact where the latent is of integers.
 *
 * @param {import("./header.js").Header} header
 * @param {Float64Array} latent
 * @returns {Float64Array}
 */
export function project(header, latent) {
  const { seed, weightCount, levels, shapes } = header;
  if (header.projection === "hadamard") return hadamard(seed, latent, weightCount);
  const sums = new Float64Array(weightCount);
  let start = 0;
  shapes.forEach(([rows, columns], layer) => {
    const end = start + 2 ** levels * rows * columns;
    dense(seed, layer, latent, sums.subarray(start, end));
    start = end;
  });
  return sums;
}

/**
 * @param {number} seed
 * @param {number} layer
 * @param {Float64Array} latent
 * @param {Float64Array} sums Filled.
 */
function dense(seed, layer, latent, sums) {
  const n = latent.length;
  let total = 0;
  for (const value of latent) total += value;
  // So many weights at a time, of as many whole blocks of words.
  const few = 128 * Math.max(1, Math.floor(FEW_WORDS / (4 * n)));
  for (let first = 0; first < sums.length; first += few) {
    const count = Math.min(few, sums.length - first);
    const words = new Uint32Array(Math.ceil((count * n) / 32));
    philoxWords(words, seed, layer, 3, (first * n) / 32);
    for (let p = 0, bit = 0; p < count; p++) {
      // What is subtracted is summed; the rest follows from the total.
      let minus = 0;
      for (let j = 0; j < n; j++, bit++) {
        if ((words[bit >>> 5] >>> (bit & 31)) & 1) minus += latent[j];
      }
      sums[first + p] = total - 2 * minus;
    }
  }
}

/**
 * @param {number} seed
 * @param {Float64Array} latent
 * @param {number} count
 * @returns {Float64Array}
 */
function hadamard(seed, latent, count) {
  const n = latent.length;
  let size = 1;
  while (size < n) size *= 2;
  const blocks = Math.ceil(count / size);
  const signsIn = signWords(blocks * size, seed, 0, 0);
  const signsOut = signWords(blocks * size, seed, 0, 2);
  const sums = new Float64Array(count);
  const u = new Float64Array(size);
  const keys = new Float64Array(size);
  // Words come four at a time: small blocks share a run of them.
  const few = Math.max(size, Math.min(1024, blocks * size));
  const words = new Uint32Array(few);
  for (let k = 0; k < blocks; k++) {
    const start = k * size;
    for (let j = 0; j < n; j++) u[j] = signOf(signsIn, start + j) * latent[j];
    u.fill(0, n);
    walsh(u);
    if (start % few === 0) philoxWords(words, seed, 0, 1, start);
    // A word and its place in one number: 52 bits.
    for (let j = 0; j < size; j++) keys[j] = words[(start % few) + j] * size + j;
    keys.sort();
    const end = Math.min(size, count - start);
    for (let i = 0; i < end; i++) {
      // Of integers, which have one 0.
      sums[start + i] = signOf(signsOut, start + i) * u[keys[i] % size] + 0;
    }
  }
  return sums;
}

/**
 * The Walsh-Hadamard transform in natural order, in place.
 *
 * @param {Float64Array} u
 */
function walsh(u) {
  for (let half = 1; half < u.length; half *= 2) {
    for (let start = 0; start < u.length; start += 2 * half) {
      for (let j = start; j < start + half; j++) {
        const [a, b] = [u[j], u[j + half]];
        u[j] = a + b;
        u[j + half] = a - b;
      }
    }
  }
}
