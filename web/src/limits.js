import { require } from "./errors.js";

/**
 * What is taken from a file before decoding it is refused; docs/security.md has the reasons.
 *
 * @typedef {object} Limits
 * @property {number} fileBytes Size of the file.
 * @property {number} latents Numbers in the latent.
 * @property {number} weights Weights of all networks.
 * @property {number} surfaceCells Cells that a surface may cross, times the resolution squared.
 * @property {number} extractionWork Multiplications of an extraction, times the resolution
 *   squared, beside 2,048 for each of the latent's numbers.
 * @property {number} pixels Pixels of an image.
 * @property {number} imageWork Multiplications that an image takes: all pixels are decoded at once.
 */

/**
 * What doh3d itself takes by default; it knows no limit of an image's work.
 *
 * @type {Readonly<Limits>}
 */
export const DEFAULT_LIMITS = Object.freeze({
  fileBytes: 2 ** 20,
  latents: 2 ** 17,
  weights: 2 ** 18,
  surfaceCells: 64,
  extractionWork: 2 ** 22,
  pixels: 2 ** 24,
  imageWork: 2 ** 33,
});

/** The format's own maxima: no reader takes more. */
export const MOST_LATENTS = 2 ** 20;
export const MOST_WEIGHTS = 941568;
export const MOST_DENSE_SIGNS = 2 ** 27;

export const LEAST_RESOLUTION = 8;
export const MOST_RESOLUTION = 1024;

const WORK_OF_LATENT = 2 ** 11;

/**
 * Refuse a count beyond a limit.
 *
 * @param {string} what "the latent has {} numbers"
 * @param {number} count
 * @param {number} largest
 */
export function checkCount(what, count, largest) {
  const message = `${what.replace("{}", String(count))}; the limit is ${largest}`;
  require(count <= largest, message);
}

/**
 * Refuse an extraction that has come to take more than a shape's does.
 *
 * @param {Limits} limits
 * @param {number} work Multiplications until now.
 * @param {number} latents
 * @param {number} resolution
 */
export function checkWork(limits, work, latents, resolution) {
  const largest = (limits.extractionWork + WORK_OF_LATENT * latents) * resolution ** 2;
  const takes = `takes more than ${largest.toExponential(1)} multiplications`;
  require(work <= largest, `extraction at resolution ${resolution} ${takes}; lower the resolution`);
}

/**
 * Refuse a surface that crosses more cells than a shape's does.
 *
 * @param {Limits} limits
 * @param {number} cells Those crossed until now.
 * @param {number} resolution
 */
export function checkSurface(limits, cells, resolution) {
  const largest = limits.surfaceCells * resolution ** 2;
  const crosses = `the surface crosses more than ${largest} cells at resolution ${resolution}`;
  require(cells <= largest, `${crosses}; lower the resolution`);
}
