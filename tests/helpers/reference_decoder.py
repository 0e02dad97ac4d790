"""A slow decoder of `.doh` files, written from ``docs/format.md`` alone.

It shares no code with the package, so that a disagreement between the two is a bug of one of
them or a gap in the document. Integers are Python's. NumPy reads the tables, rounds to float32
and evaluates the network.
"""

import math
import struct
import zlib
from bisect import bisect_right
from functools import cache
from pathlib import Path

import numpy as np

TABLES = Path(__file__).parents[2] / "doh3d" / "codec" / "entropy_tables.npz"

STEP_MANTISSAS = (8388608, 9147842, 9975792, 10878679, 11863283, 12937002, 14107901, 15384775)
WORD = 2**32
STATE = 2**64
TOTAL = 2**24
# Of a shape's cells, in half sides.
BAND = 0.08


def require(condition, message):
    """Raise ValueError with `message` unless `condition` holds."""
    if not condition:
        raise ValueError(message)


# Header -------------------------------------------------------------------------------------


def parse_header(data):
    """Read all that comes before the values.

    Returns a dict: the fields of the layout by name, and what follows from them
    (``shapes`` of one network, ``weight_count`` and ``bias_count`` of all, ``end`` = the header's
    length in bytes). ``levels`` is 0 where there are no cells.
    """
    require(len(data) >= 8, "too short for magic, version and checksum")
    require(data[:3] == b"\xd0\x4f\x48", "wrong magic")
    require(data[3] == 1, "unknown version")
    body = data[:-4]
    require(zlib.crc32(body) == int.from_bytes(data[-4:], "little"), "wrong checksum")
    position = 4

    def take(count):
        nonlocal position
        require(position + count <= len(body), "the header is cut short")
        position += count
        return body[position - count : position]

    kind = varint(take)
    require(kind >> 1 <= 1, "unknown kind")
    image = kind >> 1 == 1
    features = varint(take) if kind & 1 else 0
    require(not kind & 1 or features, "no features after all")
    require(features >> 13 == 0, "a reserved feature")
    header = {
        "kind": "image" if image else "occupancy",
        "channels": 3 if image and not features & 1 else 1,
        "projection": "dense" if features >> 10 & 1 else "hadamard",
        "mirrored": [bool(features >> axis & 1) and not image for axis in range(3)],
    }
    if image:
        require(features & 0b10111110 == 0, "a feature that images do not have")
    header["n"] = n = varint(take)
    require(1 <= n <= 1048576, "n out of range")
    read_network(header, take, features)
    header["seed"] = int.from_bytes(take(2), "little") if features >> 9 & 1 else 0
    read_models(header, take, features)
    if image:
        header["pixels_wide"] = int.from_bytes(take(2), "little") + 1
        header["pixels_high"] = int.from_bytes(take(2), "little") + 1
    else:
        extents = int.from_bytes(take(2), "little")
        require(extents >> 15 == 0, "a reserved bit of the extents")
        header["extents"] = tuple(extents >> shift & 31 for shift in (0, 5, 10))
        read_transform(header, take, features)
    header["levels"], header["cuts"] = 0, []
    if features >> 6 & 1:
        read_cuts(header, take)
    header["fields"] = read_fields(take) if features >> 12 & 1 else {}

    columns = (2 if image else 3) * (1 + 2 * header["octaves"])
    width = header["width"]
    header["shapes"] = [(width, columns)]
    header["shapes"] += [(width, width)] * (header["hidden_layers"] - 1)
    header["shapes"] += [(header["channels"], width)]
    networks = 2 ** header["levels"]
    header["weight_count"] = networks * sum(rows * columns for rows, columns in header["shapes"])
    header["bias_count"] = networks * sum(rows for rows, _ in header["shapes"])
    require(header["weight_count"] <= 941568, "too many weights")
    if header["projection"] == "dense":
        require(n * header["weight_count"] <= 2**27, "dense projection too large")
    header["end"] = position
    return header


def varint(take, most=3):
    """Seven bits a byte, lowest first."""
    number = 0
    for index in range(most):
        byte = take(1)[0]
        number |= (byte & 127) << (7 * index)
        if byte < 128:
            require(byte != 0 or index == 0, "varint with a superfluous byte")
            return number
    raise ValueError("varint of too many bytes")


def read_network(header, take, features):
    """Read width, layers and activation into `header`."""
    image = header["kind"] == "image"
    header["width"] = take(1)[0] + 1
    layers = take(1)[0] if image or features >> 7 & 1 else 3 | 3 << 4
    header["hidden_layers"] = layers & 15
    header["octaves"] = layers >> 4
    require(header["hidden_layers"] >= 1, "no hidden layer")
    number = take(1)[0] if features >> 8 & 1 else (0 if image else 1)
    require(number <= 2, "unknown activation")
    header["activation"] = ("relu", "smooth", "sine")[number]
    header["omega"] = take(1)[0] if number == 2 else None
    require(header["omega"] != 0, "a sine without a frequency")


def read_models(header, take, features):
    """Read families, parameters and steps of both groups into `header`."""
    if features >> 11 & 1:
        families = take(1)[0]
        header["latent_family"] = families & 15
        header["bias_family"] = families >> 4
        for group in ("latent", "bias"):
            header[f"{group}_parameter"], header[f"{group}_step"] = take(2)
    else:
        latent, header["latent_step"], biases = take(3)
        header["latent_family"], header["latent_parameter"] = 6 + (latent >> 6), 24 + (latent & 63)
        header["bias_family"], header["bias_parameter"] = 2 + (biases >> 6), biases & 63
        header["bias_step"] = 144
    for group in ("latent", "bias"):
        family, parameter = header[f"{group}_family"], header[f"{group}_parameter"]
        require(family <= 9, "unknown family")
        if family == 0:
            require(parameter == 0, "a raw group with a parameter")
            require(header[f"{group}_step"] == 0, "a raw group with a step")
        elif family == 1:
            require(2 <= parameter <= 16, "fixed length out of range")
        else:
            require(parameter <= (159 if family <= 5 else 143), "scale index out of range")


def read_transform(header, take, features):
    """Read a shape's transform into `header`: centre, scale, and the frame or None."""
    form = features >> 4 & 3
    if form == 3:
        *centre, scale = struct.unpack("<4d", take(32))
    else:
        m, e = take(2)
        e -= 128
        scale = (256 + m) * 2.0 ** (e - 8)
        size, unit = ((2, 2.0 ** (e - 7)), (3, 2.0 ** (e - 15)), (4, 2.0 ** (e - 15)))[form]
        centre = [int.from_bytes(take(size), "little", signed=True) * unit for _ in range(3)]
    header["form"], header["centre"], header["scale"] = form, tuple(centre), scale
    require(all(map(math.isfinite, [*centre, scale])), "transform is not finite")
    require(scale > 0, "scale is not positive")
    header["frame"] = None
    if features >> 3 & 1:
        header["frame"] = struct.unpack("<3h", take(6))
        require(any(header["frame"]), "a frame that turns nothing")
        require(max(map(abs, header["frame"])) <= 27146, "a frame out of range")
    reach = scale * (2 if header["frame"] else 1)
    require(all(math.isfinite(abs(c) + reach) for c in centre), "transform overflows")


def read_fields(take):
    """The optional fields: content by type, that of types 1 to 4 decoded."""
    left = varint(take)
    require(1 <= left <= 65535, "a block of optional fields of no or too many bytes")

    def within(count):
        nonlocal left
        left -= count
        require(left >= 0, "an optional field ends beyond the block")
        return take(count)

    fields, last = {}, 0
    while left:
        number = varint(within)
        require(number > last, "types of optional fields do not ascend")
        fields[number] = within(varint(within))
        last = number
    decoders = {1: read_lattice, 2: read_affine, 3: read_label, 4: read_name}
    return {number: decoders.get(number, bytes)(content) for number, content in fields.items()}


def varints(content, count, most=3):
    """The `count` varints that are all of a field's content."""
    content = list(content)

    def take(_):
        require(content, "an optional field is cut short")
        return [content.pop(0)]

    numbers = [varint(take, most) for _ in range(count)]
    require(not content, "an optional field is too long")
    return numbers


def read_lattice(content):
    sides = varints(content, 3)
    require(all(1 <= side <= 65536 for side in sides), "lattice out of range")
    return tuple(sides)


def read_affine(content):
    require(len(content) >= 3, "an affine without its codes")
    codes, numbers = int.from_bytes(content[:3], "little"), []
    position = 3
    for place in range(12):
        code = codes >> 2 * place & 3
        require(code < 3, "a number of the affine is kept in no known way")
        require(position + 4 * code <= len(content), "an affine is cut short")
        number = struct.unpack_from(("<0d", "<f", "<d")[code], content, position) or (0.0,)
        numbers += number
        position += 4 * code
        with np.errstate(over="ignore"):
            narrow = float(np.float32(number[0])) == number[0]
        fewest = 0 if struct.pack("<d", *number) == bytes(8) else 1 if narrow else 2
        require(code == fewest, "a number of the affine takes more bytes than it needs")
    require(position == len(content), "an affine is too long")
    require(all(map(math.isfinite, numbers)), "affine is not finite")
    numbers = tuple(numbers)
    return numbers[:4], numbers[4:8], numbers[8:]


def read_label(content):
    (folded,) = varints(content, 1, 8)
    label = -(folded + 1) // 2 if folded % 2 else folded // 2
    require(abs(label) < 2**53, "label out of range")
    return label


def read_name(content):
    require(1 <= len(content) <= 255, "name too short or too long")
    name = content.decode("utf-8")
    require(not any(c <= "\x1f" or "\x7f" <= c <= "\x9f" for c in name), "a control character")
    return name


def read_cuts(header, take):
    """Read the cells' cuts, (axis, position) each, into `header`."""
    header["levels"] = take(1)[0]
    require(1 <= header["levels"] <= 6, "levels out of range")
    header["cuts"] = [(cut >> 6, cut & 63) for cut in take(2 ** header["levels"] - 1)]
    for axis, position in header["cuts"]:
        require(axis <= (1 if header["kind"] == "image" else 2), "no such axis")
        require(position >= 1, "a cut at 0")
    for low, high in cell_corners(header):
        thin = any(np.float32(a) == np.float32(b) for a, b in zip(low, high, strict=True))
        require(not thin, "a cell is too thin")


# Cells --------------------------------------------------------------------------------------


def whole_box(header):
    """The corners of the box that cells divide."""
    if header["kind"] == "image":
        wide, high = header["pixels_wide"], header["pixels_high"]
        upper = [wide / max(wide, high), high / max(wide, high)]
    else:
        upper = [(e + 1) / 32 for e in header["extents"]]
    lower = [0.0 if header["mirrored"][axis] else -side for axis, side in enumerate(upper)]
    return lower, upper


def parts(low, high, cut):
    """The lower and the upper part of a box, and where they meet."""
    axis, position = cut
    at = low[axis] + (high[axis] - low[axis]) * (position / 64)
    upper_low, lower_high = list(low), list(high)
    upper_low[axis] = lower_high[axis] = at
    return (low, lower_high), (upper_low, high), at


def cell_corners(header):
    """The corners of every cell, not rounded."""
    boxes = [whole_box(header)]
    for cut in header["cuts"]:
        # Breadth first: the part that has waited longest is the next to be cut.
        low, high = boxes.pop(0)
        boxes += parts(low, high, cut)[:2]
    return boxes


def cell_of(header, point):
    """The cell of an image's point."""
    low, high = whole_box(header)
    k = 0
    for _ in range(header["levels"]):
        axis = header["cuts"][k][0]
        lower, upper, at = parts(low, high, header["cuts"][k])
        is_upper = np.float32(point[axis]) >= np.float32(at)
        low, high = upper if is_upper else lower
        k = 2 * k + (2 if is_upper else 1)
    return k - (2 ** header["levels"] - 1)


def weights_of_cell(header, low, high, x):
    """The weights of a shape's cell between two corners at (N, d) folded points, (N,)."""
    product = np.ones(len(x))
    whole_low, whole_high = whole_box(header)
    for axis, u in enumerate(place_in(low, high, x).T):
        if low[axis] != whole_low[axis]:
            product *= ((1 + BAND + u) / (2 * BAND)).clip(0, 1)
        if high[axis] != whole_high[axis]:
            product *= ((1 + BAND - u) / (2 * BAND)).clip(0, 1)
    return product


def place_in(low, high, x):
    """What the network of the cell between two corners is given for (N, d) points."""
    low, high = (np.array(corner, np.float32).astype(np.float64) for corner in (low, high))
    m, r = ((low + high) / 2).astype(np.float32), ((high - low) / 2).astype(np.float32)
    return (x - m.astype(np.float64)) / r.astype(np.float64)


# Entropy coding -----------------------------------------------------------------------------


class RangeDecoder:
    """The range coder: 64-bit state, 32-bit words, 24-bit probabilities."""

    def __init__(self, stream):
        self.stream = stream
        self.words_read = 0
        self.lower = 0
        self.range = STATE - 1
        self.point = self.next_word() * WORD
        self.point += self.next_word()

    def next_word(self):
        start = 4 * self.words_read
        self.words_read += 1
        return int.from_bytes(self.stream[start : start + 4].ljust(4, b"\0"), "big")

    def symbol(self, cumulative):
        """Decode one symbol under C_0 = 0 < C_1 < ... < C_m = 2^24."""
        scale = self.range // TOTAL
        t = (self.point - self.lower) % STATE // scale
        require(t < TOTAL, "the stream is damaged")
        k = bisect_right(cumulative, t) - 1
        self.lower = (self.lower + scale * cumulative[k]) % STATE
        self.range = scale * (cumulative[k + 1] - cumulative[k])
        if self.range < WORD:
            self.lower = self.lower * WORD % STATE
            self.range = self.range * WORD % STATE
            self.point = (self.point * WORD + self.next_word()) % STATE
        return k

    def finish(self):
        require(len(self.stream) <= 4 * self.words_read, "bytes after the stream")


def equal_frequencies(bits):
    return range(0, TOTAL + 1, TOTAL >> bits)


@cache
def table(family, row):
    """Cumulative frequencies of the 257 symbols of a row of a family's table."""
    with np.load(TABLES) as tables:
        f = [int(x) for x in tables["frequencies"][family - 2, row]]
    cumulative = [0]
    for k in range(257):
        cumulative.append(cumulative[-1] + f[abs(k - 128)])
    assert cumulative[-1] == TOTAL
    return cumulative


def decode_group(decoder, family, parameter, count):
    """Decode the `count` integers of a group under a family other than raw."""
    if family >= 6:
        sizes = (count - count // 2, count // 2 - count // 8, count // 8)
        values = []
        for part, (size, factor) in enumerate(zip(sizes, (4, 2, 1), strict=True)):
            found = decode_group(decoder, family - 4, parameter + 8 * part, size)
            values += [factor * v for v in found]
        require(all(-32767 <= v <= 32767 for v in values), "a value out of range")
        return values
    if family == 1:
        model = equal_frequencies(parameter)
        values = [decoder.symbol(model) - 2 ** (parameter - 1) for _ in range(count)]
    else:
        shift = 0 if parameter < 64 else (parameter - 56) // 8
        row = parameter if parameter < 64 else 56 + parameter % 8
        model = table(family, row)
        values = [decoder.symbol(model) - 128 for _ in range(count)]
        remainders = [0] * count
        if shift > 0:
            model = equal_frequencies(shift)
            remainders = [decoder.symbol(model) for _ in range(count)]
        model = equal_frequencies(16)
        for index, v in enumerate(values):
            if abs(v) == 128:
                e = decoder.symbol(model)
                values[index] = v + e if v > 0 else v - e
        values = [v * 2**shift + r - 2**shift // 2 for v, r in zip(values, remainders, strict=True)]
    require(all(-32767 <= v <= 32767 for v in values), "a value out of range")
    return values


def parse(data):
    """Read a whole file: the header's fields, and ``latent`` and ``biases``.

    A quantised group is a list of ints, its levels; a raw one is a list of floats.
    """
    data = bytes(data)
    parsed = parse_header(data)
    rest = data[parsed["end"] : -4]
    sizes = {"latent": parsed["n"], "bias": parsed["bias_count"]}
    values = {}
    for group, count in sizes.items():
        if parsed[f"{group}_family"] == 0:
            require(len(rest) >= 4 * count, "raw values are cut short")
            values[group] = list(struct.unpack(f"<{count}f", rest[: 4 * count]))
            require(all(map(math.isfinite, values[group])), "a raw value is not finite")
            rest = rest[4 * count :]
    if len(values) == 2:
        require(not rest, "bytes after the raw values")
    else:
        decoder = RangeDecoder(rest)
        for group, count in sizes.items():
            if group not in values:
                family, parameter = parsed[f"{group}_family"], parsed[f"{group}_parameter"]
                values[group] = decode_group(decoder, family, parameter, count)
        decoder.finish()
    parsed["latent"], parsed["biases"] = values["latent"], values["bias"]
    return parsed


# Randomness ---------------------------------------------------------------------------------


def philox(counter, key):
    """Philox4x32-10 of Salmon et al., SC 2011."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        product0, product1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (
            (product1 >> 32) ^ c1 ^ k0,
            product1 % WORD,
            (product0 >> 32) ^ c3 ^ k1,
            product0 % WORD,
        )
        k0, k1 = (k0 + 0x9E3779B9) % WORD, (k1 + 0xBB67AE85) % WORD
    return c0, c1, c2, c3


class Words:
    """The words of the sequence (seed, layer, stream)."""

    def __init__(self, seed, layer, stream):
        self.seed, self.layer, self.stream = seed, layer, stream
        self.blocks = {}

    def word(self, i):
        block = i // 4
        if block not in self.blocks:
            counter = (block % WORD, block // WORD, self.layer, self.stream)
            self.blocks[block] = philox(counter, (self.seed, 0))
        return self.blocks[block][i % 4]

    def sign(self, i):
        return -1 if self.word(i // 32) >> (i % 32) & 1 else 1


# Projections --------------------------------------------------------------------------------


def dense(seed, layer, latent, count):
    """The sums of `count` weights: exact where the latent is of ints."""
    signs = Words(seed, layer, 3)
    n = len(latent)
    return [sum(signs.sign(p * n + j) * latent[j] for j in range(n)) for p in range(count)]


def hadamard(seed, latent, count):
    """The sums of all `count` weights: exact where the latent is of ints."""
    n = len(latent)
    size = 1
    while size < n:
        size *= 2
    signs_in, order_words, signs_out = (Words(seed, 0, stream) for stream in range(3))
    sums = []
    for k in range(-(-count // size)):
        u = [signs_in.sign(k * size + j) * latent[j] for j in range(n)] + [0] * (size - n)
        half = 1
        while half < size:
            for start in range(0, size, 2 * half):
                for j in range(start, start + half):
                    u[j], u[j + half] = u[j] + u[j + half], u[j] - u[j + half]
            half *= 2
        order = sorted(range(size), key=lambda j, k=k: (order_words.word(k * size + j), j))
        for i in range(min(size, count - k * size)):
            sums.append(signs_out.sign(k * size + i) * u[order[i]])
    return sums


# Network ------------------------------------------------------------------------------------


def step(index):
    return STEP_MANTISSAS[index % 8] * 2.0 ** (index // 8 - 47)


def layer_scale(parsed, layer):
    columns = parsed["shapes"][layer][1]
    if parsed["activation"] == "smooth" and layer == 0:
        return math.sqrt(2 / sum(factor * factor for factor in column_factors(parsed)))
    if parsed["activation"] != "sine":
        last = layer == len(parsed["shapes"]) - 1
        return math.sqrt((1 if last else 2) / columns)
    if layer == 0:
        return 1 / (columns * math.sqrt(3))
    return math.sqrt(2 / columns) / parsed["omega"]


def column_factors(parsed):
    """Of the first layer of a smooth network."""
    features = len(parsed["mirrored"]) if parsed["kind"] == "occupancy" else 2
    return [
        *[1.0] * features,
        *(0.75**octave for octave in range(parsed["octaves"]) for _ in range(2 * features)),
    ]


def weights(parsed):
    """The K cells' networks: lists of (K, rows, columns) and (K, rows) float32 arrays."""
    raw = parsed["latent_family"] == 0
    matrices = []
    seed, latent = parsed["seed"], parsed["latent"]
    networks = 2 ** parsed["levels"]
    run = hadamard(seed, latent, parsed["weight_count"]) if parsed["projection"] != "dense" else []
    for layer, (rows, columns) in enumerate(parsed["shapes"]):
        count = networks * rows * columns
        sums = dense(seed, layer, latent, count) if parsed["projection"] == "dense" else run[:count]
        run = run[count:]
        scale = layer_scale(parsed, layer)
        if not raw:
            scale *= step(parsed["latent_step"])
        # A sum of levels is below 2^53, so that going through double precision rounds once.
        matrix = np.array(sums, np.float64).astype(np.float32).reshape(networks, rows, columns)
        scales = [scale] * columns
        if parsed["activation"] == "smooth" and layer == 0:
            scales = [scale * factor for factor in column_factors(parsed)]
        matrices.append(matrix * np.array(scales, np.float64).astype(np.float32))

    flat = np.array(parsed["biases"], np.float64).astype(np.float32)
    if parsed["bias_family"] != 0:
        flat = flat * np.float32(step(parsed["bias_step"]))
    flat = flat.reshape(networks, -1)
    biases, start = [], 0
    for rows, _ in parsed["shapes"]:
        biases.append(flat[..., start : start + rows])
        start += rows
    return matrices, biases


def logits(parsed, points):
    """The network at normalised points (N, 3), in double precision: (N,) float64.

    The extents play no part: outside of them the field is outside whatever the network says.
    """
    x = np.asarray(points, np.float64)
    return network(parsed, np.where(parsed["mirrored"], np.abs(x), x))[:, 0]


def rotation(parsed):
    """The matrix R of a shape's frame, as rows of Python's floats."""
    a, b, c = parsed["frame"] or (0, 0, 0)
    w = 65536
    rows = [
        [w * w + a * a - b * b - c * c, 2 * (a * b - w * c), 2 * (a * c + w * b)],
        [2 * (a * b + w * c), w * w - a * a + b * b - c * c, 2 * (b * c - w * a)],
        [2 * (a * c - w * b), 2 * (b * c + w * a), w * w - a * a - b * b + c * c],
    ]
    return [[number / (w * w + a * a + b * b + c * c) for number in row] for row in rows]


def to_world(parsed, points):
    """Normalised points (N, 3) in the mesh's own units, (N, 3) float64."""
    turned = np.asarray(points, np.float64) @ np.array(rotation(parsed)).T
    return np.array(parsed["centre"]) + parsed["scale"] * turned


def pixels(parsed):
    """The image, (height, width, channels) uint8."""
    wide, high = parsed["pixels_wide"], parsed["pixels_high"]
    longest = max(wide, high)
    points = [
        ((2 * column + 1 - wide) / longest, (2 * row + 1 - high) / longest)
        for row in range(high)
        for column in range(wide)
    ]
    values = network(parsed, np.array(points))
    rounded = np.rint(127.5 + 127.5 * values).clip(0, 255)
    return rounded.astype(np.uint8).reshape(high, wide, parsed["channels"])


def network(parsed, x):
    """The network at (N, d) points in double precision, (N, numbers out) float64."""
    matrices, biases = weights(parsed)
    if not parsed["levels"]:
        return one_network(parsed, [m[0] for m in matrices], [b[0] for b in biases], x)
    found, total = np.zeros((len(x), parsed["channels"])), np.zeros((len(x), 1))
    if parsed["kind"] == "image":
        cells = np.array([cell_of(parsed, point) for point in x])
    for k, (low, high) in enumerate(cell_corners(parsed)):
        if parsed["kind"] == "image":
            weight = (cells == k).astype(float)
        else:
            weight = weights_of_cell(parsed, low, high, x)
        own = [matrix[k] for matrix in matrices], [bias[k] for bias in biases]
        near = weight > 0
        values = one_network(parsed, *own, place_in(low, high, x[near]))
        found[near] += weight[near, None] * values
        total[near] += weight[near, None]
    return found / total


def activation(parsed, u):
    if parsed["activation"] == "sine":
        return np.sin(parsed["omega"] * u)
    if parsed["activation"] == "smooth":
        return np.where(np.abs(u) < 1, (u + 1) ** 2 / 4, np.maximum(u, 0))
    return np.maximum(u, 0)


def one_network(parsed, matrices, biases, x):
    """One network at the numbers that it is given."""
    features = [x]
    for octave in range(parsed["octaves"]):
        features += [np.sin(2**octave * np.pi * x), np.cos(2**octave * np.pi * x)]
    v = np.concatenate(features, axis=1)
    for layer, (matrix, bias) in enumerate(zip(matrices, biases, strict=True)):
        v = v @ matrix.astype(np.float64).T + bias.astype(np.float64)
        if layer < len(matrices) - 1:
            v = activation(parsed, v)
    return v
