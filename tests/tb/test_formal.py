# amaranth: UnusedElaboratable=no
"""Truth: circuits broken on purpose. A proof that passes says something only if it fails where it should."""

import importlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from amaranth import Module, Signal
from amaranth.hdl import Assert, Assume
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from eqprop.errors import InputError
from hw.delay import delayed
from tb import formal
from tb.formal import prove
from tb.properties.catalogue import PROOFS
from tb.properties.pipelines import PIPELINES
from tb.properties.streams import StreamKeepsElements

FAST = ("scaler_holds", "linear_nudger_keeps", "registers_obey", "axi_lite_obeys", "sequencer_obeys")


@pytest.mark.parametrize(
    "proof", [pytest.param(one, id=one.name, marks=[] if one.name in FAST else pytest.mark.slow) for one in PROOFS]
)
def test_what_is_claimed_holds(proof: formal.Proof, tmp_path: Path) -> None:
    outcome = proof.run(tmp_path)
    assert outcome.passed, outcome


# The harness itself.


class Counter(Component):
    """Counts to ``last``, then begins again."""

    def __init__(self, last: int, claim: Callable[[Module, Signal], None]) -> None:
        super().__init__({"on": In(1), "count": Out(4)})
        self._last, self._claim = last, claim

    def elaborate(self, platform: object) -> Module:
        m = Module()
        with m.If(self.on & (self.count == self._last)):
            m.d.sync += self.count.eq(0)
        with m.Elif(self.on):
            m.d.sync += self.count.eq(self.count + 1)
        self._claim(m, self.count)
        return m


def below(limit: int) -> Callable[[Module, Signal], None]:
    def claim(m: Module, count: Signal) -> None:
        m.d.comb += Assert(count < limit, "count stays below its limit")

    return claim


def test_a_failure_names_the_property_and_its_line_and_leaves_a_trace(tmp_path: Path) -> None:
    line = inspect.getsourcelines(below)[1] + 2
    outcome = prove(Counter(5, below(5)), "counter", tmp_path, 8)
    assert outcome.status == "fail"
    assert outcome.failed == (f"count stays below its limit ({Path(__file__)}:{line})",)
    assert outcome.trace is not None
    assert "count" in outcome.trace.read_text()


def test_bounded_and_unbounded_proofs_differ(tmp_path: Path) -> None:
    assert prove(Counter(5, below(5)), "short", tmp_path, 5).passed  # it takes six clocks to be 5
    assert prove(Counter(5, below(6)), "whole", tmp_path, 2, "prove").passed
    outcome = prove(Counter(5, below(9)), "unknown", tmp_path, 3, "prove")  # 8 follows 7, if it ever was 7
    assert outcome.status == "unknown"
    assert outcome.trace is not None


def test_what_cannot_be_decided_is_no_pass(tmp_path: Path) -> None:
    def impossible(m: Module, count: Signal) -> None:
        m.d.comb += [Assume(count == 3), Assert(count == 3, "count is three")]

    with pytest.raises(RuntimeError, match=r"impossible: nothing was decided: .*unsatisfiable"):
        prove(Counter(5, impossible), "impossible", tmp_path, 3)
    with pytest.raises(ValueError, match="silent: expected a component with at least one Assert"):
        prove(Counter(5, lambda m, count: None), "silent", tmp_path, 3)


def test_without_the_tools_one_line_says_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formal.shutil, "which", lambda *args, **options: None)
    with pytest.raises(InputError, match=r"pip install 'hwmap\[rtl\]'$"):
        prove(Counter(5, below(6)), "counter", tmp_path, 2)


# Mutants: where they are used, what is changed in their source, and what must be found.


def mutant(name: str, old: str, new: str) -> ModuleType:
    """A module with ``old`` in its source replaced."""
    module = importlib.import_module(name)
    source = inspect.getsource(module)
    assert old in source, f"{name} has no {old!r} any more: another mutant is needed"
    changed = ModuleType(name)
    exec(compile(source.replace(old, new), module.__file__ or name, "exec"), changed.__dict__)
    return changed


CATALOGUE, PIPES = "tb.properties.catalogue", "tb.properties.pipelines"
HELD, SAME = "offers until it is taken", "offers the same until it is taken"
IMPATIENT = ("self.o.ready", "1", "offers")
MUTANTS: dict[str, list[tuple[str, str, str, str, str]]] = {
    "scaler_holds": [(f"{PIPES}.Scaler", "hw.scaler", *IMPATIENT)],
    "dac_feeder_holds": [(f"{PIPES}.DacFeeder", "hw.dac_feeder", *IMPATIENT)],
    "neuron_holds": [("hw.neuron.Scaler", "hw.scaler", *IMPATIENT)],
    "squared_error_nudger_holds": [("hw.neuron.Scaler", "hw.scaler", *IMPATIENT)],
    "linear_nudger_holds": [(f"{PIPES}.LinearNudger", "hw.nudger", *IMPATIENT)],
    "feeder_holds": [(f"{CATALOGUE}.Feeder", "hw.feeder", "self.o.valid & self.o.ready", "self.o.valid", HELD)],
    "line_driver_holds": [
        (f"{CATALOGUE}.LineDriver", "hw.line_driver", "(self.o.ready & ~self.loaded)", "~self.loaded", "offers"),
    ],
    "collector_holds": [
        (
            f"{CATALOGUE}.Collector",
            "hw.collector",
            "asked.eq(self.o.valid & self.o.ready)",
            "asked.eq(self.o.valid)",
            "offers",
        ),
    ],
    "pulser_holds": [("hw.pulser.PulseSlots", "hw.pulse_slots", *IMPATIENT)],
    "write_verify_holds": [
        (f"{CATALOGUE}.WriteVerify", "hw.write_verify", "self.read.ready", "1", "read " + HELD),
        (f"{CATALOGUE}.WriteVerify", "hw.write_verify", "self.pulse.ready", "1", "pulse " + HELD),
        (f"{CATALOGUE}.WriteVerify", "hw.write_verify", "self.o.ready", "1", "o " + HELD),
    ],
    "registers_obey": [
        (f"{CATALOGUE}.RegisterFile", "hw.registers", *change)
        for change in (
            ("port.o & ~ones | port.set", "(port.o | port.set) & ~ones", "is set by its event, whatever is written"),
            ("port.o & ~ones | port.set", "port.o | port.set", "is cleared by writing 1"),
            ("port.o & ~ones |", "port.o & ones |", "stays otherwise"),
            ("(port.o | ones) & ~port.clear", "port.o & ~port.clear | ones", "is cleared by the hardware, whatever"),
            ("(port.o | ones) & ~port.clear", "port.o & ~port.clear", "is set by writing 1"),
            ("(port.o | ones) & ~port.clear", "ones & ~port.clear", "stays otherwise"),
            ("self.write & (self.address == address)", "self.address == address", "stays while nobody writes it"),
            ("port.o.eq(written)", "port.o.eq(port.o)", "takes what is written"),
            (
                "port.i if",
                "port.i | self.write_data[shift : shift + field.bits] if",
                "reads as what it was a clock ago",
            ),
            ("Mux(outside, 0, word)", "word", "no other address reads anything"),
        )
    ],
    "axi_lite_obeys": [
        (f"{CATALOGUE}.AxiLite", "hw.axi_lite", *change)
        for change in (
            ("m.If(self.bus_bvalid & self.bus_bready)", "m.If(self.bus_bvalid)", "b " + HELD),
            ("m.If(self.bus_rvalid & self.bus_rready)", "m.If(self.bus_rvalid)", "r " + HELD),
            ("self.bus_arvalid & ~self.bus_rvalid &", "self.bus_arvalid &", "one request of a kind at a time"),
            (
                "self.bus_rvalid.eq(0)",
                "self.bus_rvalid.eq(self.bus_arprot[0])",
                "a read is answered once it was asked for",
            ),
            (
                "self.bus_wvalid & ~self.bus_bvalid & ~occupied",
                "self.bus_wvalid & ~self.bus_bvalid & ~occupied & ~self.bus_arvalid",
                "writes go on while the host takes answers",
            ),
            (
                "self.bus_arvalid & ~self.bus_rvalid & ~occupied",
                "self.bus_arvalid & ~self.bus_rvalid & ~occupied & ~self.bus_awvalid",
                "reads go on while the host takes answers",
            ),
            (
                "answers_write.eq(finds_write),",
                "finds_write.eq(carries_write | finds_write),",
                "a whole write is answered in time",
            ),
            ("answers_read.eq(chooses_read),", "finds_read.eq(self.read | finds_read),", "a read is answered in time"),
            ("self.bus_wstrb.all()", "self.bus_wstrb.any()", "only whole words are written"),
            ("carries_write & whole", "carries_write & whole & ~self.bus_awprot[0]", "whole words are written"),
            ("partial | self.error", "self.error", "parts are refused"),
            ("partial | self.error", "partial", "a write's error is told"),
            ("self.address.eq(self.bus_araddr)", "self.address.eq(self.bus_awaddr)", "what the host asked for is read"),
            ("self.write_data.eq(self.bus_wdata)", "self.write_data.eq(0)", "what the host sent is written"),
        )
    ],
    "sequencer_obeys": [
        (f"{CATALOGUE}.Sequencer", "hw.sequencer", *change)
        for change in (
            ("self.abort | self.late | self.failed", "self.late | self.failed", "abort and late ADCs lead to safe"),
            ("self.abort | self.late | self.failed", "self.abort | self.failed", "abort and late ADCs lead to safe"),
            (
                "self.abort | self.late | self.failed",
                "self.abort | self.late",
                "a word that cannot be run leads to safe",
            ),
            ("self.reset.eq(1)", "self.reset.eq(~self.stop)", "lead to safe"),
            ("dirty.eq(1), self.sign.eq(0)", "dirty.eq(1)", "safe ends the nudge"),
            ("depth.eq(0), self.sign.eq(0)", "depth.eq(0)", "a run begins without a nudge"),
            ("m.Case(Opcode.BETA)", "m.Case(Opcode.BETA, Opcode.ERROR)", "only BETA nudges"),
            (
                'state("wait"), m.If(~reading)',
                'state("wait"), m.If(~reading | ~self.stop)',
                "a WAIT lets all reads end",
            ),
            ("m.If(waited & ~busy)", "m.If(waited)", "while that is waited for"),
            ('state("wait"), m.If(~', 'state("wait"), m.If(~self.stop & ~', "no deadlock while the others answer"),
            ("self.opcode.eq(word.opcode)", "self.opcode.eq(word.opcode | 8)", "no snapshot in a nudged phase"),
        )
    ],
    "arrays_take_turns": [
        (f"{CATALOGUE}.ArrayTimer", "hw.array_timer", *change)
        for change in (
            (
                "m.d.comb += self.busy.eq(self.loaded)",
                "m.d.sync += self.is_transposed.eq(self.transposed)",
                "one direction",
            ),
            ("self.latch.eq(self.may_latch)", "self.latch.eq(1)", "codes are latched when those before were fetched"),
            ("with m.If(repeats.is_last):", "with m.If(1):", "a turn takes no less than its stages"),
            ('m.If(~none["discharge"])', "m.If(0)", "a turn takes no less than its stages"),
            (
                "repeats.start(self.average,",
                "repeats.start(self.average + 1,",
                "as long as its stages",
            ),
        )
    ],
    "updater_obeys": [
        (f"{CATALOGUE}.Updater", "hw.updater", *change)
        for change in (
            ("goal.eq(layer.captured)", "goal.eq(layer.snapshot)", "only SNAPSHOT writes a snapshot"),
            (
                "p.state_write_address.eq(delayed(m, layer.state",
                "p.state_write_address.eq(delayed(m, layer.snapshot",
                "only SNAPSHOT writes",
            ),
            ("nudged & (unit == self.target)", "cost & (unit == self.target)", "only a nudged phase pushes"),
            ("push.eq(nudge.push)", "push.eq(self.nudges[0].push)", "the push is that of the phase's sign"),
            ("Mux(nudged, nudge.shift, layer.shift)", "layer.shift", "the rule is that of the phase"),
            ("whole & ~keeps", "whole", "only UPDATE makes new states"),
        )
    ],
}
FAST_MUTANTS = ("scaler_holds-0", "registers_obey-0", "axi_lite_obeys-0", "sequencer_obeys-0")


def listed() -> Iterator[Any]:
    for proof in PROOFS:
        for number, change in enumerate(MUTANTS.get(proof.name, [])):
            name = f"{proof.name}-{number}"
            yield pytest.param(proof, *change, id=name, marks=[] if name in FAST_MUTANTS else pytest.mark.slow)


@pytest.mark.parametrize(("proof", "used", "module", "old", "new", "claim"), [*listed()])
def test_a_broken_circuit_is_caught(
    proof: formal.Proof,
    used: str,
    module: str,
    old: str,
    new: str,
    claim: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(used, getattr(mutant(module, old, new), used.rpartition(".")[2]))
    outcome = proof.run(tmp_path)
    assert outcome.status == "fail"
    assert any(claim in failed for failed in outcome.failed), outcome


def test_every_proof_has_a_mutant() -> None:
    pipelines = {f"{name}_keeps" for name in PIPELINES}
    assert {proof.name for proof in PROOFS} == MUTANTS.keys() | pipelines


class Broken(Component):
    """A pipeline with one wire of its ports cut, or put elsewhere."""

    def __init__(self, block: Any, cut: Callable[[Module, Any, Any], None]) -> None:
        super().__init__(block.signature)
        self._block, self._cut = block, cut

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.block = self._block
        connect(m, flipped(self), self._block)
        self._cut(m, self, self._block)
        return m


def overflows(m: Module, outer: Any, block: Any) -> None:
    m.d.comb += outer.i.ready.eq(1)


def loses(m: Module, outer: Any, block: Any) -> None:
    m.d.comb += block.i.valid.eq(outer.i.valid & ~(block.o.valid & outer.o.ready))


def sleeps(m: Module, outer: Any, block: Any) -> None:
    m.d.comb += [
        outer.o.valid.eq(block.o.valid & outer.i.valid),
        block.o.ready.eq(outer.o.ready & outer.i.valid),
        outer.i.ready.eq(block.i.ready | ~outer.i.valid),
    ]


def doubles(m: Module, outer: Any, block: Any) -> None:
    m.d.comb += outer.o.valid.eq(block.o.valid | delayed(m, block.o.valid & outer.o.ready, 1))


def mixes_rules(m: Module, outer: Any, block: Any) -> None:
    m.d.comb += block.rule.eq(delayed(m, outer.rule.as_value(), 1))


def hesitates(m: Module, outer: Any, block: Any) -> None:
    turn = Signal()
    m.d.sync += turn.eq(~turn)
    m.d.comb += [block.i.valid.eq(outer.i.valid & turn), outer.i.ready.eq(block.i.ready & turn)]


# Where an element is lost it is waited for, and others come in the wrong places, as they do where one is given twice:
# the solver may show that as soon.
MOVED = "an element is given as what it should become"
CUTS: list[tuple[Callable[[Module, Any, Any], None], tuple[str, ...]]] = [
    (overflows, ("no more is taken than there is room for",)),
    (loses, ("no more is taken than there is room for", "what was taken is given in time", MOVED)),
    (sleeps, ("what was taken is given in time",)),
    (doubles, ("nothing is given that was not taken", MOVED)),
    (mixes_rules, (MOVED,)),
    (hesitates, ("a willing sink makes a willing pipeline",)),
]


@pytest.mark.slow
@pytest.mark.parametrize(("cut", "claims"), CUTS, ids=[cut.__name__ for cut, _ in CUTS])
def test_lost_invented_and_changed_elements_are_caught(
    cut: Callable[[Module, Any, Any], None], claims: tuple[str, ...], tmp_path: Path
) -> None:
    pipeline = PIPELINES["scaler"]
    watched = StreamKeepsElements(pipeline, Broken(pipeline.make(), cut))
    outcome = prove(watched, cut.__name__, tmp_path, 3 * pipeline.latency + 4)
    assert outcome.status == "fail"
    assert any(claim in failed for failed in outcome.failed for claim in claims), outcome
