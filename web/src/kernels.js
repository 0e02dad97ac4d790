/**
 * The inner loops, in WebAssembly with SIMD where there is such a thing, otherwise in JavaScript.
 *
 * Both work on one heap of numbers, and are told where in it: offsets are multiples of 4 numbers,
 * widths of 4, and `affine` takes a multiple of four rows.
 */

import { fromBase64 } from "./bytes.js";
import { KERNELS } from "./kernels.data.js";

const PAGE = 65536;

/** Slopes along each axis and what is bent along each: the curves of a box. */
export const CURVES = 6;

/**
 * @typedef {object} Kernels
 * @property {Float32Array} heap
 * @property {Int32Array} ints The same memory.
 * @property {(out: number, input: number, weights: number, bias: number, rows: number,
 *   inner: number, stride: number, width: number) => void} affine
 *   (rows, width) = bias + (rows, inner) x (inner, width); input rows are `stride` apart.
 * @property {(out: number, table: number, index: number, rows: number, width: number) => void}
 *   gather (rows, width): each the sum of the three table rows that three integers name.
 * @property {(at: number, count: number) => void} smooth The activation, in place.
 * @property {(at: number, count: number) => void} relu
 * @property {(centre: number, curves: number, error: number, line: number, largest: number,
 *   rows: number, width: number, smooth: number) => void} bend
 *   Passes a layer of boxes through an activation: see `bendScalar`.
 */

/** @type {WebAssembly.Module | null | undefined} */
let compiled;

/** The compiled kernels, or null where there is no SIMD. */
function compile() {
  if (compiled === undefined) {
    try {
      compiled = new WebAssembly.Module(fromBase64(KERNELS));
    } catch {
      compiled = null;
    }
  }
  return compiled;
}

/**
 * A heap of zeros, and the loops that work on it.
 *
 * @param {number} size Numbers.
 * @param {boolean} wasm Whether WebAssembly may be used.
 * @returns {Kernels}
 */
export function makeKernels(size, wasm) {
  const module = wasm ? compile() : null;
  if (!module) return makeScalarKernels(new Float32Array(size));
  const memory = new WebAssembly.Memory({ initial: Math.ceil((4 * size) / PAGE) || 1 });
  const { exports } = new WebAssembly.Instance(module, { doh3d: { memory } });
  const { affine, gather, smooth, relu, bend } =
    /** @type {Record<string, (...numbers: number[]) => void>} */ (exports);
  return {
    heap: new Float32Array(memory.buffer),
    ints: new Int32Array(memory.buffer),
    affine: (out, input, weights, bias, rows, inner, stride, width) =>
      affine(4 * out, 4 * input, 4 * weights, 4 * bias, rows, inner, stride, width),
    gather: (out, table, index, rows, width) => gather(4 * out, 4 * table, 4 * index, rows, width),
    smooth: (at, count) => smooth(4 * at, count),
    relu: (at, count) => relu(4 * at, count),
    bend: (centre, curves, error, line, largest, rows, width, isSmooth) =>
      bend(4 * centre, 4 * curves, 4 * error, 4 * line, 4 * largest, rows, width, isSmooth),
  };
}

/**
 * The same in JavaScript.
 *
 * @param {Float32Array<ArrayBuffer>} heap
 * @returns {Kernels}
 */
function makeScalarKernels(heap) {
  const ints = new Int32Array(heap.buffer);
  return {
    heap,
    ints,
    affine: (...numbers) => affineScalar(heap, ...numbers),
    gather(out, table, index, rows, width) {
      for (let row = 0; row < rows; row++, out += width, index += 3) {
        const a = table + ints[index] * width;
        const b = table + ints[index + 1] * width;
        const c = table + ints[index + 2] * width;
        for (let i = 0; i < width; i++) heap[out + i] = heap[a + i] + heap[b + i] + heap[c + i];
      }
    },
    smooth(at, count) {
      for (let i = at; i < at + count; i++) heap[i] = smoothRelu(heap[i]);
    },
    relu(at, count) {
      for (let i = at; i < at + count; i++) heap[i] = Math.max(heap[i], 0);
    },
    bend: (...numbers) => bendScalar(heap, ...numbers),
  };
}

/**
 * @param {Float32Array} heap
 * @param {number} out
 * @param {number} input
 * @param {number} weights
 * @param {number} bias
 * @param {number} rows
 * @param {number} inner
 * @param {number} stride
 * @param {number} width
 */
function affineScalar(heap, out, input, weights, bias, rows, inner, stride, width) {
  for (let row = 0; row < rows; row++, input += stride, out += width) {
    for (let column = 0; column < width; column += 4) {
      let a = heap[bias + column];
      let b = heap[bias + column + 1];
      let c = heap[bias + column + 2];
      let d = heap[bias + column + 3];
      let w = weights + column;
      for (let k = 0; k < inner; k++, w += width) {
        const value = heap[input + k];
        a += value * heap[w];
        b += value * heap[w + 1];
        c += value * heap[w + 2];
        d += value * heap[w + 3];
      }
      heap[out + column] = a;
      heap[out + column + 1] = b;
      heap[out + column + 2] = c;
      heap[out + column + 3] = d;
    }
  }
}

/**
 * 0 below -1, (x + 1)^2 / 4 up to 1, then x.
 *
 * @param {number} x
 */
function smoothRelu(x) {
  const slope = bounded((x + 1) / 2);
  return slope * (x + 1 - slope);
}

/** @param {number} x */
function bounded(x) {
  return Math.min(1, Math.max(0, x));
}

/**
 * Pass a layer of boxes through an activation.
 *
 * A neuron's argument is its centre, plus curves of which each varies by at most its size, plus an
 * error. The activation stays within `gap` of the line `slope x + middle` on that range: the upper
 * line is the chord, the lower one the tangent of its slope, or for ReLU the line through 0.
 *
 * @param {Float32Array} heap
 * @param {number} centre (rows, width); becomes middle + slope centre.
 * @param {number} curves Six times (rows, width), each multiplied by the slope.
 * @param {number} error (rows, width); becomes gap + |slope| error.
 * @param {number} line Three times (rows, width), written: slope, middle and gap.
 * @param {number} largest (width), raised to what the activation can be.
 * @param {number} rows
 * @param {number} width
 * @param {number} isSmooth 1, or 0 for ReLU.
 */
function bendScalar(heap, centre, curves, error, line, largest, rows, width, isSmooth) {
  const count = rows * width;
  for (let i = 0; i < count; i++) {
    const c = heap[centre + i];
    const e = heap[error + i];
    let radius = e;
    for (let k = 0; k < CURVES; k++) radius += Math.abs(heap[curves + k * count + i]);
    let slope, middle, gap;
    if (isSmooth) {
      const left = smoothRelu(c - radius);
      slope = bounded((smoothRelu(c + radius) - left) / radius / 2);
      const below = slope - slope * slope;
      gap = (left - slope * (c - radius) - below) / 2;
      middle = below + gap;
    } else {
      slope = bounded((c + radius) / radius / 2);
      gap = (slope * Math.max(0, radius - c)) / 2;
      middle = gap;
    }
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
