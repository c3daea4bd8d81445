"""The parts of a target around the device: arrays, cells, wires, converters. Checked tables of its YAML file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from mapping.arithmetic import EXACT_FLOAT32_BITS
from mapping.device import NotNegative, Positive, Strict

Direction = Literal["forward", "transposed"]
DIRECTIONS: tuple[Direction, Direction] = ("forward", "transposed")
End = Literal["near", "far"]
Count = Annotated[int, Field(ge=1)]
ConverterBits = Annotated[int, Field(ge=2, le=16)]


class Crossbar(Strict):
    """Size of one physical array."""

    rows: Count
    columns: Count


class Cell(Strict):
    """How a weight becomes conductances.

    Attributes:
        encoding: ``differential`` (two devices, G+ - G-) or ``offset`` (one device, the middle of the window
            subtracted digitally).
        pair: where a differential pair rests: ``minimum`` (one device at g_min, the other carries the magnitude) or
            ``middle`` (both move around the middle of the window).
        levels: evenly spaced conductances a device is programmed to, or ``continuous``.
        slices: cells a weight is spread over, each a digit of base ``levels``; their reads are converted one by one,
            then shifted and added.
        headroom: how many times the largest weight the conductance window holds, and how many times the measured sums
            the ADCs: room to learn in.
        feedback: transposed reads are answered by the ``same`` devices, or by a ``separate`` second set of crossbars
            with the same targets, programmed by itself. ``Mapping.crossbars`` counts the forward set alone.
    """

    encoding: Literal["differential", "offset"] = "differential"
    pair: Literal["minimum", "middle"] = "minimum"
    levels: Annotated[int, Field(ge=2)] | Literal["continuous"] = "continuous"
    slices: Literal[1, 2, 4] = 1
    headroom: Annotated[float, Field(ge=1.0, le=1000.0)] = 1.0
    feedback: Literal["same", "separate"] = "same"

    @model_validator(mode="after")
    def slices_are_digits(self) -> Cell:
        if self.slices > 1 and (self.levels == "continuous" or self.pair == "middle"):
            raise ValueError(
                f"slices {self.slices} with levels {self.levels} and pair {self.pair}: a slice is one digit, expected "
                f"a number of levels and pair minimum"
            )
        if self.levels != "continuous" and self.levels**self.slices > 2**EXACT_FLOAT32_BITS:
            raise ValueError(
                f"levels {self.levels} in {self.slices} slices: expected at most 2^{EXACT_FLOAT32_BITS} values a weight"
            )
        return self


class Wires(Strict):
    """Resistances of a crossbar's lines, and which of their ends a transposed read uses.

    A forward read drives the near ends of rows and senses the near ends of columns.

    Attributes:
        row_resistance_ohm, column_resistance_ohm: of a line's segment between two neighbouring devices.
        driver_resistance_ohm, sense_resistance_ohm: in series at each driven and each sensed line's end.
        transposed_driven_end, transposed_sensed_end: the columns' ends that a transposed read drives, and the rows'
            ends that it senses. With both ``near`` and equal driver and sense resistances it is the exact transpose.
        keep_within: solved wires are kept while no device drifts by more than this fraction of its conductance.
    """

    row_resistance_ohm: NotNegative = 0.0
    column_resistance_ohm: NotNegative = 0.0
    driver_resistance_ohm: NotNegative = 0.0
    sense_resistance_ohm: NotNegative = 0.0
    transposed_driven_end: End = "near"
    transposed_sensed_end: End = "near"
    keep_within: NotNegative = 0.01

    @property
    def ideal(self) -> bool:
        """Whether lines have no resistance at all."""
        return not (
            self.row_resistance_ohm
            or self.column_resistance_ohm
            or self.driver_resistance_ohm
            or self.sense_resistance_ohm
        )


class Dac(Strict):
    """Input converters.

    Attributes:
        bits: null is an ideal converter.
        full_scale_volt: the voltage that the largest code means.
        input: ``parallel`` (one analog level a line) or ``bit-serial`` (one read for each bit of the magnitude, the
            sign on the line, codes shifted and added after the ADC).
        bow_lsb: integral nonlinearity: a line driven with the fraction u of full scale is off by 4 bow u (1 - u)
            steps, so ``bow_lsb`` at mid-scale.
        settle_s: from a new code to settled lines.
        dither: rounds states to codes by chance, by a shift register, so that nudges smaller than a step are not lost
            on average (needs bits and ``controller.state_bits``).
    """

    bits: ConverterBits | None = None
    full_scale_volt: Positive = 0.2
    input: Literal["parallel", "bit-serial"] = "parallel"
    bow_lsb: float = 0.0
    settle_s: NotNegative = 100e-9
    dither: bool = False

    @model_validator(mode="after")
    def bits_to_serialise(self) -> Dac:
        if self.bits is None and (self.input == "bit-serial" or self.bow_lsb):
            raise ValueError(f"input {self.input} and bow_lsb {self.bow_lsb:g} without bits: expected a number of bits")
        return self


class Adc(Strict):
    """Output converters.

    Attributes:
        bits: null is an ideal converter.
        range: one full scale for a whole ``coupling`` or one for each ``tile``, from calibration data or a bound.
        full_scale_ampere: a fixed full scale instead.
        gain_sigma, offset_sigma_lsb: spread of gain (as a fraction) and offset over channels; each tile's lines have
            their own converters.
        noise_lsb: amplifier noise of one conversion, standard deviation in steps.
        sharing: neighbouring sensed lines of a crossbar that one converter digitises, one after the other.
        time_s: of one conversion.
    """

    bits: ConverterBits | None = None
    range: Literal["coupling", "tile"] = "coupling"
    full_scale_ampere: Positive | None = None
    gain_sigma: NotNegative = 0.0
    offset_sigma_lsb: NotNegative = 0.0
    noise_lsb: NotNegative = 0.0
    sharing: Count = 16
    time_s: Positive = 100e-9

    @model_validator(mode="after")
    def bits_to_err_in(self) -> Adc:
        set_without_bits = [
            name
            for name in ("full_scale_ampere", "gain_sigma", "offset_sigma_lsb", "noise_lsb")
            if self.bits is None and getattr(self, name)
        ]
        if set_without_bits:
            raise ValueError(f"{set_without_bits[0]} without bits (an ideal converter): expected a number of bits")
        return self


class Reading(Strict):
    """How reads are taken.

    Attributes:
        noise: read noise ``fresh`` in every read, frozen over a ``phase`` of relaxation, or ``off``.
        average: conversions of each read that are averaged.
        time_s: integration time of one read; null is the time the device's noise was measured with (100 ns where it
            has none).
        discharge_s: lines back to rest before the next read.
    """

    noise: Literal["fresh", "phase", "off"] = "fresh"
    average: Count = 1
    time_s: Positive | None = None
    discharge_s: NotNegative = 100e-9

    @field_validator("noise", mode="before")
    @classmethod
    def off_is_a_word(cls, value: object) -> object:
        """YAML 1.1 reads ``off`` as false."""
        return "off" if value is False else value


class Pulses(Strict):
    """Pulses that move devices: rows and columns driven together.

    Attributes:
        width_s, gap_s: of one pulse, and the rest after it.
        train: slots of a pulse train, each with or without a pulse on a line.
    """

    width_s: Positive = 200e-9
    gap_s: NotNegative = 160e-9
    train: Count = 31


class Controller(Strict):
    """The digital side.

    Attributes:
        state_bits: width of the fixed-point states (null: float).
        clock_hz: of the controller.
        lanes: ADC codes, and states, that it takes in each clock.
        memory_bytes: state memory there is (null: as much as the network needs).
        free_sweeps, nudged_sweeps: sweeps of a free and of a nudged phase.
        nudges: order of the nudged phases in one EP step; ``+--+`` cancels what drifts linearly between them.
    """

    state_bits: Annotated[int, Field(ge=4, le=24)] | None = None
    clock_hz: Positive = 100e6
    lanes: Count = 8
    memory_bytes: Count | None = None
    free_sweeps: Count = 30
    nudged_sweeps: Count = 10
    nudges: Literal["+-", "+--+"] = "+-"


class ChipSize(Strict):
    """How many crossbars there are, and where.

    Attributes:
        crossbars: in all (null: as many as the network needs).
        mesh: rows and columns of crossbars on one chip (null: not placed); when one is full the next begins.
        link_hops: hops that crossing from one chip to the next counts.
    """

    crossbars: Count | None = None
    mesh: tuple[Count, Count] | None = None
    link_hops: Count = 10
