/** The header of a `.doh` file: all that comes before the values. */

import { Reader, crc32 } from "./bytes.js";
import { checkThickness } from "./cells.js";
import { require } from "./errors.js";
import { MOST_DENSE_SIGNS, MOST_LATENTS, MOST_WEIGHTS, checkCount } from "./limits.js";

const VERSION = 1;

/** Versions from here on, and 0, were drafts. */
const FIRST_DRAFT = 128;

/** Of a frame: (sqrt(2) - 1) 2^16. */
const MOST_FRAME = 27146;

/** Bits of the features: 0 to 5 are the kind's own. */
const FRAME = 3;
const FORM = 4;
const GREY = 0;
const CELLS = 6;
const LAYERS = 7;
const ACTIVATION = 8;
const SEED = 9;
const DENSE = 10;
const MODELS = 11;
const OPTIONAL = 12;

/** The features that each kind of signal may have, by its number. */
const KNOWN_FEATURES = [0b1111111111111, 0b1111101000001];

/** Hidden layers and octaves of a standard shape. */
const STANDARD_LAYERS = 0x33;

/** Step index of standard biases. */
const BIAS_STEP = 144;

/** @type {("relu" | "smooth" | "sine")[]} */
const ACTIVATIONS = ["relu", "smooth", "sine"];

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
  const { isImage, has } = readKind(reader);
  const n = reader.varint("n");
  require(n >= 1 && n <= MOST_LATENTS, `n is ${n}; it must be 1 to ${MOST_LATENTS}`);
  const width = reader.uint8() + 1;
  const layers = isImage || has(LAYERS) ? reader.uint8() : STANDARD_LAYERS;
  const hiddenLayers = layers & 15;
  require(hiddenLayers >= 1, "the network has no hidden layer");
  const activation = has(ACTIVATION) ? reader.uint8() : Number(!isImage);
  require(activation < ACTIVATIONS.length, `activation ${activation} is not known`);
  const omega = ACTIVATIONS[activation] === "sine" ? reader.uint8() : 0;
  require(ACTIVATIONS[activation] !== "sine" || omega > 0, "the frequency of the sine is 0");
  const seed = has(SEED) ? reader.uint16() : 0;
  const groups = has(MODELS) ? readGroups(reader) : readStandardGroups(reader);
  /** @type {Header} */
  const header = {
    kind: isImage ? "image" : "occupancy",
    dims: isImage ? 2 : 3,
    channels: isImage && !has(GREY) ? 3 : 1,
    projection: has(DENSE) ? "dense" : "hadamard",
    activation: ACTIVATIONS[activation],
    omega,
    mirrored: isImage ? [false, false] : [has(0), has(1), has(2)],
    octaves: layers >> 4,
    shapes: [],
    n,
    seed,
    ...groups,
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
  if (isImage) readSize(reader, header);
  else readPlace(reader, header, Number(has(FORM)) + 2 * Number(has(FORM + 1)), has(FRAME));
  if (has(CELLS)) readCuts(reader, header);
  if (has(OPTIONAL)) passOptional(reader);
  countNumbers(header, hiddenLayers, width, limits);
  header.end = reader.position;
  return header;
}

/**
 * The kind of signal, and its features.
 *
 * @param {Reader} reader
 * @returns {{isImage: boolean, has: (feature: number) => boolean}}
 */
function readKind(reader) {
  const kind = reader.varint("the kind of signal");
  const number = kind >> 1;
  require(number < KNOWN_FEATURES.length, `kind of signal ${number} is not known`);
  const features = kind & 1 ? reader.varint("the features") : 0;
  require(features !== 0 || !(kind & 1), "features that are none");
  const unknown = features & ~KNOWN_FEATURES[number];
  require(unknown === 0, `feature ${31 - Math.clz32(unknown)} is not known`);
  return { isImage: number === 1, has: (feature) => Boolean((features >> feature) & 1) };
}

/**
 * Fields that no decoder of the signal needs.
 *
 * @param {Reader} reader
 */
function passOptional(reader) {
  const length = reader.varint("the optional fields' length");
  require(length >= 1 && length <= 65535, `the optional fields have ${length} bytes`);
  const block = new Reader(reader.take(length), 0);
  for (let last = 0; block.position < length;) {
    const type = block.varint("the type of an optional field");
    require(type > last, `optional field ${type} follows ${last}`);
    block.take(block.varint("the length of an optional field"));
    last = type;
  }
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
  const version = bytes[3];
  const isDraft = version === 0 || version >= FIRST_DRAFT;
  const which = isDraft ? `draft ${version} of the format` : `version ${version} of the format`;
  require(version === VERSION, `${which} cannot be read; this decoder reads version ${VERSION}`);
  require(bytes.length >= 8, "the file ends within its header");
  const found = new DataView(bytes.buffer, bytes.byteOffset + bytes.length - 4).getUint32(0, true);
  require(crc32(bytes.subarray(0, -4)) === found, "the checksum is wrong: the file is damaged");
}

/**
 * Three bytes: the latent's model and step, and the biases' model.
 *
 * @param {Reader} reader
 * @returns {{latent: Group, biases: Group}}
 */
function readStandardGroups(reader) {
  const [latent, step, biases] = reader.take(3);
  return {
    latent: { family: 6 + (latent >> 6), parameter: 24 + (latent & 63), step },
    biases: { family: 2 + (biases >> 6), parameter: biases & 63, step: BIAS_STEP },
  };
}

/**
 * Five bytes: both families, and the parameter and step of each.
 *
 * @param {Reader} reader
 * @returns {{latent: Group, biases: Group}}
 */
function readGroups(reader) {
  const families = reader.uint8();
  return { latent: readGroup(reader, families & 15), biases: readGroup(reader, families >> 4) };
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
  const [least, most] =
    family === 0 ? [0, 0] : family === 1 ? [2, 16] : [0, family <= 5 ? 159 : 143];
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
 */
function readSize(reader, header) {
  header.wide = reader.uint16() + 1;
  header.high = reader.uint16() + 1;
  const longest = Math.max(header.wide, header.high);
  header.halfSides = [header.wide / longest, header.high / longest];
}

/**
 * A shape's extents, transform and frame.
 *
 * @param {Reader} reader
 * @param {Header} header
 * @param {number} form Of the transform.
 * @param {boolean} hasFrame
 */
function readPlace(reader, header, form, hasFrame) {
  const extents = reader.uint16();
  require(extents < 32768, "bit 15 of the extents is set");
  header.halfSides = [0, 5, 10].map((shift) => (((extents >> shift) & 31) + 1) / 32);
  if (form === 3) {
    const { buffer } = reader.take(32);
    const [x, y, z, scale] = [0, 8, 16, 24].map((at) => new DataView(buffer).getFloat64(at, true));
    header.centre = [x, y, z];
    header.scale = scale;
  } else {
    const mantissa = 256 + reader.uint8();
    const exponent = reader.uint8() - 128;
    const unit = 2 ** (exponent - (form === 0 ? 7 : 15));
    header.scale = mantissa * 2 ** (exponent - 8);
    header.centre = [0, 0, 0].map(() => reader.integer(2 + form) * unit);
  }
  if (hasFrame) {
    header.frame = [reader.integer(2), reader.integer(2), reader.integer(2)];
    require(header.frame.some((number) => number !== 0), "a frame that turns nothing");
    const isSmall = header.frame.every((number) => Math.abs(number) <= MOST_FRAME);
    require(isSmall, `the frame is ${header.frame}; at most ${MOST_FRAME} is allowed`);
  }
  require([...header.centre, header.scale].every(Number.isFinite), "the transform is not finite");
  require(header.scale > 0, "the scale is not above 0");
  const reach = header.scale * (hasFrame ? 2 : 1);
  const fits = header.centre.every((c) => Number.isFinite(Math.abs(c) + reach));
  require(fits, "the transform overflows");
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
  require(weights <=
    MOST_WEIGHTS, `the networks have ${weights} weights; the format ends at ${MOST_WEIGHTS}`);
  const isSmall = header.projection !== "dense" || header.n * weights <= MOST_DENSE_SIGNS;
  require(isSmall, `a dense projection of ${header.n} numbers to ${weights} is too large`);
  checkCount("the latent has {} numbers", header.n, limits.latents);
  checkCount("the networks have {} weights", weights, limits.weights);
}
