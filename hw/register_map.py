"""The controller's registers."""

from __future__ import annotations

from hw.config import ControllerConfig
from hw.registers import Access, Field, Register, RegisterMap

IDENTITY = int.from_bytes(b"EPMC", "big")
VERSION = 1
BETA_FRACTION_BITS = 12
BETA_BITS = 16
CLOCK_BITS = 16
SWEEP_BITS = 16

# What raises an interrupt, in the order of the bits of interrupt_enable and interrupt_status.
EVENTS = (
    ("done", "An EP step is over."),
    ("aborted", "An EP step was stopped or aborted."),
    ("error", "The program holds what the controller cannot run."),
    ("timeout", "An ADC did not answer in time."),
)

COUNTERS = (
    ("phases", "Phases run."),
    ("sweeps", "Sweeps run."),
    ("cycles", "Clocks spent busy."),
    ("saturations", "Sums and states that saturated."),
    ("clips", "ADC conversions that met the end of their range."),
    ("timeouts", "ADCs that did not answer in time."),
    ("pulses", "Programming pulses given."),
)

# Registers of times: name, field of the configuration, meaning.
TIMINGS = (
    ("settle", "settle_clocks", "DACs settle, forward reads."),
    ("transposed_settle", "transposed_settle_clocks", "DACs settle, transposed reads."),
    ("integrate", "integrate_clocks", "The array integrates."),
    ("convert", "convert_clocks", "One conversion, forward reads."),
    ("transposed_convert", "transposed_convert_clocks", "One conversion, transposed reads."),
    ("discharge", "discharge_clocks", "Lines return to rest."),
    ("pulse", "pulse_clocks", "A programming pulse."),
    ("gap", "gap_clocks", "Rest after a programming pulse."),
)


def controller_registers(config: ControllerConfig) -> RegisterMap:
    """The map of a controller built for ``config``; only resets and the width of ``lfsr.seed`` depend on it.

    Counters are the hardware's (ro, modulo 2^32); ``control.clear_counters`` asks it to clear them all.
    """
    return RegisterMap(
        "hwmap",
        (
            single("identity", "value", 32, "ro", IDENTITY, "What this is.", "The letters EPMC, E the highest."),
            single("config_hash", "value", 32, "ro", config.hash, "What it was built for.",
                   "First 32 bits of the SHA-256 of the configuration."),
            single("version", "value", 16, "ro", VERSION, "This map.", "Changes with the meaning of any register."),
            Register(
                "control",
                (
                    Field("start", 1, "w1s", 0, "Run the program once; the hardware clears it when it begins."),
                    Field("stop", 1, "w1s", 0, "End after the present round; cleared when it has."),
                    Field("abort", 1, "w1s", 0, "All DACs to zero at once; cleared when they are."),
                    Field("clear_counters", 1, "w1s", 0, "All counters to zero; cleared when they are."),
                ),
                "Commands.",
            ),
            Register(
                "status",
                (
                    Field("state", 4, "ro", 0, "State of the sequencer."),
                    Field("phase", 3, "ro", 0, "0 the free phase, n the n-th nudged phase."),
                    Field("busy", 1, "ro", 0, "A program runs."),
                    Field("done", 1, "ro", 0, "The last program came to its HALT."),
                    Field("error", 1, "ro", 0, "The last program ended in an error."),
                ),
                "What the controller does.",
            ),
            Register("interrupt_enable", tuple(Field(name, 1, "rw", 0, doc) for name, doc in EVENTS),
                     "Events that raise the interrupt line."),
            Register("interrupt_status", tuple(Field(name, 1, "w1c", 0, doc) for name, doc in EVENTS),
                     "Events seen, enabled or not."),
            single("beta", "magnitude", BETA_BITS, "rw", 0, "Strength of the nudge.",
                   f"Fixed point with {BETA_FRACTION_BITS} fraction bits; the program gives the sign."),
            Register(
                "sweeps",
                (
                    Field("free", SWEEP_BITS, "rw", config.free_sweeps, "Of the free phase."),
                    Field("nudged", SWEEP_BITS, "rw", config.nudged_sweeps, "Of each nudged phase."),
                ),
                "Sweeps of a phase.",
            ),
            *(single(f"count_{name}", "value", 32, "ro", 0, "A counter.", doc) for name, doc in COUNTERS),
            single("lfsr", "seed", config.lfsr_bits, "rw", 1, "The register that dithers.",
                   "What it starts from; 0 would stay 0."),
            *(single(f"time_{name}", "clocks", CLOCK_BITS, "rw", getattr(config, entry), "A time in clocks.", doc)
              for name, entry, doc in TIMINGS),
        ),
    )  # fmt: skip


def single(name: str, field: str, bits: int, access: Access, reset: int, doc: str, field_doc: str) -> Register:
    """A register with one field."""
    return Register(name, (Field(field, bits, access, reset, field_doc),), doc)
