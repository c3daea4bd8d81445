"""The controller's registers."""

from __future__ import annotations

from hw.config import FACTOR_BITS, ControllerConfig
from hw.pulse_slots import SLOT_BITS
from hw.registers import Access, Field, Register, RegisterMap
from mapping.arithmetic.scaling import LARGEST_SHIFT
from mapping.dither import Lfsr

IDENTITY = int.from_bytes(b"EPMC", "big")
VERSION = 3
CLOCK_BITS = 16
TIMEOUT_CLOCKS = 4096  # an ADC that needs longer than this for codes it has converted is broken
SWEEP_BITS = 16
TRAIN_SLOTS = 31

# What raises an interrupt, in the order of the bits of interrupt_enable and interrupt_status.
EVENTS = (
    ("done", "An EP step is over."),
    ("aborted", "An EP step was stopped or aborted."),
    ("error", "The program holds what the controller cannot run."),
    ("timeout", "An ADC did not answer in time."),
)

COUNTERS = (
    ("phases", "Phases begun."),
    ("sweeps", "Sweeps run."),
    ("cycles", "Clocks spent busy."),
    ("beats", "Answers of ADCs taken, of a code a lane."),
    ("saturations", "Shares of drives that saturated."),
    ("clips", "ADC conversions that met the end of their range."),
    ("timeouts", "ADCs that did not answer in time."),
    ("pulses", "Programming pulses given, all lines of a tile at a time."),
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
    """The map of a controller built for ``config``; only resets and widths depend on it.

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
            Register(
                "options",
                (
                    Field("early_stop", 1, "rw", 0, "A sweep in which no state moved is a phase's last."),
                    Field("gradients", 1, "rw", 1, "CONTRAST gives gradients; without it does nothing."),
                    Field("pulses", 1, "rw", 0, "CONTRAST pulses devices instead, whatever gradients says."),
                ),
                "How the program runs.",
            ),
            single("label", "number", 16, "rw", 0, "The target's class.", "What nudged phases nudge towards."),
            *nudge("plus", config), *nudge("minus", config),
            single("answer", "number", 16, "ro", 0, "The predicted class.", "Of the last ANSWER."),
            single("residual", "codes", config.state_bits + 1, "ro", 0, "How far from equilibrium.",
                   "Largest change of any state in the last sweep, in codes of its layer."),
            single("average", "conversions", CLOCK_BITS, "rw", config.average, "Averaging.",
                   "Conversions of each read that are added up."),
            Register(
                "sweeps",
                (
                    Field("free", SWEEP_BITS, "rw", config.free_sweeps, "Of the free phase."),
                    Field("nudged", SWEEP_BITS, "rw", config.nudged_sweeps, "Of each nudged phase."),
                ),
                "Sweeps of a phase.",
            ),
            *(single(f"count_{name}", "value", 32, "ro", 0, "A counter.", doc) for name, doc in COUNTERS),
            Register(
                "lfsr",
                (
                    Field("seed", config.lfsr_bits, "rw", 1, "What load puts into it; 0 counts as 1."),
                    Field("load", 1, "w1s", 0, "Start from the seed; the hardware clears it when it did."),
                ),
                "The register that dithers; without dither it does nothing.",
            ),
            Register(
                "trains",
                (
                    Field("slots", SLOT_BITS, "rw", TRAIN_SLOTS, "Of a train."),
                    Field("stride", SLOT_BITS, "rw", 1, "Of the columns' numbers in fixed trains, 1 .. slots."),
                    Field("fixed", 1, "rw", 0, "All lines of a side have one number in a slot; otherwise it is drawn."),
                    Field("load", 1, "w1s", 0, "Draw from train_seeds on; the hardware clears it when it does."),
                ),
                "Trains of pulses.",
            ),
            Register("train_seeds", sides("rw", 1), "What load puts into the registers that draw; 0 counts as 1."),
            Register("train_numbers", sides("ro", 0), "What they hold: the seeds with which to continue."),
            single("time_timeout", "clocks", CLOCK_BITS, "rw", TIMEOUT_CLOCKS, "A time in clocks.",
                   "An ADC that has not answered by then is late."),
            *(single(f"time_{name}", "clocks", CLOCK_BITS, "rw", getattr(config, entry), "A time in clocks.", doc)
              for name, entry, doc in TIMINGS),
        ),
    )  # fmt: skip


def sides(access: Access, reset: int) -> tuple[Field, Field]:
    """A number for rows and one for columns."""
    bits = Lfsr.width
    return Field("row", bits, access, reset, "Of rows."), Field("column", bits, access, reset, "Of columns.")


def nudge(sign: str, config: ControllerConfig) -> tuple[Register, Register]:
    """What the host works out from beta: ``SquaredErrorNudge.build(+-beta, k, code of 1.0)``."""
    return (
        single(f"nudge_{sign}_push", "codes", config.push_bits, "rw", 0, f"Of the {sign} phase.",
               "beta times the code of 1.0, two's complement."),
        Register(
            f"nudge_{sign}_divide",
            (
                Field("multiplier", FACTOR_BITS + 1, "rw", 0, "Of 1 / (k + beta)."),
                Field("shift", LARGEST_SHIFT.bit_length(), "rw", 0, "Of 1 / (k + beta)."),
            ),
            f"Of the {sign} phase.",
        ),
    )  # fmt: skip


def single(name: str, field: str, bits: int, access: Access, reset: int, doc: str, field_doc: str) -> Register:
    """A register with one field."""
    return Register(name, (Field(field, bits, access, reset, field_doc),), doc)
