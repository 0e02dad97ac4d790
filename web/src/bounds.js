/** Planes between which the logit stays over boxes of space: of each the cells that it touches. */

import { BAND } from "./cells.js";
import { CellBounds, PLANES } from "./cell_bounds.js";

/** By how much a box may miss a cell and still count as touching it. */
const TOUCHING = 2 ** -18;

/** Far above the share by which rounding puts a weighted mean of networks off. */
const ROUNDING = 2 ** -18;

/** Bounds of the logit over equal boxes that are aligned on a grid. */
export class LogitBounds {
  /**
   * @param {import("./networks.js").Networks} networks Made with bounds.
   * @param {import("./cells.js").Cell[]} cells
   * @param {import("./cell_bounds.js").BoxAxis[]} axes
   */
  constructor(networks, cells, axes) {
    this.cells = cells.map((cell, number) => new CellBounds(networks, cell, number, axes));
    const { mirrored } = networks.header;
    /** For each axis and cell: which of the boxes' intervals reach into the cell's. */
    this.touching = axes.map((axis, d) => cells.map((cell) => touches(axis, cell, d, mirrored[d])));
  }

  /**
   * Bound the logit from below and from above.
   *
   * @param {Int32Array} boxes Three indices into the axes' centres for each box.
   * @returns {Float64Array} For each box 8 numbers: p[0] + p[1:] . t below the logit, t in
   *   [-1, 1]^3 from the box's lowest corner to its highest, and the same below the negated logit.
   */
  planes(boxes) {
    const count = boxes.length / 3;
    const parts = this.cells.map((bounds, cell) => {
      const [x, y, z] = this.touching.map((axis) => axis[cell]);
      /** @type {number[]} */
      const found = [];
      for (let i = 0; i < count; i++) {
        if (x[boxes[3 * i]] && y[boxes[3 * i + 1]] && z[boxes[3 * i + 2]]) found.push(i);
      }
      const rows = Int32Array.from(found);
      const planes = new Float64Array(PLANES * rows.length);
      bounds.bound(boxes, rows, planes);
      return { rows, planes };
    });
    return parts.length === 1 ? parts[0].planes : planesOfMeans(parts, count);
  }
}

/**
 * @param {import("./cell_bounds.js").BoxAxis} axis
 * @param {import("./cells.js").Cell} cell
 * @param {number} d
 * @param {boolean} isMirrored
 * @returns {Uint8Array}
 */
function touches({ centres, halfSide }, cell, d, isMirrored) {
  const reach = (1 + BAND) * cell.half[d];
  // Beyond the whole box the outermost cells go on.
  const low = cell.lowest[d] ? -Infinity : cell.middle[d] - reach;
  const high = cell.highest[d] ? Infinity : cell.middle[d] + reach;
  return Uint8Array.from(centres, (at) => {
    let [lowest, highest] = [at - halfSide - TOUCHING, at + halfSide + TOUCHING];
    if (isMirrored) {
      const ends = [Math.abs(lowest), Math.abs(highest)];
      lowest = lowest < 0 && highest > 0 ? 0 : Math.min(...ends);
      highest = Math.max(...ends);
    }
    return Number(highest >= low && lowest <= high);
  });
}

/**
 * Planes below any weighted means of several networks' values, and of these negated.
 *
 * @param {{rows: Int32Array, planes: Float64Array}[]} parts Of each network, which boxes it bounds.
 * @param {number} count Of boxes.
 * @returns {Float64Array} Of a box of one network its planes. Level ones where all networks have
 *   one sign. Elsewhere the mean of the networks' planes, as far down as any comes below it.
 */
function planesOfMeans(parts, count) {
  const planes = new Float64Array(PLANES * count);
  const networks = new Uint8Array(count);
  const lowest = new Float64Array(2 * count).fill(Infinity);
  const largest = new Float64Array(count);
  forEachPlane(parts, (box, side, own, at) => {
    if (side === 0) networks[box]++;
    for (let i = 0; i < 4; i++) planes[PLANES * box + 4 * side + i] += own[at + i];
    const tilt = tiltOf(own, at);
    lowest[2 * box + side] = Math.min(lowest[2 * box + side], own[at] - tilt);
    largest[box] = Math.max(largest[box], Math.abs(own[at]) + tilt);
  });
  for (let i = 0; i < planes.length; i++) planes[i] /= networks[Math.floor(i / PLANES)];
  const drops = new Float64Array(2 * count).fill(Infinity);
  const apart = new Float64Array(4);
  forEachPlane(parts, (box, side, own, at) => {
    for (let i = 0; i < 4; i++) apart[i] = own[at + i] - planes[PLANES * box + 4 * side + i];
    drops[2 * box + side] = Math.min(drops[2 * box + side], apart[0] - tiltOf(apart, 0));
  });
  for (let box = 0; box < count; box++) {
    if (networks[box] === 1) continue;
    for (let side = 0; side < 2; side++) {
      const at = PLANES * box + 4 * side;
      if (lowest[2 * box + side] > 0) {
        planes.fill(0, at, at + 4);
        planes[at] = lowest[2 * box + side] * (1 - ROUNDING);
      } else {
        planes[at] += drops[2 * box + side] - largest[box] * ROUNDING;
      }
    }
  }
  return planes;
}

/**
 * @param {{rows: Int32Array, planes: Float64Array}[]} parts
 * @param {(box: number, side: number, own: Float64Array, at: number) => void} see
 */
function forEachPlane(parts, see) {
  for (const { rows, planes } of parts) {
    rows.forEach((box, i) => {
      see(box, 0, planes, PLANES * i);
      see(box, 1, planes, PLANES * i + 4);
    });
  }
}

/**
 * @param {Float64Array} planes
 * @param {number} at
 */
function tiltOf(planes, at) {
  return Math.abs(planes[at + 1]) + Math.abs(planes[at + 2]) + Math.abs(planes[at + 3]);
}
