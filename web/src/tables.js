/** The frequency tables of the entropy coder, packed by scripts/web_tables.py. */

import { fromBase64 } from "./bytes.js";
import { TABLES } from "./tables.data.js";

const ROWS = 64;
const COLUMNS = 129;
const LONGEST_RUN = 24;
const WHOLE_BITS = 28;

/** The tables of the families that have been asked for, 64 x 129 frequencies each. */
/** @type {Map<number, Int32Array>} */
const families = new Map();

/**
 * Rice codes whose parameter follows the numbers before.
 *
 * @param {Uint8Array} bytes
 * @returns {Int32Array}
 */
function unpack(bytes) {
  let position = 0;
  const bit = () => (bytes[position >> 3] >> (7 - (position++ & 7))) & 1;
  /** @param {number} count */
  const bits = (count) => {
    let value = 0;
    for (let i = 0; i < count; i++) value = 2 * value + bit();
    return value;
  };
  const numbers = new Int32Array(ROWS * COLUMNS);
  let above = new Int32Array(COLUMNS + 1);
  for (let row = 0; row < ROWS; row++) {
    const own = new Int32Array(COLUMNS + 1);
    for (let column = 0; column < COLUMNS; column++) {
      const before = column ? own[column - 1] : 0;
      const mean = (2 * before + above[column] + above[column + 1]) >> 2;
      const parameter = Math.max(0, 31 - Math.clz32(mean));
      let run = 0;
      while (run < LONGEST_RUN && bit()) run++;
      const folded = run < LONGEST_RUN ? (run << parameter) + bits(parameter) : bits(WHOLE_BITS);
      own[column] = folded;
      numbers[row * COLUMNS + column] = folded & 1 ? (folded + 1) / 2 : -folded / 2;
    }
    above = own;
  }
  return numbers;
}

/**
 * Undo the differences: three down the rows, two along them.
 *
 * @param {Int32Array} numbers
 */
function sumUp(numbers) {
  for (const step of [COLUMNS, COLUMNS, COLUMNS, 1, 1]) {
    for (let i = 0; i < numbers.length; i++) {
      const isFirst = step === 1 ? i % COLUMNS === 0 : i < COLUMNS;
      if (!isFirst) numbers[i] += numbers[i - step];
    }
  }
  return numbers;
}

/**
 * Cumulative frequencies of the 257 symbols of a row of a family's table.
 *
 * @param {number} family 2 to 5.
 * @param {number} row 0 to 63.
 * @returns {Int32Array} 258 numbers, from 0 to 2^24.
 */
export function cumulativeTable(family, row) {
  let frequencies = families.get(family);
  if (!frequencies) {
    frequencies = sumUp(unpack(fromBase64(TABLES[family - 2])));
    families.set(family, frequencies);
  }
  const first = row * COLUMNS;
  const cumulative = new Int32Array(258);
  for (let k = 0; k < 257; k++) {
    cumulative[k + 1] = cumulative[k] + frequencies[first + Math.abs(k - 128)];
  }
  return cumulative;
}
