/** Functions over intervals of equal length: each a line, a parabola and an error. */

/** Beyond this radius, in radians, a parabola approximates a sine worse than [-1, 1] does. */
const SINE_BENT_RADIUS = 1.6;

/** No node is farther than this from where exact arithmetic would place it in its box. */
const POINT_ERROR = 2 ** -22;

/** Of float32 angles, by their size, and of their sines. */
const SINE_ERROR = 2 ** -22;

/**
 * One feature over one interval: `centre + slope t + bend (2 t^2 - 1) +- error`, t in [-1, 1].
 *
 * @typedef {{centre: number, slope: number, bend: number, error: number}} Bend
 */

/**
 * Where a network's coordinate of an axis is -1 and 1: at `middle -+ half`.
 *
 * @typedef {{middle: number, half: number}} CellAxis
 */

/**
 * Bound one axis' part of the encoding over an interval.
 *
 * What a sine lacks to its line is mostly a parabola, and the parabolas of all features of an axis
 * add up with their signs.
 *
 * @param {number} octaves
 * @param {number} at The interval's centre.
 * @param {number} halfSide Half its length.
 * @param {CellAxis} cell
 * @returns {Bend[]} Of x, and for each octave of sine and cosine.
 */
export function bentEncoding(octaves, at, halfSide, cell) {
  const centre = (at - cell.middle) / cell.half;
  const half = halfSide / cell.half;
  // Coordinates, of other cells' points too, are at most this.
  const reach = (1 + Math.abs(cell.middle)) / cell.half;
  const isWhole = cell.middle === 0 && cell.half === 1;
  const pointError = ((isWhole ? 1 : 4) * POINT_ERROR) / cell.half;
  /** @type {Bend[]} */
  const bends = [{ centre, slope: half, bend: 0, error: pointError }];
  for (let octave = 0; octave < octaves; octave++) {
    const frequency = Math.PI * 2 ** octave;
    const r = half * frequency;
    const sine = Math.sin(centre * frequency);
    const cosine = Math.cos(centre * frequency);
    const rounding = pointError * frequency + SINE_ERROR * (2 + frequency * reach + r);
    for (const [value, derivative] of [
      [sine, cosine],
      [cosine, -sine],
    ]) {
      if (r > SINE_BENT_RADIUS) {
        bends.push({ centre: 0, slope: 0, bend: 0, error: 1 + rounding });
        continue;
      }
      // At u = r t, value cos u + derivative sin u, where cos u is 1 - u^2 / 2 and 0 to u^4 / 24
      // more, and sin u is u - u^3 / 6 and 0 to u^5 / 120 more, away from 0; with
      // t^3 = (3 t + T_3(t)) / 4, and T_3 a Chebyshev polynomial, in [-1, 1].
      const [even, odd] = [r ** 4 / 48, r ** 3 / 24 + r ** 5 / 120];
      bends.push({
        centre: value * (1 - r ** 2 / 4 + even),
        slope: derivative * (r - r ** 3 / 8),
        bend: -(value * r ** 2) / 4,
        error: Math.abs(value) * even + Math.abs(derivative) * odd + rounding,
      });
    }
  }
  return bends;
}

/**
 * Bound the encoding of |x| over an interval; otherwise as `bentEncoding`.
 *
 * @param {number} octaves
 * @param {number} at
 * @param {number} halfSide
 * @param {CellAxis} cell
 * @returns {Bend[]}
 */
export function mirroredEncoding(octaves, at, halfSide, cell) {
  const distance = Math.abs(at);
  if (distance < halfSide + POINT_ERROR) {
    // Around 0 |x| is no smooth function of t.
    const half = (distance + halfSide + POINT_ERROR) / 2;
    return bentEncoding(octaves, half, half, cell).map(({ centre, slope, bend, error }) => ({
      centre,
      slope: 0,
      bend: 0,
      error: error + Math.abs(slope) + Math.abs(bend),
    }));
  }
  const bends = bentEncoding(octaves, distance, halfSide, cell);
  if (at < 0) for (const each of bends) each.slope = -each.slope;
  return bends;
}

/** Beyond this radius, in radians, a line approximates a sine worse than [-1, 1] does. */
const SINE_LINEAR_RADIUS = 1.5;

/**
 * The line around sin(omega x) on [centre - radius, centre + radius].
 *
 * With angle a and deviation u, |u| <= r, sin(a + u) = sin a cos u + cos a sin u, where
 * 1 - r^2 / 2 <= cos u <= 1 and u is within r^3 / 6 of sin u.
 *
 * @param {number} omega
 * @param {number} centre
 * @param {number} radius
 * @returns {[number, number, number]} Slope, middle and gap.
 */
export function sineLine(omega, centre, radius) {
  const [angle, reach] = [omega * centre, omega * radius];
  const [sine, cosine] = [Math.sin(angle), Math.cos(angle)];
  const rounding = SINE_ERROR * (Math.abs(angle) + reach + 2);
  if (!(reach < SINE_LINEAR_RADIUS)) return [0, 0, 1 + rounding];
  const [bend, twist] = [reach ** 2 / 4, reach ** 3 / 6];
  const slope = omega * cosine;
  const gap = Math.abs(sine) * bend + Math.abs(cosine) * twist + rounding;
  return [slope, sine * (1 - bend) - slope * centre, gap];
}
