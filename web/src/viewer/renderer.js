/** Draws one mesh with WebGL, lit as `doh3d render` lights it. */

import { vertexNormals } from "../normals.js";
import { axesOf } from "./camera.js";

const MARGIN = 0.05;

const VERTEX_SHADER = `#version 300 es
in vec3 position, normal;
uniform mat3 axes;
uniform vec3 scale;
out vec3 lean;
void main() {
  lean = axes * normal;
  gl_Position = vec4(axes * position * scale, 1.0);
}`;

// From over the viewer's shoulders and from the sky. A back side is lit like a front one.
const FRAGMENT_SHADER = `#version 300 es
precision highp float;
in vec3 lean;
uniform vec3 colour;
out vec4 seen;
void main() {
  vec3 n = normalize(gl_FrontFacing ? lean : -lean);
  float key = max(dot(n, normalize(vec3(-0.9, 0.9, 1.0))), 0.0);
  float fill = max(dot(n, normalize(vec3(1.5, 0.0, 1.0))), 0.0);
  float light = 0.24 + 0.62 * key + 0.16 * fill + 0.16 * (n.y + 1.0) / 2.0;
  seen = vec4(clamp(light * colour, 0.0, 1.0), 1.0);
}`;

/** Warm grey, as pictures of doh3d have it. */
export const CLAY = [0.86, 0.82, 0.76];

/**
 * A mesh on the graphics card, about 0 and of a size near 1.
 *
 * @typedef {object} Drawn
 * @property {number} count Of indices.
 * @property {number[]} half Half the sides of its box.
 * @property {{x: number, y: number, z: number}} reach How far it is from each axis at most.
 */

/** One canvas and what is drawn on it. */
export class Renderer {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    const context = canvas.getContext("webgl2", { antialias: true, preserveDrawingBuffer: true });
    if (!context) throw new Error("there is no WebGL 2 here");
    this.context = context;
    this.program = makeProgram(context);
    /** @type {Drawn | null} */
    this.drawn = null;
    this.colour = CLAY;
    this.buffers = ["position", "normal"].map((name) => {
      const buffer = context.createBuffer();
      const at = context.getAttribLocation(this.program, name);
      context.bindBuffer(context.ARRAY_BUFFER, buffer);
      context.enableVertexAttribArray(at);
      context.vertexAttribPointer(at, 3, context.FLOAT, false, 0, 0);
      return buffer;
    });
    context.bindBuffer(context.ELEMENT_ARRAY_BUFFER, context.createBuffer());
    context.useProgram(this.program);
    context.enable(context.DEPTH_TEST);
  }

  /**
   * @param {{positions: Float32Array, indices: Uint32Array} | null} mesh
   * @param {[number[], number[]]} [box] What is framed, unless the mesh's own box.
   */
  setMesh(mesh, box) {
    if (!mesh) {
      this.drawn = null;
      return;
    }
    const [low, high] = box ?? boxOf(mesh.positions);
    const middle = low.map((at, axis) => (at + high[axis]) / 2);
    const unit = Math.max(...low.map((at, axis) => high[axis] - at)) / 2 || 1;
    const places = Float32Array.from(mesh.positions, (at, i) => (at - middle[i % 3]) / unit);
    const { context } = this;
    [places, vertexNormals(mesh)].forEach((numbers, i) => {
      context.bindBuffer(context.ARRAY_BUFFER, this.buffers[i]);
      context.bufferData(context.ARRAY_BUFFER, numbers, context.STATIC_DRAW);
    });
    context.bufferData(context.ELEMENT_ARRAY_BUFFER, mesh.indices, context.STATIC_DRAW);
    const reach = { x: 0, y: 0, z: 0 };
    for (let i = 0; i < places.length; i += 3) {
      const [x, y, z] = [places[i], places[i + 1], places[i + 2]];
      reach.x = Math.max(reach.x, y * y + z * z);
      reach.y = Math.max(reach.y, x * x + z * z);
      reach.z = Math.max(reach.z, x * x + y * y);
    }
    for (const axis of /** @type {const} */ (["x", "y", "z"])) reach[axis] = Math.sqrt(reach[axis]);
    const half = low.map((at, axis) => (high[axis] - at) / 2 / unit);
    this.drawn = { count: mesh.indices.length, half, reach };
  }

  /**
   * @param {import("./camera.js").View} view
   * @param {import("./camera.js").Axis} up
   */
  draw(view, up) {
    const { context, canvas, drawn } = this;
    context.viewport(0, 0, canvas.width, canvas.height);
    context.clearColor(0, 0, 0, 0);
    context.clear(context.COLOR_BUFFER_BIT | context.DEPTH_BUFFER_BIT);
    if (!drawn) return;
    // Whichever way the shape is turned, its size stays.
    const reach = drawn.reach[up];
    const upward = drawn.half["xyz".indexOf(up)];
    const elevation = (Math.abs(view.elevation) * Math.PI) / 180;
    const high = upward * Math.cos(elevation) + reach * Math.sin(elevation);
    const aspect = canvas.width / canvas.height || 1;
    const scale = ((1 - 2 * MARGIN) * view.zoom) / Math.max(reach / aspect, high, 1e-9);
    const [right, top, back] = axesOf(view, up);
    const columns = [0, 1, 2].flatMap((i) => [right[i], top[i], back[i]]);
    /** @param {string} name */
    const at = (name) => context.getUniformLocation(this.program, name);
    context.uniformMatrix3fv(at("axes"), false, columns);
    // Nearer is smaller in depth; a shape about 0 is within its box's diagonal.
    context.uniform3f(at("scale"), scale / aspect, scale, -0.5);
    context.uniform3f(at("colour"), this.colour[0], this.colour[1], this.colour[2]);
    context.drawElements(context.TRIANGLES, drawn.count, context.UNSIGNED_INT, 0);
  }
}

/** @param {WebGL2RenderingContext} context */
function makeProgram(context) {
  const program = context.createProgram();
  for (const [kind, text] of /** @type {[number, string][]} */ ([
    [context.VERTEX_SHADER, VERTEX_SHADER],
    [context.FRAGMENT_SHADER, FRAGMENT_SHADER],
  ])) {
    const shader = /** @type {WebGLShader} */ (context.createShader(kind));
    context.shaderSource(shader, text);
    context.compileShader(shader);
    context.attachShader(program, shader);
  }
  context.linkProgram(program);
  return program;
}

/**
 * @param {Float32Array} positions
 * @returns {[number[], number[]]} Lowest and highest corner.
 */
export function boxOf(positions) {
  const low = [Infinity, Infinity, Infinity];
  const high = [-Infinity, -Infinity, -Infinity];
  for (let i = 0; i < positions.length; i++) {
    low[i % 3] = Math.min(low[i % 3], positions[i]);
    high[i % 3] = Math.max(high[i % 3], positions[i]);
  }
  return positions.length
    ? [low, high]
    : [
        [-1, -1, -1],
        [1, 1, 1],
      ];
}
