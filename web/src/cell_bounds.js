/**
 * Planes between which a cell's network keeps its logit over boxes of space.
 *
 * A forward pass carries every neuron as `centre + slopes . t + bends . (2 t^2 - 1) +- error`, t in
 * [-1, 1]^3 within the box, each of these terms as if it varied by itself (affine arithmetic: de
 * Figueiredo, Stolfi 2004; on neural fields: Sharp and Jacobson, "Spelunking the deep", SIGGRAPH
 * 2022). It gives each neuron's range, and so a line around its activation. A backward pass
 * substitutes these lines from the output down to the point (CROWN: Zhang et al., NeurIPS 2018).
 *
 * The planes hold for the network as it is evaluated, in floating point. An inner product of k
 * terms is off by at most (k + 1) u sum |w x|, in units u of rounding. With Z >= |W| |x| + |b| over
 * a chunk of boxes, 4 (k + 8) u Z is added to each neuron's error, k the larger side of W. It covers
 * the evaluation, and the roundings of both passes, of which sums in double precision have fewer.
 */

import { CURVES } from "./kernels.js";
import { bentEncoding, mirroredEncoding, sineLine } from "./relaxation.js";

/** Rounding unit of float32. */
const UNIT = 2 ** -24;

/** Whoever evaluates a plane in float32 adds four numbers. */
const PLANE_ROUNDING = 2 ** -20;

/** Added to biases, so that no radius is 0. */
const LEAST = 1e-30;

/** Numbers of the two planes of a box. */
export const PLANES = 8;

/**
 * One axis of the boxes: their centres along it, and half their sides.
 *
 * @typedef {{centres: Float64Array, halfSide: number}} BoxAxis
 */

/**
 * What the encoding and the first layer make of an axis' intervals, a row for each.
 *
 * @typedef {object} AxisTables
 * @property {Float64Array[]} features Slope, bend and error, (n, 1 + 2 L).
 * @property {Float32Array[]} layer Centre, slope, bend and error, (n, width).
 */

/** Bounds of the logit of one network over equal boxes that are aligned on a grid. */
export class CellBounds {
  /**
   * @param {import("./networks.js").Networks} networks Made with bounds.
   * @param {import("./cells.js").Cell} cell
   * @param {number} number The cell's, whose network is bounded also over boxes that lie elsewhere.
   * @param {BoxAxis[]} axes
   */
  constructor(networks, cell, number, axes) {
    this.networks = networks;
    this.layers = networks.layers[number];
    const { heap } = networks.kernels;
    this.shares = this.layers.map(({ inner, outer }) => 4 * (Math.max(inner, outer) + 8) * UNIT);
    /** @type {number[]} */
    const sizes = [];
    this.tables = axes.map((axis, d) => this.#makeTables(axis, d, cell, sizes));
    const [{ bias, width }] = this.layers;
    this.firstRounding = this.#rounding(0, (k) => sizes[k]);
    this.firstBias = heap.slice(bias, bias + width);
  }

  /**
   * Bound some boxes.
   *
   * @param {Int32Array} boxes Three indices into the axes' centres for each box.
   * @param {Int32Array} rows Which of the boxes.
   * @param {Float64Array} planes For each row 8 numbers, written: p[0] + p[1:] . t below the logit,
   *   and the same below the negated logit. Level where the forward pass proves the sign already.
   */
  bound(boxes, rows, planes) {
    const most = this.networks.rows;
    for (let first = 0; first < rows.length; first += most) {
      const some = rows.subarray(first, first + most);
      const own = planes.subarray(PLANES * first, PLANES * (first + some.length));
      this.#fill(boxes, some);
      const open = this.#forward(some.length, own);
      if (open.length) this.#backward(boxes, some, open, own);
    }
  }

  /**
   * @param {BoxAxis} axis
   * @param {number} d
   * @param {import("./cells.js").Cell} cell
   * @param {number[]} sizes Of each feature its largest, written.
   * @returns {AxisTables}
   */
  #makeTables({ centres, halfSide }, d, cell, sizes) {
    const { header, kernels } = this.networks;
    const { heap } = kernels;
    const { octaves, dims, mirrored } = header;
    const [{ weights, width }] = this.layers;
    const encoding = mirrored[d] ? mirroredEncoding : bentEncoding;
    const place = { middle: cell.middle[d], half: cell.half[d] };
    const bends = Array.from(centres, (at) => encoding(octaves, at, halfSide, place));
    const count = 1 + 2 * octaves;
    const tables = {
      features: [0, 1, 2].map(() => new Float64Array(centres.length * count)),
      layer: [0, 1, 2, 3].map(() => new Float32Array(centres.length * width)),
    };
    for (let j = 0; j < count; j++) {
      const largest = bends.reduce((most, { [j]: bend }) => Math.max(most, sizeOf(bend)), 0);
      sizes[dims * j + d] = largest;
      bends.forEach((bend, i) => {
        const { [j]: each } = bend;
        const error = each.error + this.shares[0] * largest;
        [each.slope, each.bend, error].forEach((number, part) => {
          tables.features[part][i * count + j] = number;
        });
        for (let m = 0; m < width; m++) {
          const weight = heap[weights + (dims * j + d) * width + m];
          const at = i * width + m;
          tables.layer[0][at] += each.centre * weight;
          tables.layer[1][at] += each.slope * weight;
          tables.layer[2][at] += each.bend * weight;
          tables.layer[3][at] += error * Math.abs(weight);
        }
      });
    }
    return tables;
  }

  /**
   * Rounding errors of a layer whose inputs are at most so large.
   *
   * @param {number} layer
   * @param {(input: number) => number} largest
   * @returns {Float32Array}
   */
  #rounding(layer, largest) {
    const { heap } = this.networks.kernels;
    const { sizes, bias, inner, width } = this.layers[layer];
    const totals = new Float64Array(width);
    for (let m = 0; m < width; m++) totals[m] = Math.abs(heap[bias + m]) + LEAST;
    for (let k = 0; k < inner; k++) {
      const size = largest(k);
      for (let m = 0; m < width; m++) totals[m] += heap[sizes + k * width + m] * size;
    }
    return Float32Array.from(totals, (total) => total * this.shares[layer]);
  }

  /** What the forward pass starts with: the first layer over each box, before its activation. */
  #fill(/** @type {Int32Array} */ boxes, /** @type {Int32Array} */ rows) {
    const { kernels, bounds } = this.networks;
    const { heap } = kernels;
    const { first, centre, curves, error } = /** @type {NonNullable<typeof bounds>} */ (bounds);
    const [{ width }] = this.layers;
    const [x, y, z] = this.tables.map(({ layer }) => layer);
    const count = (rows.length + 3) & ~3;
    for (let row = 0; row < count; row++) {
      // The rows that fill up are the last once more.
      const box = 3 * rows[Math.min(row, rows.length - 1)];
      const [i, j, k] = [boxes[box] * width, boxes[box + 1] * width, boxes[box + 2] * width];
      const at = row * width;
      const stride = count * width;
      for (let m = 0; m < width; m++) {
        const sum = x[0][i + m] + y[0][j + m] + z[0][k + m] + this.firstBias[m];
        heap[first + at + m] = heap[centre[0] + at + m] = sum;
        const curve = curves[0] + at + m;
        heap[curve] = x[1][i + m];
        heap[curve + stride] = y[1][j + m];
        heap[curve + 2 * stride] = z[1][k + m];
        heap[curve + 3 * stride] = x[2][i + m];
        heap[curve + 4 * stride] = y[2][j + m];
        heap[curve + 5 * stride] = z[2][k + m];
        heap[error[0] + at + m] = x[3][i + m] + y[3][j + m] + z[3][k + m] + this.firstRounding[m];
      }
    }
  }

  /**
   * @param {number} count
   * @param {Float64Array} planes Level ones, written.
   * @returns {number[]} The rows whose sign is not proved.
   */
  #forward(count, planes) {
    const { kernels, bounds, zeros } = this.networks;
    const { heap } = kernels;
    const { centre, curves, error, lines, roundings, largest } =
      /** @type {NonNullable<typeof bounds>} */ (bounds);
    const rows = (count + 3) & ~3;
    heap.set(this.firstRounding, roundings[0]);
    let [from, to] = [0, 1];
    for (let number = 1; number < this.layers.length; number++) {
      const { weights, bias, sizes, inner, stride, width } = this.layers[number];
      heap.fill(0, largest, largest + stride);
      this.#bend(centre[from], curves[from], error[from], lines[number - 1], largest, rows, stride);
      // An activation exceeds its argument by 1 at most.
      heap.set(
        this.#rounding(number, (k) => heap[largest + k] + 1),
        roundings[number],
      );
      kernels.affine(centre[to], centre[from], weights, bias, rows, inner, stride, width);
      kernels.affine(curves[to], curves[from], weights, zeros, 6 * rows, inner, stride, width);
      kernels.affine(error[to], error[from], sizes, roundings[number], rows, inner, stride, width);
      [from, to] = [to, from];
    }
    /** @type {number[]} */
    const open = [];
    for (let row = 0; row < count; row++) {
      const middle = heap[centre[from] + 4 * row];
      let radius = heap[error[from] + 4 * row];
      for (let k = 0; k < CURVES; k++)
        radius += Math.abs(heap[curves[from] + 4 * (k * rows + row)]);
      radius += (Math.abs(middle) + radius) * PLANE_ROUNDING;
      const plane = PLANES * row;
      planes.fill(0, plane, plane + PLANES);
      planes[plane] = middle - radius;
      planes[plane + 4] = -middle - radius;
      if (!(Math.abs(middle) > radius)) open.push(row);
    }
    return open;
  }

  /**
   * Pass a layer of boxes through the activation, as `bendScalar` says.
   *
   * @param {number} centre
   * @param {number} curves
   * @param {number} error
   * @param {number} line
   * @param {number} largest
   * @param {number} rows
   * @param {number} width
   */
  #bend(centre, curves, error, line, largest, rows, width) {
    const { header, kernels } = this.networks;
    const { heap } = kernels;
    if (header.activation !== "sine") {
      const isSmooth = Number(header.activation === "smooth");
      return kernels.bend(centre, curves, error, line, largest, rows, width, isSmooth);
    }
    const count = rows * width;
    for (let i = 0; i < count; i++) {
      const [c, e] = [heap[centre + i], heap[error + i]];
      let radius = e;
      for (let k = 0; k < CURVES; k++) radius += Math.abs(heap[curves + k * count + i]);
      const [slope, middle, gap] = sineLine(header.omega, c, radius);
      heap[line + i] = slope;
      heap[line + count + i] = middle;
      heap[line + 2 * count + i] = gap;
      const size = Math.max(0, c + radius) + 2 * gap;
      heap[largest + (i % width)] = Math.max(heap[largest + (i % width)], size);
      heap[centre + i] = middle + slope * c;
      heap[error + i] = gap + Math.abs(slope) * e;
      for (let k = 0; k < CURVES; k++) heap[curves + k * count + i] *= slope;
    }
  }

  /**
   * @param {Int32Array} boxes
   * @param {Int32Array} rows
   * @param {number[]} open Rows of these that are bounded.
   * @param {Float64Array} planes Of all rows; those of the open ones are written.
   */
  #backward(boxes, rows, open, planes) {
    const { kernels, bounds, zeros } = this.networks;
    const { heap } = kernels;
    const { factor, lines, roundings, first } = /** @type {NonNullable<typeof bounds>} */ (bounds);
    const last = this.layers.length - 1;
    const { bias, backward, stride } = this.layers[last];
    const offsets = new Float64Array(open.length).fill(heap[bias]);
    const errors = new Float64Array(open.length).fill(heap[roundings[last]]);
    open.forEach((_, i) => heap.copyWithin(factor[0] + i * stride, backward, backward + stride));
    const count = (rows.length + 3) & ~3;
    let [from, to] = [factor[0], factor[1]];
    for (let number = last - 1; number >= 0; number--) {
      const layer = this.layers[number];
      const { width, outer } = layer;
      const [line, part, rounding] = [lines[number], count * width, roundings[number]];
      for (let i = 0; i < open.length; i++) {
        const at = open[i] * width;
        let [offset, error] = [offsets[i], errors[i]];
        for (let m = 0; m < outer; m++) {
          const here = from + i * width + m;
          const above = heap[here];
          const there = line + at + m;
          const below = above * heap[there];
          const size = Math.abs(below);
          error += Math.abs(above) * heap[there + 2 * part] + size * heap[rounding + m];
          offset += above * heap[there + part];
          offset += below * (number ? heap[layer.bias + m] : heap[first + at + m]);
          heap[here] = below;
        }
        offsets[i] = offset;
        errors[i] = error;
      }
      const open4 = (open.length + 3) & ~3;
      kernels.affine(to, from, layer.backward, zeros, open4, outer, width, layer.stride);
      [from, to] = [to, from];
    }
    open.forEach((row, i) => {
      const at = from + i * this.layers[0].stride;
      const own = planes.subarray(PLANES * row, PLANES * (row + 1));
      this.#finish(boxes.subarray(3 * rows[row]), at, offsets[i], errors[i], own);
    });
  }

  /**
   * From the factors of the features to a box's planes.
   *
   * @param {Int32Array} box
   * @param {number} factors On the heap.
   * @param {number} offset
   * @param {number} error
   * @param {Float64Array} planes
   */
  #finish(box, factors, offset, error, planes) {
    const { header, kernels } = this.networks;
    const { dims, octaves } = header;
    const count = 1 + 2 * octaves;
    let size = 0;
    for (let d = 0; d < dims; d++) {
      const [slopes, bends, errors] = this.tables[d].features;
      const row = box[d] * count;
      let [slope, bend] = [0, 0];
      for (let j = 0; j < count; j++) {
        const factor = kernels.heap[factors + dims * j + d];
        slope += factor * slopes[row + j];
        bend += factor * bends[row + j];
        error += Math.abs(factor) * errors[row + j];
      }
      error += Math.abs(bend);
      size += Math.abs(slope);
      planes[1 + d] = slope;
      planes[5 + d] = -slope;
    }
    error += (Math.abs(offset) + error + size) * PLANE_ROUNDING;
    planes[0] = offset - error;
    planes[4] = -offset - error;
  }
}

/** @param {import("./relaxation.js").Bend} bend */
function sizeOf({ centre, slope, bend, error }) {
  return Math.abs(centre) + Math.abs(slope) + Math.abs(bend) + error;
}
