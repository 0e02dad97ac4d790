/** Images: the pixels that a file decodes to. */

import { makeCells, cutBox, wholeBox } from "./cells.js";
import { require } from "./errors.js";
import { checkCount } from "./limits.js";
import { Networks } from "./networks.js";

/** Columns, and rows, that are decoded at a time. */
const TILE = 256;
const ROWS = 1024;

/**
 * A rectangle of pixels: columns `left` to `right` - 1, rows `top` to `bottom` - 1.
 *
 * @typedef {{left: number, right: number, top: number, bottom: number}} Rectangle
 */

/**
 * What is shown: RGBA, as ImageData takes it.
 *
 * @typedef {object} DecodedImage
 * @property {number} width
 * @property {number} height
 * @property {Uint8ClampedArray<ArrayBuffer>} data
 */

/**
 * Evaluate all pixels.
 *
 * @param {import("./header.js").Header} header
 * @param {import("./weights.js").Weights} weights
 * @param {boolean} wasm
 * @returns {DecodedImage}
 */
export function decodePixels(header, weights, wasm) {
  const { wide, high } = header;
  const networks = new Networks(header, weights, ROWS, { tableRows: 2 * TILE + 1, wasm });
  const data = new Uint8ClampedArray(4 * wide * high);
  const cells = makeCells(header);
  cellRectangles(header).forEach(({ left, right, top, bottom }, cell) => {
    for (let y = top; y < bottom; y += TILE) {
      for (let x = left; x < right; x += TILE) {
        const ends = { right: Math.min(right, x + TILE), bottom: Math.min(bottom, y + TILE) };
        decodeTile(networks, cells[cell], cell, { left: x, top: y, ...ends }, data);
      }
    }
  });
  return { width: wide, height: high, data };
}

/**
 * The centre of a pixel along an axis.
 *
 * @param {import("./header.js").Header} header
 * @param {number} axis
 * @param {number} index
 */
function coordinate({ wide, high }, axis, index) {
  return (2 * index + 1 - (axis === 0 ? wide : high)) / Math.max(wide, high);
}

/**
 * The pixels of each cell: coordinates grow with the index, so that they are rectangles.
 *
 * @param {import("./header.js").Header} header
 * @returns {Rectangle[]}
 */
function cellRectangles(header) {
  const whole = { left: 0, right: header.wide, top: 0, bottom: header.high };
  const parts = [{ box: wholeBox(header), rectangle: whole }];
  header.cuts.forEach((cut, k) => {
    const { box, rectangle } = parts[k];
    const [axis] = cut;
    const { at, parts: boxes } = cutBox(box, cut);
    /** @type {["left" | "top", "right" | "bottom"]} */
    const [first, last] = axis === 0 ? ["left", "right"] : ["top", "bottom"];
    let [low, end] = [rectangle[first], rectangle[last]];
    while (low < end) {
      const middle = (low + end) >> 1;
      const isUpper = Math.fround(coordinate(header, axis, middle)) >= Math.fround(at);
      if (isUpper) end = middle;
      else low = middle + 1;
    }
    parts.push({ box: boxes[0], rectangle: { ...rectangle, [last]: low } });
    parts.push({ box: boxes[1], rectangle: { ...rectangle, [first]: low } });
  });
  return parts.slice(header.cuts.length).map(({ rectangle }) => rectangle);
}

/**
 * @param {Networks} networks
 * @param {import("./cells.js").Cell} cell
 * @param {number} number
 * @param {Rectangle} tile
 * @param {Uint8ClampedArray} data
 */
function decodeTile(networks, cell, number, { left, right, top, bottom }, data) {
  const { header, kernels } = networks;
  /** @param {number} axis @param {number} index */
  const place = (axis, index) =>
    (coordinate(header, axis, index) - cell.middle[axis]) / cell.half[axis];
  const columns = right - left;
  const [second, third] = header.channels === 3 ? [1, 2] : [0, 0];
  for (let x = left; x < right; x++) networks.fillRow(number, x - left, 0, place(0, x), true);
  for (let y = top; y < bottom; y++)
    networks.fillRow(number, columns + y - top, 1, place(1, y), false);
  // The third row is one of zeros.
  const nothing = 2 * TILE;
  const rowsAtOnce = Math.max(1, Math.floor(ROWS / columns));
  for (let y = top; y < bottom; y += rowsAtOnce) {
    const end = Math.min(bottom, y + rowsAtOnce);
    let at = networks.index;
    for (let row = columns + y - top; row < columns + end - top; row++) {
      for (let column = 0; column < columns; column++, at += 3) {
        kernels.ints[at] = column;
        kernels.ints[at + 1] = row;
        kernels.ints[at + 2] = nothing;
      }
    }
    let value = networks.forwardRows(number, columns * (end - y));
    for (let row = y; row < end; row++) {
      for (let pixel = 4 * (row * header.wide + left), i = 0; i < columns; i++) {
        // The array rounds to even and bounds; NaN becomes 0.
        data[pixel++] = 127.5 + 127.5 * kernels.heap[value];
        data[pixel++] = 127.5 + 127.5 * kernels.heap[value + second];
        data[pixel++] = 127.5 + 127.5 * kernels.heap[value + third];
        data[pixel++] = 255;
        value += 4;
      }
    }
  }
}

/**
 * @param {import("./header.js").Header} header
 * @param {import("./limits.js").Limits} limits
 */
export function checkPixels({ wide, high, weightCount, levels }, limits) {
  const message = `the image has ${wide} x ${high} pixels; the limit is ${limits.pixels}`;
  require(wide * high <= limits.pixels, message);
  const work = (wide * high * weightCount) / 2 ** levels;
  checkCount("the image takes {} multiplications", work, limits.imageWork);
}
