/** The networks of a file on a heap, laid out for the kernels. */

import { makeKernels } from "./kernels.js";

/** @param {number} count */
const padded = (count) => (count + 3) & ~3;

/**
 * One layer of one network; offsets are on the heap, and rows of a matrix a multiple of 4 apart.
 *
 * @typedef {object} Layer
 * @property {number} inner Numbers that come in.
 * @property {number} outer Numbers that go out.
 * @property {number} stride Of the rows that come in: `inner`, padded.
 * @property {number} width Of the rows that go out.
 * @property {number} weights (inner, width)
 * @property {number} bias (width)
 * @property {number} sizes (inner, width): what `weights` are without their signs.
 * @property {number} backward (outer, stride): the matrix as the file has it.
 */

/** Lays out a heap: all parts are reserved first, then it is made. */
export class Arena {
  constructor() {
    this.size = 0;
  }

  /**
   * @param {number} count Numbers, or integers.
   * @returns {number} Where they will be.
   */
  reserve(count) {
    const at = this.size;
    this.size += padded(count);
    return at;
  }
}

/** The networks of all cells, ready to be evaluated. */
export class Networks {
  /**
   * @param {import("./header.js").Header} header
   * @param {import("./weights.js").Weights} weights
   * @param {number} rows Points, or boxes, at a time; a multiple of 4.
   * @param {{bounds?: boolean, tableRows?: number, wasm: boolean}} options Whether there is to be
   *   all that bounds need; how many rows a table of each cell's first layer has.
   */
  constructor(header, weights, rows, { bounds = false, tableRows = 0, wasm }) {
    const arena = new Arena();
    this.header = header;
    this.rows = rows;
    this.cells = 2 ** header.levels;
    /** Of each network its layers. */
    this.layers = Array.from({ length: this.cells }, () =>
      header.shapes.map((shape) => layOut(arena, shape, bounds)),
    );
    const widest = Math.max(...this.layers[0].map(({ width, stride }) => Math.max(width, stride)));
    this.zeros = arena.reserve(widest);
    this.input = arena.reserve(rows * widest);
    this.output = arena.reserve(rows * widest);
    this.index = arena.reserve(rows * 3);
    this.tables = this.layers.map(([first]) => arena.reserve(tableRows * first.width));
    this.bounds = bounds ? layOutBounds(arena, this.layers[0], rows, widest) : null;
    this.kernels = makeKernels(arena.size, wasm);
    this.layers.forEach((layers, cell) => {
      layers.forEach((layer, number) => {
        fillLayer(this.kernels.heap, layer, header, weights, number, cell);
      });
    });
  }

  /**
   * Evaluate one network on what its first layer has made, at `input`.
   *
   * @param {number} cell
   * @param {number} count Rows.
   * @returns {number} Where the outputs are, 4 numbers apart.
   */
  forward(cell, count) {
    const { kernels } = this;
    const layers = this.layers[cell];
    const rows = padded(count);
    let [from, to] = [this.input, this.output];
    for (let number = 1; number < layers.length; number++) {
      const { weights, bias, inner, stride, width } = layers[number];
      this.activate(from, rows * stride);
      kernels.affine(to, from, weights, bias, rows, inner, stride, width);
      [from, to] = [to, from];
    }
    return from;
  }

  /**
   * Evaluate one network on features, (count, stride of the first layer), at `output`.
   *
   * @param {number} cell
   * @param {number} count
   * @returns {number} As `forward`.
   */
  forwardFeatures(cell, count) {
    const { weights, bias, inner, stride, width } = this.layers[cell][0];
    const { input, output } = this;
    this.kernels.affine(input, output, weights, bias, padded(count), inner, stride, width);
    return this.forward(cell, count);
  }

  /**
   * Evaluate one network where three rows of its table, named at `index`, add up.
   *
   * @param {number} cell
   * @param {number} count
   * @returns {number} As `forward`.
   */
  forwardRows(cell, count) {
    const { width } = this.layers[cell][0];
    this.kernels.gather(this.input, this.tables[cell], this.index, count, width);
    return this.forward(cell, count);
  }

  /**
   * @param {number} at
   * @param {number} count
   */
  activate(at, count) {
    const { activation, omega } = this.header;
    if (activation === "smooth") return this.kernels.smooth(at, count);
    if (activation === "relu") return this.kernels.relu(at, count);
    const { heap } = this.kernels;
    for (let i = at; i < at + count; i++) heap[i] = Math.sin(omega * heap[i]);
  }

  /**
   * Write a row of a cell's table: what its first layer makes of one coordinate.
   *
   * @param {number} cell
   * @param {number} row
   * @param {number} axis
   * @param {number} u The coordinate in the cell.
   * @param {boolean} withBias
   */
  fillRow(cell, row, axis, u, withBias) {
    const { heap } = this.kernels;
    const { dims, octaves } = this.header;
    const { weights, bias, width } = this.layers[cell][0];
    const at = this.tables[cell] + row * width;
    const features = encode(u, octaves);
    for (let i = 0; i < width; i++) {
      let sum = withBias ? heap[bias + i] : 0;
      for (let j = 0, w = weights + axis * width + i; j < features.length; j++) {
        sum += features[j] * heap[w];
        w += dims * width;
      }
      heap[at + i] = sum;
    }
  }
}

/**
 * The features of one coordinate.
 *
 * @param {number} u
 * @param {number} octaves
 * @returns {number[]} The coordinate, then for each octave sine and cosine.
 */
export function encode(u, octaves) {
  const features = [u];
  for (let octave = 0; octave < octaves; octave++) {
    const angle = 2 ** octave * Math.PI * u;
    features.push(Math.sin(angle), Math.cos(angle));
  }
  return features;
}

/**
 * @param {Arena} arena
 * @param {[number, number]} shape
 * @param {boolean} bounds
 * @returns {Layer}
 */
function layOut(arena, [outer, inner], bounds) {
  const [stride, width] = [padded(inner), padded(outer)];
  return {
    inner,
    outer,
    stride,
    width,
    weights: arena.reserve(inner * width),
    bias: arena.reserve(width),
    sizes: bounds ? arena.reserve(inner * width) : 0,
    backward: bounds ? arena.reserve(outer * stride) : 0,
  };
}

/**
 * Where the passes of the bounds work.
 *
 * @param {Arena} arena
 * @param {Layer[]} layers
 * @param {number} rows
 * @param {number} widest
 */
function layOutBounds(arena, layers, rows, widest) {
  const many = rows * widest;
  return {
    first: arena.reserve(many),
    centre: [arena.reserve(many), arena.reserve(many)],
    curves: [arena.reserve(6 * many), arena.reserve(6 * many)],
    error: [arena.reserve(many), arena.reserve(many)],
    factor: [arena.reserve(many), arena.reserve(many)],
    lines: layers.map(({ width }) => arena.reserve(3 * rows * width)),
    roundings: layers.map(({ width }) => arena.reserve(width)),
    largest: arena.reserve(widest),
  };
}

/**
 * @param {Float32Array} heap
 * @param {Layer} layer
 * @param {import("./header.js").Header} header
 * @param {import("./weights.js").Weights} weights
 * @param {number} number
 * @param {number} cell
 */
function fillLayer(heap, layer, header, weights, number, cell) {
  const [rows, columns] = header.shapes[number];
  const matrix = weights.matrices[number].subarray(cell * rows * columns);
  for (let row = 0; row < rows; row++) {
    heap[layer.bias + row] = weights.biases[number][cell * rows + row];
    for (let column = 0; column < columns; column++) {
      const weight = matrix[row * columns + column];
      heap[layer.weights + column * layer.width + row] = weight;
      if (layer.backward) {
        heap[layer.sizes + column * layer.width + row] = Math.abs(weight);
        heap[layer.backward + row * layer.stride + column] = weight;
      }
    }
  }
}
