/** The occupancy field of a shape. */

import { makeCells, shareOf } from "./cells.js";
import { extract } from "./extraction.js";
import { LEAST_RESOLUTION, MOST_RESOLUTION } from "./limits.js";
import { Networks, encode } from "./networks.js";
import { Transform } from "./transform.js";

/** Points that a network is asked for at a time. */
const ROWS = 512;

/**
 * A closed mesh, its faces counterclockwise from outside.
 *
 * @typedef {object} Mesh
 * @property {Float32Array<ArrayBuffer>} positions 3 V numbers, in the shape's own units.
 * @property {Uint32Array<ArrayBuffer>} indices 3 F numbers.
 */

/** What is inside a shape, and what is not. */
export class Field {
  #header;
  #weights;
  #options;
  #transform;
  /** @type {Networks | null} */
  #networks = null;

  /**
   * @param {import("./header.js").Header} header
   * @param {import("./weights.js").Weights} weights
   * @param {number} bytes
   * @param {{limits: import("./limits.js").Limits, wasm: boolean}} options
   */
  constructor(header, weights, bytes, options) {
    this.#header = header;
    this.#weights = weights;
    this.#options = options;
    this.#transform = new Transform(header);
    /** The file's size. */
    this.bytes = bytes;
    /** Lowest and highest corner of the domain, in the shape's own units; beyond is outside. */
    this.bounds = this.#transform.boundsOf(header.halfSides);
  }

  /** The weights of the networks, float32: for each layer the cells' matrices and biases. */
  get weights() {
    return this.#weights;
  }

  /**
   * Logits of occupancy: positive inside, negative outside, -Infinity beyond the domain.
   *
   * @param {ArrayLike<number>} points 3 N numbers, in the shape's own units.
   * @returns {Float32Array<ArrayBuffer>} N numbers.
   */
  logits(points) {
    if (points.length % 3) {
      throw new RangeError(`points has ${points.length} numbers; it must be three for each point`);
    }
    const header = this.#header;
    const { halfSides, mirrored } = header;
    const count = points.length / 3;
    const folded = new Float64Array(points.length);
    const found = new Float32Array(count);
    for (let i = 0; i < count; i++) {
      this.#transform.toNormalised(points, 3 * i).forEach((x, axis) => {
        if (!(Math.abs(Math.fround(x)) <= halfSides[axis])) found[i] = -Infinity;
        folded[3 * i + axis] = mirrored[axis] ? Math.abs(x) : x;
      });
    }
    const sums = new Float64Array(count);
    const totals = new Float64Array(count);
    makeCells(header).forEach((cell, number) => {
      this.#addCell(cell, number, folded, found, sums, totals);
    });
    for (let i = 0; i < count; i++) if (found[i] === 0) found[i] = sums[i] / totals[i];
    return found;
  }

  /**
   * Whether points are inside.
   *
   * @param {ArrayLike<number>} points As of `logits`.
   * @returns {Uint8Array<ArrayBuffer>} N numbers, 1 inside and 0 outside.
   */
  occupancy(points) {
    return Uint8Array.from(this.logits(points), (logit) => (logit > 0 ? 1 : 0));
  }

  /**
   * Extract the surface.
   *
   * @param {number} [resolution] Cells along the domain's longest side, 8 to 1024.
   * @returns {Mesh}
   */
  toMesh(resolution = 128) {
    const isRight = resolution >= LEAST_RESOLUTION && resolution <= MOST_RESOLUTION;
    if (!Number.isInteger(resolution) || !isRight) {
      const range = `${LEAST_RESOLUTION} to ${MOST_RESOLUTION}`;
      throw new RangeError(`resolution is ${resolution}; it must be a whole number, ${range}`);
    }
    const { limits, wasm } = this.#options;
    return extract(this.#header, this.#weights, this.#transform, { resolution, limits, wasm });
  }

  /**
   * Add what a cell's network has at the points that it has a share of.
   *
   * @param {import("./cells.js").Cell} cell
   * @param {number} number
   * @param {Float64Array} folded
   * @param {Float32Array} beyond Not 0 where a point is beyond the domain.
   * @param {Float64Array} sums
   * @param {Float64Array} totals
   */
  #addCell(cell, number, folded, beyond, sums, totals) {
    this.#networks ??= new Networks(this.#header, this.#weights, ROWS, this.#options);
    /** @type {number[]} */
    const points = [];
    /** @type {number[]} */
    const shares = [];
    const evaluate = () => {
      const values = this.#evaluate(cell, number, folded, points);
      values.forEach((value, i) => {
        sums[points[i]] += shares[i] * value;
        totals[points[i]] += shares[i];
      });
      points.length = shares.length = 0;
    };
    for (let i = 0; i < beyond.length; i++) {
      if (beyond[i] !== 0) continue;
      let share = 1;
      for (let axis = 0; axis < 3; axis++) share *= shareOf(cell, axis, folded[3 * i + axis]);
      if (share === 0) continue;
      points.push(i);
      shares.push(share);
      if (points.length === ROWS) evaluate();
    }
    evaluate();
  }

  /**
   * @param {import("./cells.js").Cell} cell
   * @param {number} number
   * @param {Float64Array} folded
   * @param {number[]} points
   * @returns {number[]}
   */
  #evaluate(cell, number, folded, points) {
    const networks = /** @type {Networks} */ (this.#networks);
    const { heap } = networks.kernels;
    const { stride } = networks.layers[number][0];
    points.forEach((point, row) => {
      for (let axis = 0; axis < 3; axis++) {
        const u = (folded[3 * point + axis] - cell.middle[axis]) / cell.half[axis];
        encode(u, this.#header.octaves).forEach((feature, j) => {
          heap[networks.output + row * stride + 3 * j + axis] = feature;
        });
      }
    });
    const values = networks.forwardFeatures(number, points.length);
    return points.map((_, row) => heap[values + 4 * row]);
  }
}
