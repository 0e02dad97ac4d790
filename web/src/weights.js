/** From the values of a file to the weights of its networks, bit for bit. */

import { project } from "./projection.js";

const STEP_MANTISSAS = [
  8388608, 9147842, 9975792, 10878679, 11863283, 12937002, 14107901, 15384775,
];

/**
 * The parameters of K networks.
 *
 * @typedef {object} Weights
 * @property {Float32Array[]} matrices For each layer K matrices, row-major.
 * @property {Float32Array[]} biases For each layer K times its biases.
 */

/** @param {number} index */
function stepOf(index) {
  return STEP_MANTISSAS[index % 8] * 2 ** (Math.floor(index / 8) - 47);
}

/**
 * What the columns of a smooth network's first layer are multiplied by.
 *
 * @param {import("./header.js").Header} header
 * @returns {number[]}
 */
function columnFactors({ dims, octaves }) {
  const factors = new Array(dims).fill(1);
  for (let octave = 0; octave < octaves; octave++) {
    for (let i = 0; i < 2 * dims; i++) factors.push(0.75 ** octave);
  }
  return factors;
}

/**
 * @param {import("./header.js").Header} header
 * @param {number} layer
 * @returns {number}
 */
function gainOf(header, layer) {
  const { activation, omega, shapes } = header;
  const columns = shapes[layer][1];
  if (activation === "smooth" && layer === 0) {
    const squares = columnFactors(header).reduce((sum, factor) => sum + factor * factor, 0);
    return Math.sqrt(2 / squares);
  }
  if (activation !== "sine") return Math.sqrt((layer === shapes.length - 1 ? 1 : 2) / columns);
  return layer === 0 ? 1 / (columns * Math.sqrt(3)) : Math.sqrt(2 / columns) / omega;
}

/**
 * @param {import("./header.js").Header} header
 * @param {{latent: import("./entropy.js").Values, biases: import("./entropy.js").Values}} values
 * @returns {Weights}
 */
export function makeWeights(header, { latent, biases }) {
  const networks = 2 ** header.levels;
  const sums = project(header, latent.numbers);
  const latentStep = latent.isRaw ? 1 : stepOf(header.latent.step);
  const biasStep = biases.isRaw ? 1 : Math.fround(stepOf(header.biases.step));
  const biasesOfOne = header.biasCount / networks;
  /** @type {Weights} */
  const weights = { matrices: [], biases: [] };
  let start = 0;
  let firstBias = 0;
  header.shapes.forEach(([rows, columns], layer) => {
    const scale = gainOf(header, layer) * latentStep;
    const isGraded = header.activation === "smooth" && layer === 0;
    const factors = isGraded ? columnFactors(header) : new Array(columns).fill(1);
    const scales = Float32Array.from(factors, (factor) => scale * factor);
    const matrix = new Float32Array(networks * rows * columns);
    for (let i = 0; i < matrix.length; i++) {
      matrix[i] = Math.fround(sums[start + i]) * scales[i % columns];
    }
    start += matrix.length;
    const bias = new Float32Array(networks * rows);
    for (let i = 0; i < bias.length; i++) {
      const at = Math.floor(i / rows) * biasesOfOne + firstBias + (i % rows);
      bias[i] = Math.fround(biases.numbers[at]) * biasStep;
    }
    firstBias += rows;
    weights.matrices.push(matrix);
    weights.biases.push(bias);
  });
  return weights;
}
