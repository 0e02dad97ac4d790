/** The header of a `.doh` file: all that comes before the values. */

import { Reader, crc32 } from "./bytes.js";
import { checkThickness } from "./cells.js";
import { DohFormatError, require } from "./errors.js";
import { MOST_DENSE_SIGNS, MOST_LATENTS, MOST_WEIGHTS, checkCount } from "./limits.js";

const VERSION = 128;

/** Of a frame: (sqrt(2) - 1) 2^16. */
const MOST_FRAME = 27146;

/**
 * How the numbers of a group, latent or biases, are coded.
 *
 * @typedef {object} Group
 * @property {number} family 0 is raw.
 * @property {number} parameter
 * @property {number} step Index into the step table.
 */

/**
 * A file's header.
 *
 * @typedef {object} Header
 * @property {"occupancy" | "image"} kind
 * @property {number} dims Numbers of a point.
 * @property {number} channels Numbers that the network gives.
 * @property {"hadamard" | "dense"} projection
 * @property {"relu" | "smooth" | "sine"} activation
 * @property {number} omega Of sine, otherwise 0.
 * @property {boolean[]} mirrored For each axis.
 * @property {number} octaves
 * @property {[number, number][]} shapes Rows and columns of one network's layers.
 * @property {number} n
 * @property {number} seed
 * @property {Group} latent
 * @property {Group} biases
 * @property {number[]} halfSides Of the domain, normalised.
 * @property {number[]} centre
 * @property {number} scale
 * @property {number[] | null} frame
 * @property {number} wide Pixels of an image, otherwise 0.
 * @property {number} high
 * @property {number} levels 0 where there are no cells.
 * @property {[number, number][]} cuts Axis and position.
 * @property {number} weightCount Of all networks.
 * @property {number} biasCount
 * @property {number} end The header's length in bytes.
 */

/**
 * Read and check a header.
 *
 * @param {Uint8Array} bytes The whole file.
 * @param {import("./limits.js").Limits} limits
 * @returns {Header}
 */
export function parseHeader(bytes, limits) {
  checkEnvelope(bytes, limits);
  const reader = new Reader(bytes.subarray(0, -4), 4);
  const flags = reader.uint8();
  const isImage = (flags & 3) === 1;
  require((flags & 3) <= 1, `the kind of signal is ${flags & 3}, which is not known`);
  require(!isImage || flags >> 6 === 0, "an image with mirror flags");
  const layers = reader.uint8();
  const hiddenLayers = layers & 15;
  require(hiddenLayers >= 1, "the network has no hidden layer");
  const width = reader.uint8() + 1;
  const omega = flags & 8 ? reader.uint8() : 0;
  const n = reader.varint("n");
  require(n >= 1 && n <= MOST_LATENTS, `n is ${n}; it must be 1 to ${MOST_LATENTS}`);
  const seed = reader.uint16();
  const families = reader.uint8();
  /** @type {Header} */
  const header = {
    kind: isImage ? "image" : "occupancy",
    dims: isImage ? 2 : 3,
    channels: isImage && flags & 16 ? 3 : 1,
    projection: flags & 4 ? "dense" : "hadamard",
    activation: !(flags & 8) ? "relu" : omega ? "sine" : "smooth",
    omega,
    mirrored: isImage ? [false, false] : [5, 6, 7].map((bit) => Boolean((flags >> bit) & 1)),
    octaves: layers >> 4,
    shapes: [],
    n,
    seed,
    latent: readGroup(reader, families & 15),
    biases: readGroup(reader, families >> 4),
    halfSides: [],
    centre: [0, 0, 0],
    scale: 1,
    frame: null,
    wide: 0,
    high: 0,
    levels: 0,
    cuts: [],
    weightCount: 0,
    biasCount: 0,
    end: 0,
  };
  const hasCells = isImage ? readSize(reader, header, flags) : readPlace(reader, header, flags);
  if (hasCells) readCuts(reader, header);
  countNumbers(header, hiddenLayers, width, limits);
  header.end = reader.position;
  return header;
}

/**
 * Magic, version and checksum.
 *
 * @param {Uint8Array} bytes
 * @param {import("./limits.js").Limits} limits
 */
function checkEnvelope(bytes, limits) {
  checkCount("the file has {} bytes", bytes.length, Math.min(limits.fileBytes, 2 ** 23));
  const isDoh = bytes.length >= 4 && bytes[0] === 0xd0 && bytes[1] === 0x4f && bytes[2] === 0x48;
  require(isDoh, "not a .doh file");
  if (bytes[3] !== VERSION) {
    throw new DohFormatError(`version ${bytes[3]} of the format; only ${VERSION} can be read`);
  }
  require(bytes.length >= 8, "the file ends within its header");
  const found = new DataView(bytes.buffer, bytes.byteOffset + bytes.length - 4).getUint32(0, true);
  require(crc32(bytes.subarray(0, -4)) === found, "the checksum is wrong: the file is damaged");
}

/**
 * @param {Reader} reader
 * @param {number} family
 * @returns {Group}
 */
function readGroup(reader, family) {
  const parameter = reader.uint8();
  const step = reader.uint8();
  require(family <= 9, `entropy model ${family} is not known`);
  const [least, most] = family === 0 ? [0, 0] : family === 1 ? [2, 16] : [0, family <= 5 ? 159 : 143];
  const range = `it must be ${least} to ${most}`;
  const isRight = parameter >= least && parameter <= most;
  require(isRight, `the parameter of entropy model ${family} is ${parameter}; ${range}`);
  require(family !== 0 || step === 0, "raw values with a step");
  return { family, parameter, step };
}

/**
 * An image's size.
 *
 * @param {Reader} reader
 * @param {Header} header
 * @param {number} flags
 * @returns {boolean} Whether it has cells.
 */
function readSize(reader, header, flags) {
  header.wide = reader.uint16() + 1;
  header.high = reader.uint16() + 1;
  const longest = Math.max(header.wide, header.high);
  header.halfSides = [header.wide / longest, header.high / longest];
  return Boolean(flags & 32);
}

/**
 * A shape's extents, transform and frame.
 *
 * @param {Reader} reader
 * @param {Header} header
 * @param {number} flags
 * @returns {boolean} Whether it has cells.
 */
function readPlace(reader, header, flags) {
  const extents = reader.uint16();
  header.halfSides = [0, 5, 10].map((shift) => (((extents >> shift) & 31) + 1) / 32);
  const size = flags & 16 ? 8 : 4;
  const packed = reader.take(4 * size);
  const last = packed.length - 1;
  if (packed[last] >> 7) {
    const scale = packed.subarray(-size);
    const a = ((scale[0] | (scale[1] << 8)) << 16) >> 16;
    scale[0] = scale[1] = 0;
    packed[last] &= 127;
    header.frame = [a, reader.int16(), reader.int16()];
    require(header.frame.some((number) => number !== 0), "a frame that turns nothing");
    const isSmall = header.frame.every((number) => Math.abs(number) <= MOST_FRAME);
    require(isSmall, `the frame is ${header.frame}; at most ${MOST_FRAME} is allowed`);
  }
  const view = new DataView(packed.buffer);
  const numbers = [0, 1, 2, 3].map((i) =>
    size === 8 ? view.getFloat64(8 * i, true) : view.getFloat32(4 * i, true),
  );
  header.centre = numbers.slice(0, 3);
  header.scale = numbers[3];
  require(numbers.every(Number.isFinite), "the transform is not finite");
  require(header.scale > 0, "the scale is not above 0");
  const reach = header.scale * (header.frame ? 2 : 1);
  const fits = header.centre.every((c) => Number.isFinite(Math.abs(c) + reach));
  require(fits, "the transform overflows");
  return Boolean(extents >> 15);
}

/**
 * @param {Reader} reader
 * @param {Header} header
 */
function readCuts(reader, header) {
  header.levels = reader.uint8();
  const { levels } = header;
  require(levels >= 1 && levels <= 6, `the cells have ${levels} levels; it must be 1 to 6`);
  for (const cut of reader.take(2 ** levels - 1)) {
    const [axis, position] = [cut >> 6, cut & 63];
    require(axis < header.dims, `a cut across axis ${axis}, which there is not`);
    require(position >= 1, "a cut at 0");
    header.cuts.push([axis, position]);
  }
  checkThickness(header);
}

/**
 * Layer shapes, and how many weights and biases there are.
 *
 * @param {Header} header
 * @param {number} hiddenLayers
 * @param {number} width
 * @param {import("./limits.js").Limits} limits
 */
function countNumbers(header, hiddenLayers, width, limits) {
  header.shapes = [[width, header.dims * (1 + 2 * header.octaves)]];
  for (let layer = 1; layer < hiddenLayers; layer++) header.shapes.push([width, width]);
  header.shapes.push([header.channels, width]);
  const networks = 2 ** header.levels;
  for (const [rows, columns] of header.shapes) {
    header.weightCount += networks * rows * columns;
    header.biasCount += networks * rows;
  }
  const weights = header.weightCount;
  require(weights <= MOST_WEIGHTS, `the networks have ${weights} weights; the format ends at ${MOST_WEIGHTS}`);
  const isSmall = header.projection !== "dense" || header.n * weights <= MOST_DENSE_SIGNS;
  require(isSmall, `a dense projection of ${header.n} numbers to ${weights} is too large`);
  checkCount("the latent has {} numbers", header.n, limits.latents);
  checkCount("the networks have {} weights", weights, limits.weights);
}
