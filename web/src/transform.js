/** Between a shape's own units and its normalised coordinates. */

/** What is farther off is moved here before it is turned: infinities have no sum. */
const FAR = 1e300;

export class Transform {
  /** @param {import("./header.js").Header} header */
  constructor({ centre, scale, frame }) {
    this.centre = centre;
    this.scale = scale;
    this.rotation = frame ? rotationOf(frame) : null;
  }

  /**
   * @param {ArrayLike<number>} points
   * @param {number} at Where in it the point is.
   * @returns {number[]} Normalised.
   */
  toNormalised(points, at) {
    const x = this.centre.map((centre, axis) => (points[at + axis] - centre) / this.scale);
    if (!this.rotation) return x;
    const r = this.rotation;
    const [a, b, c] = x.map((value) => Math.min(FAR, Math.max(-FAR, value)));
    return [0, 1, 2].map((axis) => r[0][axis] * a + r[1][axis] * b + r[2][axis] * c);
  }

  /**
   * @param {number[]} point Normalised.
   * @returns {number[]}
   */
  toWorld([x, y, z]) {
    const turned = this.rotation
      ? this.rotation.map(([a, b, c]) => a * x + b * y + c * z)
      : [x, y, z];
    return turned.map((value, axis) => this.centre[axis] + this.scale * value);
  }

  /**
   * The box around a box of the frame.
   *
   * @param {number[]} halfSides
   * @returns {[number[], number[]]} Lowest and highest corner.
   */
  boundsOf(halfSides) {
    const rotation = this.rotation ?? [
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 1],
    ];
    const reach = rotation.map(
      (row) => this.scale * row.reduce((sum, r, axis) => sum + Math.abs(r) * halfSides[axis], 0),
    );
    return [
      this.centre.map((centre, axis) => centre - reach[axis]),
      this.centre.map((centre, axis) => centre + reach[axis]),
    ];
  }
}

/**
 * @param {number[]} frame The Rodrigues vector times 2^16.
 * @returns {number[][]} Rows.
 */
function rotationOf([a, b, c]) {
  const w = 65536;
  const total = w * w + a * a + b * b + c * c;
  return [
    [w * w + a * a - b * b - c * c, 2 * (a * b - w * c), 2 * (a * c + w * b)],
    [2 * (a * b + w * c), w * w - a * a + b * b - c * c, 2 * (b * c - w * a)],
    [2 * (a * c - w * b), 2 * (b * c + w * a), w * w - a * a - b * b + c * c],
  ].map((row) => row.map((number) => number / total));
}
