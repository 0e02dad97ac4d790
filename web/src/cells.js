/** The cells of a domain: boxes with a network each. */

import { require } from "./errors.js";

/** Shapes' cells are blended within so many half sides of their faces. */
export const BAND = 0.08;

/**
 * Two corners of a box.
 *
 * @typedef {{low: number[], high: number[]}} Box
 */

/**
 * The box that the cells divide.
 *
 * @param {import("./header.js").Header} header
 * @returns {Box}
 */
export function wholeBox({ halfSides, mirrored }) {
  return { low: halfSides.map((side, axis) => (mirrored[axis] ? 0 : -side)), high: halfSides };
}

/**
 * Cut a box in two.
 *
 * @param {Box} box
 * @param {[number, number]} cut
 * @returns {{at: number, parts: [Box, Box]}} Where it is cut, and its lower and upper part.
 */
export function cutBox({ low, high }, [axis, position]) {
  const at = low[axis] + (high[axis] - low[axis]) * (position / 64);
  const upperLow = low.slice();
  const lowerHigh = high.slice();
  upperLow[axis] = lowerHigh[axis] = at;
  return {
    at,
    parts: [
      { low, high: lowerHigh },
      { low: upperLow, high },
    ],
  };
}

/**
 * The boxes of all cells; without cuts the whole box.
 *
 * @param {import("./header.js").Header} header
 * @returns {Box[]}
 */
export function cellBoxes(header) {
  // Breadth first: the part that has waited longest is the next to be cut.
  const boxes = [wholeBox(header)];
  header.cuts.forEach((cut, k) => boxes.push(...cutBox(boxes[k], cut).parts));
  return boxes.slice(header.cuts.length);
}

/**
 * Refuse cells that float32 cannot tell from a plane.
 *
 * @param {import("./header.js").Header} header
 */
export function checkThickness(header) {
  for (const { low, high } of cellBoxes(header)) {
    const isThick = low.every((at, axis) => Math.fround(at) !== Math.fround(high[axis]));
    require(isThick, "a cell is too thin");
  }
}

/**
 * One cell: where its network's coordinates are -1 and 1, and how far its weight reaches.
 *
 * @typedef {object} Cell
 * @property {number[]} middle
 * @property {number[]} half
 * @property {boolean[]} lowest For each axis whether its lower face is the whole box's.
 * @property {boolean[]} highest
 */

/**
 * The cells of a file. Without cuts the network sees the points themselves.
 *
 * @param {import("./header.js").Header} header
 * @returns {Cell[]}
 */
export function makeCells(header) {
  const { dims } = header;
  if (header.levels === 0) {
    /** @type {Cell} */
    const whole = { middle: [], half: [], lowest: [], highest: [] };
    for (let axis = 0; axis < dims; axis++) {
      whole.middle.push(0);
      whole.half.push(1);
      whole.lowest.push(true);
      whole.highest.push(true);
    }
    return [whole];
  }
  const whole = wholeBox(header);
  return cellBoxes(header).map(({ low, high }) => {
    const [l, h] = [low.map(Math.fround), high.map(Math.fround)];
    return {
      middle: l.map((at, axis) => Math.fround((at + h[axis]) / 2)),
      half: l.map((at, axis) => Math.fround((h[axis] - at) / 2)),
      lowest: low.map((at, axis) => at === whole.low[axis]),
      highest: high.map((at, axis) => at === whole.high[axis]),
    };
  });
}

/**
 * A cell's share along one axis: 1 within, 0 beyond the band about its face.
 *
 * @param {Cell} cell
 * @param {number} axis
 * @param {number} x Folded.
 * @returns {number}
 */
export function shareOf(cell, axis, x) {
  const u = (x - cell.middle[axis]) / cell.half[axis];
  if (u < 0 ? cell.lowest[axis] : cell.highest[axis]) return 1;
  return Math.min(1, Math.max(0, (1 + BAND - Math.abs(u)) / (2 * BAND)));
}
