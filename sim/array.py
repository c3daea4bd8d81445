"""One coupling of one chip: its devices as programmed and aged, and its converted reads in both directions."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from torch import Tensor

from mapping.encoding import Encoding
from mapping.hardware import Direction
from mapping.lowering import Lowering, Span
from sim.converters import Digitiser, Driver
from sim.drives import Drives, Seen
from sim.gaussian import NoiseStream
from sim.parts import Lines, add_slices, forward_parts, transposed_parts
from sim.read_path import Conversions, ReadPath


@dataclass(frozen=True)
class Periphery:
    """Converters of one direction."""

    driver: Driver
    digitiser: Digitiser | None = None


@dataclass
class Array:
    """The crossbars of one coupling on one chip.

    Reads add rows of a tile in the wire, convert each tile's sums, and add tiles (and overlapping positions of a
    transposed convolution) digitally.

    Attributes:
        lowering, column_spans: how the matrix is cut.
        encoding: conductances -> weights.
        lines: what each direction's terminals see at this age.
        periphery: converters of each direction.
        stream: this chip's read noise.
        average: conversions of each read that are averaged.
        frozen: whether read noise stays as it is until :meth:`begin_phase`.
        state_steps: by direction, the step of the states that a read adds up to, where its digital sums are whole
            numbers.
        leave_codes: directions whose sums of codes are left as they are.
    """

    lowering: Lowering
    column_spans: tuple[Span, ...]
    encoding: Encoding
    lines: dict[Direction, Lines]
    periphery: dict[Direction, Periphery]
    stream: NoiseStream
    average: int = 1
    frozen: bool = False
    state_steps: dict[Direction, float] = field(default_factory=dict)
    leave_codes: tuple[Direction, ...] = ()
    counted: dict[Direction, Conversions] = field(init=False)
    drives: dict[Direction, Drives] = field(init=False)
    rows_read: ReadPath = field(init=False)
    columns_read: ReadPath = field(init=False)

    def __post_init__(self) -> None:
        self.counted = {"forward": Conversions(), "transposed": Conversions()}
        self.drives = {way: Drives(self.lowering, self.encoding, way) for way in self.counted}
        self.build(self.lines)
        if not self.frozen:  # the operands carry the noise from here on
            self.lines = {
                way: replace(lines, squared_siemens=None, wire_noise=None) for way, lines in self.lines.items()
            }

    def begin_phase(self) -> None:
        """Draw frozen read noise anew: one deviation a device, the same in both directions."""
        if not self.frozen or self.lines["forward"].squared_siemens is None:
            return
        seen = {}
        course = self.stream.draw(self.lines["forward"].conductance.numel()).mul_(math.sqrt(2.0))
        for direction, lines in self.lines.items():
            assert lines.squared_siemens is not None
            deviation = lines.squared_siemens.sqrt().mul_(course.view_as(lines.conductance))
            seen[direction] = Lines(lines.conductance + deviation, higher=lines.higher)
        self.build(seen)

    def build(self, lines: dict[Direction, Lines]) -> None:
        """Prepare both read paths for many reads."""
        lowering, encoding = self.lowering, self.encoding
        there, back = self.periphery["forward"], self.periphery["transposed"]
        parts = {
            "forward": forward_parts(lowering, encoding, lines["forward"], there.digitiser),
            "transposed": transposed_parts(lowering, self.column_spans, encoding, lines["transposed"], back.digitiser),
        }
        for way, terminals in lines.items():
            self.drives[way].meet(terminals.conductance, terminals.higher)
        self.sliced = {direction: found.sliced for direction, found in parts.items()}
        positions = lowering.positions
        self.rows_read = ReadPath(
            there.driver,
            parts["forward"].parts,
            lowering.rows_driven,
            lowering.drive_rows,
            there.digitiser,
            self.finish_forward,
            lowering.columns * encoding.slices * positions,
            lowering.shapes[1],
            self.stream,
            self.average,
            self.counted["forward"],
            self.drives["forward"],
            self.state_steps.get("forward"),
            "forward" in self.leave_codes,
        )
        self.columns_read = ReadPath(
            back.driver,
            parts["transposed"].parts,
            lowering.columns_driven,
            lowering.drive_columns,
            back.digitiser,
            self.finish_transposed,
            lowering.rows * positions,
            lowering.shapes[0],
            self.stream,
            self.average,
            self.counted["transposed"],
            self.drives["transposed"],
            self.state_steps.get("transposed"),
            "transposed" in self.leave_codes,
        )

    def forward(self, pre: Tensor) -> Tensor:
        """Drive rows, sense columns: [batch, *pre_shape] -> [batch, *post_shape]."""
        return self.rows_read(pre)

    def transpose(self, post: Tensor) -> Tensor:
        """Drive columns, sense rows: [batch, *post_shape] -> [batch, *pre_shape]."""
        return self.columns_read(self.lowering.columns_of(post))

    def finish_forward(self, sums: Tensor, drive: Tensor) -> Tensor:
        if self.sliced["forward"]:
            sums = add_slices(sums, self.encoding)
            if self.encoding.offset:
                sums.sub_(self.lowering.driven_sum(drive), alpha=self.encoding.offset)
        return self.lowering.to_post(sums)

    def finish_transposed(self, sums: Tensor, drive: Tensor) -> Tensor:
        if self.sliced["transposed"] and self.encoding.offset:
            sums.sub_(drive.sum(1, keepdim=True), alpha=self.encoding.offset)
        return self.lowering.overlap_add(sums)

    def effective_weight(self, direction: Direction = "forward") -> Tensor:
        """The weight these devices mean in one direction, wires included, in the coupling's natural shape."""
        return self.lowering.to_weight(self.encoding.decode(self.lines[direction].conductance))

    def conversions(self, direction: Direction) -> Conversions:
        """Conversions made in one direction so far."""
        return self.counted[direction]

    def seen(self, direction: Direction) -> list[Seen]:
        """What drove it and how often it was converted in one direction so far."""
        path = self.rows_read if direction == "forward" else self.columns_read
        made = self.counted[direction]
        return [Seen(self.drives[direction], made.made, made.clipped, path.average)]

    def forget(self) -> None:
        """Count from zero."""
        for direction, made in self.counted.items():
            made.made = made.clipped = 0
            self.drives[direction].forget()

    @property
    def nbytes(self) -> int:
        """Memory of devices and operands."""
        tensors = {
            id(tensor): tensor.nbytes
            for lines in self.lines.values()
            for tensor in (lines.conductance, lines.squared_siemens)
            if tensor is not None
        }
        devices = sum(tensors.values())
        return devices + self.rows_read.nbytes + self.columns_read.nbytes
