/** The entropy-coded values of a file. */

import { require } from "./errors.js";
import { cumulativeTable } from "./tables.js";

const TOTAL_BITS = 24n;
const WORD = 2n ** 32n;
const STATE_MASK = 2n ** 64n - 1n;
const LARGEST = 32767;

/** The range coder: 64-bit state, 32-bit words, 24-bit probabilities. */
export class RangeDecoder {
  /** @param {Uint8Array} stream */
  constructor(stream) {
    this.stream = stream;
    this.wordsRead = 0;
    this.lower = 0n;
    this.range = STATE_MASK;
    this.point = (this.nextWord() << 32n) | this.nextWord();
  }

  /** Four bytes, the most significant first; those missing at the end are 0. */
  nextWord() {
    const start = 4 * this.wordsRead++;
    const [a, b, c, d] = [0, 1, 2, 3].map((i) => this.stream[start + i] ?? 0);
    return BigInt(((a << 24) | (b << 16) | (c << 8) | d) >>> 0);
  }

  /** Where the next symbol lies among 2^24. */
  target() {
    const scale = this.range >> TOTAL_BITS;
    const target = ((this.point - this.lower) & STATE_MASK) / scale;
    require(target < 1n << TOTAL_BITS, "the stream is damaged");
    return Number(target);
  }

  /**
   * Pass over a symbol that has the frequencies from `start` to `end`.
   *
   * @param {number} start
   * @param {number} end
   */
  advance(start, end) {
    const scale = this.range >> TOTAL_BITS;
    this.lower = (this.lower + scale * BigInt(start)) & STATE_MASK;
    this.range = scale * BigInt(end - start);
    if (this.range >= WORD) return;
    this.lower = (this.lower << 32n) & STATE_MASK;
    this.range <<= 32n;
    this.point = ((this.point << 32n) | this.nextWord()) & STATE_MASK;
  }

  /**
   * @param {Int32Array} cumulative Frequencies, from 0 to 2^24.
   * @returns {number} The symbol.
   */
  symbol(cumulative) {
    const target = this.target();
    let low = 0;
    let high = cumulative.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (cumulative[middle] <= target) low = middle;
      else high = middle;
    }
    this.advance(cumulative[low], cumulative[low + 1]);
    return low;
  }

  /**
   * @param {number} count Of bits, 1 to 16; all their values have equal frequency.
   * @returns {number}
   */
  bits(count) {
    const shift = 24 - count;
    const value = this.target() >> shift;
    this.advance(value << shift, (value + 1) << shift);
    return value;
  }

  finish() {
    require(this.stream.length <= 4 * this.wordsRead, "there are bytes after the stream");
  }
}

/**
 * Decode the integers of a group under a family other than raw.
 *
 * @param {RangeDecoder} decoder
 * @param {number} family
 * @param {number} parameter
 * @param {Float64Array} values Filled.
 */
export function decodeGroup(decoder, family, parameter, values) {
  if (family >= 6) {
    const ends = [values.length - (values.length >> 1), values.length - (values.length >> 3)];
    const parts = [[0, ends[0]], ends, [ends[1], values.length]];
    parts.forEach(([start, end], part) => {
      const own = values.subarray(start, end);
      decodeGroup(decoder, family - 4, parameter + 8 * part, own);
      const factor = 4 >> part;
      for (let i = 0; i < own.length; i++) own[i] *= factor;
    });
  } else if (family === 1) {
    const half = 2 ** (parameter - 1);
    for (let i = 0; i < values.length; i++) values[i] = decoder.bits(parameter) - half;
  } else {
    decodeGaussians(decoder, family, parameter, values);
  }
  const isSmall = values.every((value) => Math.abs(value) <= LARGEST);
  require(isSmall, `a value is beyond ${LARGEST}`);
}

/**
 * Decode a group under a generalised Gaussian.
 *
 * @param {RangeDecoder} decoder
 * @param {number} family
 * @param {number} index Of the scale.
 * @param {Float64Array} values Filled.
 */
function decodeGaussians(decoder, family, index, values) {
  const shift = index < 64 ? 0 : (index - 56) >> 3;
  const table = cumulativeTable(family, index < 64 ? index : 56 + (index % 8));
  for (let i = 0; i < values.length; i++) values[i] = decoder.symbol(table) - 128;
  const low = new Int32Array(shift > 0 ? values.length : 0);
  for (let i = 0; i < low.length; i++) low[i] = decoder.bits(shift);
  for (let i = 0; i < values.length; i++) {
    if (Math.abs(values[i]) === 128) values[i] += Math.sign(values[i]) * decoder.bits(16);
    if (shift > 0) values[i] = values[i] * 2 ** shift + low[i] - 2 ** (shift - 1);
  }
}

/**
 * A group's values: integers, or float32 numbers where it is raw.
 *
 * @typedef {object} Values
 * @property {boolean} isRaw
 * @property {Float64Array} numbers
 */

/**
 * Decode latent and biases.
 *
 * @param {import("./header.js").Header} header
 * @param {Uint8Array} payload All between the header and the checksum.
 * @returns {{latent: Values, biases: Values}}
 */
export function decodeValues(header, payload) {
  let rest = payload;
  /** @type {[import("./header.js").Group, Values][]} */
  const groups = [];
  for (const [group, count] of /** @type {[import("./header.js").Group, number][]} */ ([
    [header.latent, header.n],
    [header.biases, header.biasCount],
  ])) {
    const isRaw = group.family === 0;
    require(!isRaw || rest.length >= 4 * count, "the raw values are cut short");
    const values = { isRaw, numbers: new Float64Array(count) };
    if (isRaw) {
      readRaw(rest, values.numbers);
      rest = rest.subarray(4 * count);
    }
    groups.push([group, values]);
  }
  const coded = groups.filter(([, values]) => !values.isRaw);
  if (coded.length) {
    const decoder = new RangeDecoder(rest);
    for (const [group, values] of coded) {
      decodeGroup(decoder, group.family, group.parameter, values.numbers);
    }
    decoder.finish();
  } else {
    require(rest.length === 0, "there are bytes after the raw values");
  }
  return { latent: groups[0][1], biases: groups[1][1] };
}

/**
 * @param {Uint8Array} bytes
 * @param {Float64Array} numbers Filled.
 */
function readRaw(bytes, numbers) {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  for (let i = 0; i < numbers.length; i++) numbers[i] = view.getFloat32(4 * i, true);
  require(numbers.every(Number.isFinite), "a raw value is not finite");
}
