/** What is wrong with a file, in one line: it is no valid `.doh` file, or beyond the limits. */
export class DohFormatError extends Error {
  /** @param {string} message */
  constructor(message) {
    super(message);
    this.name = "DohFormatError";
  }
}

/**
 * Throw a DohFormatError unless a condition holds.
 *
 * @param {boolean} condition
 * @param {string} message
 * @returns {asserts condition}
 */
export function require(condition, message) {
  if (!condition) throw new DohFormatError(message);
}
