/** Mouse, touch, wheel and keys, as changes of a view. */

import { afterKey, turned, zoomed } from "./camera.js";

const DEGREES_A_PIXEL = 0.5;

/**
 * Listen to a canvas.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {() => import("./camera.js").View} current
 * @param {(view: import("./camera.js").View) => void} change
 * @param {() => import("./camera.js").View} first Where Home goes back to.
 */
export function followGestures(canvas, current, change, first) {
  /** @type {Map<number, {x: number, y: number}>} */
  const pointers = new Map();
  /** How far two fingers are apart. */
  const spread = () => {
    const [a, b] = [...pointers.values()];
    return Math.hypot(a.x - b.x, a.y - b.y) || 1;
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  });
  canvas.addEventListener("pointermove", (event) => {
    const last = pointers.get(event.pointerId);
    if (!last) return;
    const now = { x: event.clientX, y: event.clientY };
    const before = pointers.size === 2 ? spread() : 0;
    pointers.set(event.pointerId, now);
    if (pointers.size === 2) {
      change(zoomed(current(), spread() / before));
    } else if (pointers.size === 1) {
      const [dx, dy] = [now.x - last.x, now.y - last.y];
      change(turned(current(), -dx * DEGREES_A_PIXEL, dy * DEGREES_A_PIXEL));
    }
  });
  for (const end of /** @type {const} */ (["pointerup", "pointercancel"])) {
    canvas.addEventListener(end, ({ pointerId }) => pointers.delete(pointerId));
  }
  // A page goes on scrolling, unless somebody is at work with the shape.
  canvas.addEventListener(
    "wheel",
    (event) => {
      if (!event.ctrlKey && !canvas.matches(":focus")) return;
      event.preventDefault();
      change(zoomed(current(), Math.exp(-event.deltaY / 500)));
    },
    { passive: false },
  );
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const next = afterKey(current(), event.key, first());
    if (!next) return;
    event.preventDefault();
    change(next);
  });
}
