"""What events cost: joules, leakage, areas, and the processor that the same work is compared with.

A table of numbers in SI units, each with its source in a comment of its YAML file; ``sim/energy.py`` multiplies them
with counted events. Sources marked [U] there are unverified, second-hand or engineering estimates.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mapping.device.strict import NotNegative, Positive, Strict

DEFAULT_COSTS = "isaac-32nm"


class Processor(Strict):
    """A digital processor that does the same work.

    Attributes:
        watt: power while it computes.
        flop_per_s: its peak.
        utilisation: share of the peak that real work reaches.
    """

    name: str
    watt: Positive
    flop_per_s: Positive
    utilisation: Annotated[float, Field(gt=0, le=1)]

    @property
    def j_per_flop(self) -> float:
        """watt / (peak utilisation)."""
        return self.watt / (self.flop_per_s * self.utilisation)


class Learning(Strict):
    """How weights learn from the nudged phases.

    Attributes:
        product: ``analog`` (rows and columns pulsed together form the outer product in the devices) or ``digital`` (a
            multiply-accumulate a weight, position and nudged phase).
        pulses_per_device: that every device takes, once a batch.
        verify_reads_per_device: after them.
    """

    product: Literal["analog", "digital"]
    pulses_per_device: NotNegative
    verify_reads_per_device: NotNegative = 0.0


class Areas(Strict):
    """Square metres of each part.

    Attributes:
        cell_m2: one device with its selector.
        adc_m2: one converter; ``adc.sharing`` lines have one, and each direction its own.
        dac_m2: of one line.
        memory_m2_per_byte: state memory.
        controller_m2: all digital logic.
    """

    cell_m2: Positive
    adc_m2: NotNegative
    dac_m2: NotNegative
    memory_m2_per_byte: NotNegative
    controller_m2: NotNegative


class Costs(Strict):
    """One technology scenario.

    Attributes:
        adc_j_per_step: figure of merit; a conversion of b bits takes adc_j_per_step 2^b.
        dac_j: a line driven with an analog level (settled); ``dac_bit_j``: with one bit, all or nothing.
        line_farad_per_cell: capacitance of a driven line; charging n cells to V takes n C V^2.
        sense_watt: of the amplifier of a sensed line, while lines settle and are integrated.
        addition_j: one word; ``mac_j``: a multiplication and an addition.
        memory_j_per_byte: a byte read or written.
        pulse_j: one pulse of one device, ``verify_j``: one read of one device between pulses.
        controller_j_per_clock: sequencing, whatever else happens.
        leakage_watt_per_crossbar: a crossbar with its periphery, always.
    """

    name: str
    source: str
    adc_j_per_step: NotNegative
    dac_j: NotNegative
    dac_bit_j: NotNegative
    line_farad_per_cell: NotNegative
    sense_watt: NotNegative
    addition_j: NotNegative
    mac_j: NotNegative
    memory_j_per_byte: NotNegative
    pulse_j: NotNegative
    verify_j: NotNegative
    controller_j_per_clock: NotNegative
    leakage_watt_per_crossbar: NotNegative
    learning: Learning
    areas: Areas
    processor: Processor
