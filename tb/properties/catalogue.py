"""All proofs."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from amaranth import signed

from hw.array_timer import ArrayTimer
from hw.axi_lite import AxiLite
from hw.collector import Collector
from hw.config import ControllerConfig
from hw.feeder import Feeder
from hw.line_driver import LineDriver
from hw.nudger import SquaredErrorNudger
from hw.pulser import Pulser
from hw.register_map import controller_registers
from hw.registers import RegisterFile
from hw.scaler import Scaler
from hw.sequencer import Sequencer
from hw.tables import Tables
from hw.updater import Updater
from hw.write_verify import WriteVerify
from mapping.dither import Lfsr
from tb.formal import Proof
from tb.properties.array_timer import ArraysTakeTurns
from tb.properties.axi_lite import AxiLiteObeys
from tb.properties.pipelines import PIPELINES, Pipeline
from tb.properties.registers import RegistersObey
from tb.properties.sequencer import SequencerObeys
from tb.properties.streams import StreamKeepsElements, StreamsHold
from tb.properties.updater import UpdaterObeys

DIGITS, TINY = ControllerConfig.preset("digits"), ControllerConfig.preset("tiny")
# Order does not depend on widths: one lane, and memories of a few words.
SMALLEST = Tables(
    replace(
        TINY, lanes=1, drive_lanes=1, state_bits=4, line_bits=2, image_side=2, feed_groups=2, replica_tiles=2,
        read_rows=2, drive_beats=4, sense_beats=4, tile_rows=2, layer_rows=2, source_rows=2,
        state_words=8, sum_words=4, constant_words=4, code_words=2,
    )
)  # fmt: skip
SHORT = {"rows": Lfsr(4, seed=5, shifts=1), "columns": Lfsr(4, seed=3, shifts=1)}
# From a start to the first state: four clocks for the layer's row, five more for sums and biases, some words later.
UPDATE_CLOCKS = 15 + Scaler.latency + SquaredErrorNudger.latency


# Elements of so many clocks after a reset are followed until they leave; each clock more doubles the time.
TAKING = 11


def pipeline_holds(pipeline: Pipeline) -> StreamsHold:
    """The pipeline's stream."""
    return StreamsHold(pipeline.make())


PROOFS = (
    *(
        Proof(f"{name}_holds", partial(pipeline_holds, each), each.latency + 3, "prove")
        for name, each in PIPELINES.items()
    ),
    *(
        Proof(f"{name}_keeps", partial(StreamKeepsElements, each), each.latency + TAKING)
        for name, each in PIPELINES.items()
    ),
    Proof("feeder_holds", lambda: StreamsHold(Feeder(SMALLEST)), 16),
    Proof("line_driver_holds", lambda: StreamsHold(LineDriver(SMALLEST)), 16),
    Proof("collector_holds", lambda: StreamsHold(Collector(SMALLEST)), 16),
    Proof("pulser_holds", lambda: StreamsHold(Pulser(signed(2), 1, 2, **SHORT)), 24),
    Proof("write_verify_holds", lambda: StreamsHold(WriteVerify(signed(2), signed(1))), 10, "prove"),
    Proof("registers_obey", lambda: RegistersObey(RegisterFile(controller_registers(DIGITS))), 4, "prove"),
    Proof("axi_lite_obeys", lambda: AxiLiteObeys(AxiLite(4)), 14, "prove"),
    Proof("sequencer_obeys", lambda: SequencerObeys(Sequencer(Tables(TINY))), 14, "prove"),
    Proof("arrays_take_turns", lambda: ArraysTakeTurns(ArrayTimer()), 14),
    Proof("updater_obeys", lambda: UpdaterObeys(Updater(SMALLEST)), UPDATE_CLOCKS, left_open="*scaler*/w:o__payload"),
)
