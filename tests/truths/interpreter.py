"""A controller in Python: runs the bytes of a program word by word, in float64, on a network's own weights.

Bytes are decoded here again from their description in mapping/program/image.py and instructions.py. Reads gather the
rows of each tile at each position and multiply; they run at the WAIT that ends their round, and nothing may happen
before it.
State memory is by address: writing a buffer makes NaN of every other buffer that shares a byte with it.
"""

import hashlib
import itertools
import struct
from types import SimpleNamespace

import numpy as np

from eqprop import CrossEntropy, EnergyNetwork

NONE = 0xFFFFFFFF
ROWS = (  # table, struct format of a row, fields as (name, numbers)
    ("buffers", "2I", "address bytes"),
    ("layers", "8I2d", "shape:3 state constant drive snapshot captured clip:2"),
    ("couplings", "9I", "pre post first_matrix matrices pool_kernel pool_stride sums maxima logits"),
    (
        "matrices",
        "23I",
        "coupling kind pre_shape:3 post_shape:3 kernel:2 stride:2 padding:2 row_order rows columns "
        "forward_from forward_to transposed_from transposed_to first_replica replicas",
    ),
    ("replicas", "6I", "vertical:2 horizontal:2 first_tile tiles"),
    ("tiles", "7I", "rows:2 columns:2 crossbar at:2"),
    ("sections", "I", "first_word"),
)
NAMED = ("buffers", "layers", "couplings", "matrices", "sections")
WORDS = (
    "HALT", "LOOP", "END", "BETA", "RESET", "CLEAR", "READ", "WAIT", "KEEP", "POOL", "UPDATE", "ERROR", "SNAPSHOT",
    "RESTORE", "CAPTURE", "CONTRAST", "ANSWER",
)  # fmt: skip


def decode(image: bytes) -> SimpleNamespace:
    assert hashlib.sha256(image[:-32]).digest() == image[-32:]
    magic, version, memory, width, *counts, name_bytes, words = struct.unpack_from("<8s12I", image)
    assert (magic, version) == (b"EPSTEP\0\0", 1)
    at, decoded = 56, SimpleNamespace(memory_bytes=memory, state_bytes=width)
    for (table, form, spelled), count in zip(ROWS, counts, strict=True):
        rows = []
        for _ in range(count):
            numbers = iter(struct.unpack_from("<" + form, image, at))
            at += struct.calcsize("<" + form)
            row = SimpleNamespace()
            for field in spelled.split():
                name, _, several = field.partition(":")
                value = [next(numbers) for _ in range(int(several or 1))]
                setattr(row, name, value if several else value[0])
            rows.append(row)
        setattr(decoded, table, rows)
    end = at + name_bytes
    for row in itertools.chain(*(getattr(decoded, table) for table in NAMED)):
        (length,) = struct.unpack_from("<H", image, at)
        row.name = image[at + 2 : at + 2 + length].decode()
        at += 2 + length
    assert at == end
    at += -at % 8
    assert at + 8 * words + 32 == len(image)
    decoded.code = [
        (WORDS[word >> 56], word >> 48 & 0xFF, word >> 32 & 0xFFFF, word & 0xFFFFFFFF)
        for (word,) in struct.iter_unpack("<Q", image[at:-32])
    ]
    return decoded


class Controller:
    """Runs one EP step of one sample.

    Attributes:
        phases: states of every layer after each phase, flat, by name.
        rounds: reads of each round, (matrix, transposed, replica), in order.
        answer: the reported class.
        contrasts: matrix, sign, captured states and states of each contrast.
        closest: the smallest lead of a window's maximum over its runner-up, unless both are exactly zero.
    """

    def __init__(self, image: bytes, network: EnergyNetwork, x: dict[str, np.ndarray], target: int, beta: float):
        self.program = p = decode(image)
        self.network, self.target, self.beta, self.sign = network, target, beta, 0
        self.values = [np.full(0, np.nan) for _ in p.buffers]
        self.sharing = [
            [j for j, b in enumerate(p.buffers) if j != i and a.address < b.address + b.bytes
             and b.address < a.address + a.bytes] for i, a in enumerate(p.buffers)
        ]  # fmt: skip
        assert all(b.address % 4 == 0 and b.address + b.bytes <= p.memory_bytes for b in p.buffers)
        self.weights = [self.weight_of(matrix) for matrix in p.matrices]
        self.gathered: dict[tuple[int, int], np.ndarray] = {}
        self.phases, self.rounds, self.contrasts = [], [], []
        self.answer, self.closest = None, np.inf
        for layer in p.layers:
            if layer.name in x:
                self.write(layer.state, x[layer.name].reshape(-1).astype(float))

    def write(self, buffer: int, values: np.ndarray) -> None:
        row = self.program.buffers[buffer]
        kind = row.name.rpartition(".")[2]
        width = {"state": self.program.state_bytes, "maxima": 1}.get(kind, 4)
        width = self.program.state_bytes if kind in ("snapshot", "captured") else width
        assert row.bytes == width * values.size, row.name
        self.values[buffer] = values.copy()
        for other in self.sharing[buffer]:
            self.values[other] = np.full(self.values[other].shape, np.nan)

    def run(self) -> "Controller":
        position, loops, started = 0, [], []
        while True:
            name, flags, index, number = self.program.code[position]
            position += 1
            assert not started or name in ("READ", "WAIT"), f"{name} while reads run"
            if name == "HALT":
                assert not loops
                return self
            if name == "LOOP":
                loops.append([position, number])
            elif name == "END":
                loops[-1][1] -= 1
                if loops[-1][1]:
                    position = loops[-1][0]
                elif loops.pop() and not loops:
                    self.phases.append(self.states("state"))
            elif name == "READ":
                started.append((index, flags, number))
            elif name == "WAIT":
                self.round(started)
                started = []
            else:
                getattr(self, f"do_{name.lower()}")(flags, index, number)

    def states(self, kind: str) -> dict[str, np.ndarray]:
        rows = [(layer.name, getattr(layer, kind)) for layer in self.program.layers]
        return {name: self.values[buffer].copy() for name, buffer in rows if buffer != NONE}

    # States, drives and the cost

    def do_beta(self, flags, index, number):
        (self.sign,) = struct.unpack("<i", struct.pack("<I", number))

    def do_reset(self, flags, index, number):
        layer = self.program.layers[index]
        self.write(layer.state, np.clip(np.zeros(int(np.prod(layer.shape))), *layer.clip))

    def do_clear(self, flags, index, number):
        self.write(index, np.zeros(self.program.buffers[index].bytes // 4))

    def do_keep(self, flags, index, number):
        layer = self.program.layers[index]
        self.write(layer.constant, self.bias(layer) + self.values[layer.drive])

    def do_update(self, flags, index, number):
        layer = self.program.layers[index]
        constant = self.bias(layer) if layer.constant == NONE else self.values[layer.constant]
        drive, stiffness = constant + self.values[layer.drive], self.network.layers[layer.name].stiffness
        if flags:
            strength = self.sign * self.beta
            drive, stiffness = drive + strength * self.one_hot(drive.size), stiffness + strength
        self.write(layer.state, np.clip(drive / stiffness, *layer.clip))

    def do_error(self, flags, index, number):
        logits = self.logits(index)
        powers = np.exp(logits - logits.max())
        self.write(self.program.couplings[index].logits, powers / powers.sum() - self.one_hot(logits.size))

    def do_answer(self, flags, index, number):
        values = self.logits(number) if flags else self.values[self.program.layers[number].state]
        assert not np.isnan(values).any()
        self.answer = int(values.argmax())

    def do_snapshot(self, flags, index, number):
        self.write(self.program.layers[index].snapshot, self.values[self.program.layers[index].state])

    def do_restore(self, flags, index, number):
        self.write(self.program.layers[index].state, self.values[self.program.layers[index].snapshot])

    def do_capture(self, flags, index, number):
        self.write(self.program.layers[index].captured, self.values[self.program.layers[index].state])

    def do_contrast(self, flags, index, number):
        matrix = self.program.matrices[index].name
        self.contrasts.append((matrix, self.sign, self.states("captured"), self.states("state")))

    def bias(self, layer) -> np.ndarray:
        bias = self.network.biases[layer.name].detach().double().numpy()
        return np.repeat(bias, layer.shape[1] * layer.shape[2])

    def logits(self, coupling: int) -> np.ndarray:
        assert isinstance(self.network.cost, CrossEntropy)
        return self.values[self.program.couplings[coupling].logits] + self.network.cost.bias.detach().double().numpy()

    def one_hot(self, size: int) -> np.ndarray:
        return np.array([float(unit == self.target) for unit in range(size)])

    # Pooling

    def windows(self, coupling):
        """(output, {place in the window: unit of the sums}) of every window."""
        last = self.program.matrices[coupling.first_matrix + coupling.matrices - 1]
        channels, height, width = last.post_shape
        kernel, stride = coupling.pool_kernel, coupling.pool_stride
        tops, lefts = range(0, height - kernel + 1, stride), range(0, width - kernel + 1, stride)
        for output, (c, top, left) in enumerate(itertools.product(range(channels), tops, lefts)):
            places = itertools.product(range(kernel), range(kernel))
            yield output, [c * height * width + (top + y) * width + left + x for y, x in places]

    def do_pool(self, flags, index, number):
        coupling = self.program.couplings[index]
        sums, places = self.values[coupling.sums], []
        if flags & 1:
            drive = self.values[self.program.layers[coupling.post].drive].copy()
        for output, window in self.windows(coupling):
            seen = sums[window]
            places.append(int(seen.argmax()))
            if flags & 1:
                drive[output] += seen.max()
            others = np.delete(seen, places[-1])
            if others.size and (seen.max() != 0.0 or others.max() != 0.0):
                self.closest = min(self.closest, seen.max() - others.max())
        if flags & 1:
            self.write(self.program.layers[coupling.post].drive, drive)
        if flags & 2:
            self.write(coupling.maxima, np.array(places, dtype=float))

    def unpooled(self, coupling) -> np.ndarray:
        """States of the post layer where the maxima were."""
        last = self.program.matrices[coupling.first_matrix + coupling.matrices - 1]
        image = np.zeros(int(np.prod(last.post_shape)))
        post, maxima = self.values[self.program.layers[coupling.post].state], self.values[coupling.maxima]
        for output, window in self.windows(coupling):
            image[window[int(maxima[output])]] += post[output]
        return image

    # Reads

    def round(self, reads) -> None:
        """All reads of a round, from what is in memory now; each crossbar serves one of them."""
        p = self.program
        busy: set[int] = set()
        for index, _, number in reads:
            replica = p.replicas[p.matrices[index].first_replica + number]
            assert number < p.matrices[index].replicas
            crossbars = {t.crossbar for t in p.tiles[replica.first_tile : replica.first_tile + replica.tiles]}
            assert not busy & crossbars, "two reads of a round share a crossbar"
            busy |= crossbars
        self.rounds.append({(p.matrices[index].name, bool(flags), number) for index, flags, number in reads})
        assert len(self.rounds[-1]) == len(reads), "a read twice in a round"
        shares = [self.read(index, bool(flags), number) for index, flags, number in reads]
        for buffer, share in shares:
            self.write(buffer, self.values[buffer] + share)

    def read(self, index: int, transposed: bool, number: int):
        """(buffer, what the read adds to it)."""
        p, matrix, weight = self.program, self.program.matrices[index], self.weights[index]
        coupling = p.couplings[matrix.coupling]
        source = self.values[matrix.transposed_from if transposed else matrix.forward_from]
        last = index == coupling.first_matrix + coupling.matrices - 1
        if transposed and last and coupling.pool_kernel:
            source = self.unpooled(coupling)
        sizes = int(np.prod(matrix.pre_shape)), int(np.prod(matrix.post_shape))
        share = np.zeros(sizes[0] + 1 if transposed else sizes[1])  # the last one is what lies in the padding
        replica = p.replicas[matrix.first_replica + number]
        for tile in range(replica.first_tile, replica.first_tile + replica.tiles):
            rows, columns = range(*p.tiles[tile].rows), range(*p.tiles[tile].columns)
            block = weight[rows.start : rows.stop, columns.start : columns.stop]
            for position, inputs in self.positions(matrix, replica, tile, rows):
                outputs = [column * self.plane(matrix) + position for column in columns]
                if transposed:
                    np.add.at(share, inputs, block @ source[outputs])
                else:
                    share[outputs] += np.append(source, 0.0)[inputs] @ block
        if transposed and coupling.post == NONE and index == coupling.first_matrix:
            share *= -self.sign * self.beta
        return (matrix.transposed_to, share[:-1]) if transposed else (matrix.forward_to, share)

    def plane(self, matrix) -> int:
        return matrix.post_shape[1] * matrix.post_shape[2] if matrix.kind == 1 else 1

    def positions(self, matrix, replica, tile: int, rows: range):
        """Every position of a replica, and the input unit behind each row there (one past the last is padding)."""
        if tile not in self.gathered:
            found = []
            for y, x in itertools.product(range(*replica.vertical), range(*replica.horizontal)):
                position = y * matrix.post_shape[2] + x if matrix.kind == 1 else 0
                found.append((position, np.array([self.unit_behind(matrix, row, y, x) for row in rows])))
            self.gathered[tile] = found
        return self.gathered[tile]

    def unit_behind(self, matrix, row: int, y: int, x: int) -> int:
        if matrix.kind == 0:
            return row
        channels, height, width = matrix.pre_shape
        channel, down, across = self.tap(matrix, row)
        down += y * matrix.stride[0] - matrix.padding[0]
        across += x * matrix.stride[1] - matrix.padding[1]
        inside = 0 <= down < height and 0 <= across < width
        return (channel * height + down) * width + across if inside else channels * height * width

    def tap(self, matrix, row: int) -> tuple[int, int, int]:
        taps = matrix.kernel[0] * matrix.kernel[1]
        channel, tap = divmod(row, taps) if matrix.row_order == 1 else reversed(divmod(row, matrix.pre_shape[0]))
        return channel, *divmod(tap, matrix.kernel[1])

    def weight_of(self, matrix) -> np.ndarray:
        """[rows, columns] of a matrix, from the coupling's parameters."""
        coupling = self.network.couplings[self.program.couplings[matrix.coupling].name]
        given = {name: value.detach().double().numpy() for name, value in coupling.named_parameters()}
        if matrix.kind == 1:
            taps = [self.tap(matrix, row) for row in range(matrix.rows)]
            return np.array([given["weight"][:, c, y, x] for c, y, x in taps])
        if matrix.name.endswith(".V"):
            return given["V"]
        if matrix.name.endswith(".U"):
            return given["U"].T
        return given["weight"].T if "weight" in given else given["V"] @ given["U"].T
