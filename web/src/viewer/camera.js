/** From where a shape is looked at: a parallel projection, as `doh3d render` has it. */

const STEP = 15;
const CLOSEST = 8;
const FARTHEST = 0.25;

/** @typedef {"x" | "y" | "z"} Axis */

/**
 * @typedef {object} View
 * @property {number} azimuth Degrees around the vertical axis.
 * @property {number} elevation Degrees above the horizon.
 * @property {number} zoom
 */

/** @type {Readonly<View>} */
export const FIRST_VIEW = Object.freeze({ azimuth: 20, elevation: 15, zoom: 1 });

/**
 * @param {View} view
 * @param {Axis} up
 * @returns {number[][]} Rows right, upward and backward, as the viewer has them.
 */
export function axesOf({ azimuth, elevation }, up) {
  const first = "xyz".indexOf(up);
  /** @param {number} axis */
  const unit = (axis) => [0, 1, 2].map((i) => Number(i === (first + axis) % 3));
  const [vertical, front, side] = [unit(0), unit(1), unit(2)];
  const [a, e] = [(azimuth * Math.PI) / 180, (elevation * Math.PI) / 180];
  const level = front.map((value, i) => Math.cos(a) * value + Math.sin(a) * side[i]);
  const backward = level.map((value, i) => Math.cos(e) * value + Math.sin(e) * vertical[i]);
  const right = side.map((value, i) => Math.cos(a) * value - Math.sin(a) * front[i]);
  return [right, cross(backward, right), backward];
}

/** @param {number[]} a @param {number[]} b */
function cross(a, b) {
  return [0, 1, 2].map((i) => a[(i + 1) % 3] * b[(i + 2) % 3] - a[(i + 2) % 3] * b[(i + 1) % 3]);
}

/**
 * @param {View} view
 * @param {number} azimuth Degrees to turn by.
 * @param {number} elevation
 * @returns {View}
 */
export function turned(view, azimuth, elevation) {
  const bounded = Math.max(-90, Math.min(90, view.elevation + elevation));
  return { ...view, azimuth: (view.azimuth + azimuth) % 360, elevation: bounded };
}

/**
 * @param {View} view
 * @param {number} factor
 * @returns {View}
 */
export function zoomed(view, factor) {
  return { ...view, zoom: Math.max(FARTHEST, Math.min(CLOSEST, view.zoom * factor)) };
}

/**
 * What a key does.
 *
 * @param {View} view
 * @param {string} key
 * @param {Readonly<View>} [first] Where Home goes back to.
 * @returns {View | null} Null where it does nothing.
 */
export function afterKey(view, key, first = FIRST_VIEW) {
  switch (key) {
    case "ArrowLeft":
      return turned(view, STEP, 0);
    case "ArrowRight":
      return turned(view, -STEP, 0);
    case "ArrowUp":
      return turned(view, 0, STEP);
    case "ArrowDown":
      return turned(view, 0, -STEP);
    case "+":
    case "=":
      return zoomed(view, 1.2);
    case "-":
      return zoomed(view, 1 / 1.2);
    case "Home":
    case "0":
      return { ...first };
    default:
      return null;
  }
}
