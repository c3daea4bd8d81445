"""Truth: the integer rules, and the same component clock by clock in Amaranth's own simulator."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth import Cat, Module, Signal, signed
from amaranth.back import rtlil
from amaranth.lib import stream
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out
from streams import BACKPRESSURE, play

from eqprop.errors import InputError
from hw import Rule, RulePort, Scaler
from hw.axi_lite import AxiLite
from hw.registers import Field, Register, RegisterFile, RegisterMap
from mapping.arithmetic import Scaling
from tb import cxxrtl_compile
from tb.cxxrtl import Model, Reason, Sink, Source, Watch, compile_model
from tb.words import packed, to_number, to_words, unpacked

pytestmark = pytest.mark.skipif(
    not any(shutil.which(name) for name in cxxrtl_compile.COMPILERS), reason="no C++ compiler: apt-get install g++"
)

Compile = Callable[[Any], Path]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compile:
    folder = tmp_path_factory.mktemp("models")
    return lambda component: compile_model(rtlil.convert(component, name="circuit", emit_src=False), "circuit", folder)


def test_every_8_bit_code_with_a_million_rules_and_codes(compiled: Compile) -> None:
    limits = (-128, 127)
    rules = [
        Scaling(m, s) for m in (*range(-300, 300, 3), -65535, 65535, 40503) for s in (0, 1, 2, 3, *range(5, 38, 2))
    ]
    codes = list(range(-128, 128))
    scaler = Scaler(signed(8), RulePort(signed(8)))
    model, words = Model(compiled(scaler), [Source("i"), Sink("o")]), packed([[x] for x in codes], 8)
    clocks, start = 0, time.process_time()
    for rule in rules:
        model.set("rule", rule.multiplier & 0x1FFFF | rule.shift << 17 | 0x80 << 23 | 0x7F << 31)
        model.supply("i", words)
        model.run(len(codes) + Scaler.latency)
        clocks += len(codes) + Scaler.latency
    natively = time.process_time() - start
    found = unpacked(model.log("o").payloads, 8, 1, signed=True).reshape(len(rules), len(codes))
    assert found.size > 1_000_000
    assert natively < 2, "ten times slower than measured"
    assert model.clocks == clocks
    for rule, ys in zip(rules, found.tolist(), strict=True):
        assert ys == [rule.apply(x, limits) for x in codes]


@pytest.fixture(scope="module")
def scaler() -> Scaler:
    return Scaler(signed(16), Rule(Scaling(-3, 2), (-20000, 21000)))


@pytest.mark.parametrize(("offered", "taken"), BACKPRESSURE)
def test_clocks_are_those_of_amaranth_s_simulator(compiled: Compile, scaler: Scaler, offered: str, taken: str) -> None:
    xs = [-32768, 32767, *range(-30, 30)]
    out, _, ends = play(Scaler(signed(16), scaler.rule), xs, offered, taken)
    model = Model(compiled(scaler), [Source("i", offered=offered), Sink("o", ready=taken)])
    model.supply("i", xs)
    assert model.run(100 + 60 * len(xs)) == Reason.CLOCKS
    found = model.log("o")
    assert unpacked(found.payloads, 16, 1, signed=True)[:, 0].tolist() == out
    assert found.clocks.tolist() == ends
    assert len(model.log("o").clocks) == 0, "a log is given once"


def test_long_statements_as_functions_of_their_own_change_nothing(
    scaler: Scaler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cxxrtl_compile, "LONG_STATEMENT", 40)
    made: list[str] = []
    small = cxxrtl_compile.in_small_functions
    monkeypatch.setattr(cxxrtl_compile, "in_small_functions", lambda code: made.append(small(code)) or made[-1])
    xs = list(range(-200, 200, 7))
    model = Model(compile_model(rtlil.convert(scaler, name="s"), "s", tmp_path), [Source("i"), Sink("o")])
    model.supply("i", xs)
    model.run(100)
    assert made[0].count(cxxrtl_compile.ALONE) > 4
    out = unpacked(model.log("o").payloads, scaler.o.payload.shape().width, 1, signed=True)[:, 0].tolist()
    assert out == [scaler.rule.scaling.apply(x, scaler.rule.limits) for x in xs]


def test_a_reset_forgets_what_was_under_way(compiled: Compile, scaler: Scaler) -> None:
    model = Model(compiled(scaler), [Source("i"), Sink("o", ready="0001")])
    model.supply("i", range(100))
    model.run(20)
    assert 0 < model.queued("i") < 100
    assert model.get("o__valid") == 1
    model.reset()
    assert (model.get("o__valid"), model.clocks, model.queued("i")) == (0, 0, 0)
    model.run(20)
    assert len(model.log("o").clocks) == 0


class Asker(Component):
    """Asks for squares of 0, 1, 2 and so on, at most two at a time; gives on what it is answered; done after 12."""

    def __init__(self) -> None:
        ports = {"request": Out(stream.Signature(8)), "codes": In(stream.Signature(70)), "o": Out(stream.Signature(70))}
        super().__init__(ports | {"done": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        waiting, count = Signal(2), Signal(8)
        asked, answered = self.request.valid & self.request.ready, self.codes.valid & self.codes.ready
        m.d.comb += [self.request.valid.eq((waiting < 2) & ~self.done), self.codes.ready.eq(~self.o.valid)]
        m.d.sync += [
            waiting.eq(waiting + asked - answered),
            self.request.payload.eq(self.request.payload + asked),
            count.eq(count + answered),
            self.done.eq(count == 12),
            self.o.valid.eq(answered | (self.o.valid & ~self.o.ready)),
        ]
        with m.If(answered):
            m.d.sync += self.o.payload.eq(self.codes.payload)
        return m


def square(k: int) -> int:
    """In both ends of a payload of three words."""
    return k * k << 60 | k * k


def asked(compiled: Compile, latency: int, ahead: int) -> tuple[list[int], list[list[int]], list[list[int]], int]:
    """Answers, clocks of all three streams' beats and of done, and how often Python was asked."""
    streams = [Sink("request"), Sink("o"), Source("codes", answers="request", latency=latency)]
    model = Model(compiled(Asker()), [*streams, Watch("done", stops=True)])
    model.supply("codes", [square(k) for k in range(ahead)])
    supplied, calls, requests, clocks = ahead, 0, [], []
    while (reason := model.run(1000)) != Reason.STOPPED:
        assert reason == Reason.STARVED
        taken = model.log("request")
        requests += taken.payloads[:, 0].tolist()
        clocks += taken.clocks.tolist()
        assert model.owed("codes") == len(requests) - supplied > 0
        assert model.run(1000) == Reason.STARVED, "it stays starved, and no clock passes"
        model.supply("codes", [square(k) for k in requests[supplied:]])
        supplied, calls = len(requests), calls + 1
        assert model.owed("codes") == 0
    clocks += model.log("request").clocks.tolist()
    out = model.log("o")
    return (
        [to_number(row, 70) for row in out.payloads],
        [clocks, out.clocks.tolist()],
        [model.rises("done").tolist()],
        calls,
    )


@pytest.mark.parametrize("latency", [1, 3, 10])
def test_the_circuit_cannot_tell_when_answers_were_supplied(compiled: Compile, latency: int) -> None:
    answers, clocks, done, calls = asked(compiled, latency, ahead=0)
    assert answers[:12] == [square(k) for k in range(12)]
    assert len(done[0]) == 1
    assert calls >= 6
    request, given = clocks
    # Taken latency clocks later at the earliest, and given on in the clock after.
    assert all(end >= start + latency + 1 for start, end in zip(request[:12], given[:12], strict=True))
    assert given[0] == request[0] + latency + 1
    for ahead in (5, 14):
        assert asked(compiled, latency, ahead)[:3] == (answers, clocks, done)
    assert asked(compiled, latency, 14)[3] == 0


class Parts(Component):
    """A wide port, a memory, a signed sum, a pulse, and a signal whose bits follow from each other."""

    def __init__(self) -> None:
        ports = {"wide": In(2048), "echo": Out(2048), "row": In(4), "data": Out(40), "a": In(signed(9))}
        ports |= {"negated": Out(signed(10)), "pulse": Out(1), "first": In(1), "turns": Out(8), "kept": Out(8)}
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.table = table = Memory(shape=40, depth=16, init=[3 << 36 | k for k in range(16)])
        port = table.read_port()
        clock, turns = Signal(3), Signal(8)
        m.d.comb += [
            port.addr.eq(self.row),
            self.data.eq(port.data),
            self.negated.eq(-self.a),
            self.pulse.eq(clock == 5),
            turns.eq(~Cat(self.first, turns[:7])),
            self.turns.eq(turns),
        ]
        m.d.sync += [self.echo.eq(self.wide), clock.eq(clock + 1), self.kept.eq(turns)]
        return m


@pytest.fixture
def parts(compiled: Compile) -> Model:
    return Model(compiled(Parts()), [Watch("pulse")])


def test_ports_of_any_width_and_sign(parts: Model) -> None:
    wide = 2**2047 + 2**1000 + 5
    parts.set("wide", wide)
    parts.step()
    assert parts.get("echo") == wide
    parts.set("wide", to_words(wide + 1, 2048))
    parts.step()
    assert parts.get("echo") == wide + 1
    for a in (-256, -1, 0, 255):
        parts.set("a", a)
        assert parts.get_signed("negated") == -a
    parts.set("a", 1)
    assert parts.get("negated") == 1023


def test_memories_by_name(parts: Model) -> None:
    (name,) = (name for name, signal in parts.signals.items() if signal.kind == "memory")
    table = parts.memory(name)
    assert table.shape == (16, 2)
    assert table[7].tolist() == [7, 0x30]
    table[7] = to_words(0xAB_1234_5678, 40)
    parts.set("row", 7)
    parts.step()
    assert parts.get("data") == 0xAB_1234_5678


def test_watches_log_every_rising_edge(parts: Model) -> None:
    assert parts.run(30) == Reason.CLOCKS
    assert parts.rises("pulse").tolist() == [5, 13, 21, 29]
    parts.step(10)
    assert parts.rises("pulse").tolist() == [37]


def test_bits_of_a_signal_that_follow_from_each_other(parts: Model) -> None:
    for first, turns in ((1, 0b10101010), (0, 0b01010101), (1, 0b10101010)):
        parts.set("first", first)
        parts.step()
        assert parts.get("kept") == turns
        parts.set("first", 1 - first)
        assert parts.get("turns") == turns ^ 0xFF


REGISTERS = RegisterMap(
    "r",
    (
        Register("constant", (Field("value", 32, "ro", 0, "A constant."),), "Read."),
        Register("a", (Field("value", 32, "rw", 7, "A word."),), "A."),
        Register("b", (Field("value", 32, "rw", 9, "A word."),), "B."),
    ),
)


class Bus(Component):
    """Registers behind AXI4-Lite, beside a stream that goes on: numbers of clocks."""

    def __init__(self) -> None:
        self.axi, self.file = AxiLite(12), RegisterFile(REGISTERS)
        ports = {name: member for name, member in self.axi.signature.members.items() if name.startswith("bus_")}
        super().__init__(ports | {"o": Out(stream.Signature(16))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.axi, m.submodules.file = axi, file = self.axi, self.file
        for name, member in self.signature.members.items():
            if name.startswith("bus_"):
                inside, outside = getattr(axi, name), getattr(self, name)
                m.d.comb += inside.eq(outside) if member.flow == In else outside.eq(inside)
        beyond = Signal()
        m.d.sync += [beyond.eq(axi.address >= REGISTERS.bytes), self.o.payload.eq(self.o.payload + 1)]
        m.d.comb += [
            file.address.eq(axi.address),
            file.write.eq(axi.write),
            file.write_data.eq(axi.write_data),
            axi.read_data.eq(file.read_data),
            axi.error.eq(beyond),
            file.fields.constant.value.i.eq(0xC0FFEE),
            self.o.valid.eq(1),
        ]
        return m


def test_the_bus_reads_what_it_wrote_while_streams_go_on(compiled: Compile) -> None:
    model = Model(compiled(Bus()), [Sink("o")])
    assert model.axi_read(0, 3).tolist() == [0xC0FFEE, 7, 9]
    model.axi_write(4, [0xFFFFFFFF, 0x12345678])
    assert model.axi_read(4, 2).tolist() == [0xFFFFFFFF, 0x12345678]
    model.axi_write(8, 1)
    assert model.axi_read(0, 3).tolist() == [0xC0FFEE, 0xFFFFFFFF, 1]
    assert model.log("o").payloads[:, 0].tolist() == list(range(model.clocks))
    with pytest.raises(OSError, match="axi_read at 0xc: response SLVERR: expected OKAY"):
        model.axi_read(0, 6)
    with pytest.raises(OSError, match="axi_write at 0x100: response SLVERR"):
        model.axi_write(256, 0)
    assert model.axi_read(4, 1).tolist() == [0xFFFFFFFF], "the bus goes on after an error"
    with pytest.raises(ValueError, match=r"axi_read of 2 words at 0xffc: expected addresses below 0x1000"):
        model.axi_read(0xFFC, 2)


def test_models_of_one_library_share_nothing(compiled: Compile) -> None:
    one, other = (Model(compiled(Parts())) for _ in range(2))
    one.set("wide", 1)
    one.step(3)
    assert (one.get("echo"), other.get("echo"), other.clocks) == (1, 0, 0)


def test_wrong_names_and_values_are_refused(parts: Model, compiled: Compile) -> None:
    for wrong, message in [
        (lambda: parts.set("a", 512), "port a: 512: expected a number of 9 bits"),
        (lambda: parts.set("a", -257), "port a: -257: expected a number of 9 bits"),
        (lambda: parts.get("b"), "input or output or register b: expected one of "),
        (lambda: parts.set("data", 1), "input data: expected one of a, clk, "),
        (lambda: parts.set("wide", to_words(1, 32)), "port wide: 1 words: expected 64 for 2048 bits"),
        (lambda: parts.set("a", to_words(512, 10)), "port a: words with ones beyond their 9 bits"),
        (lambda: parts.memory("a"), "memory a: expected one of "),
        (lambda: parts.log("o"), "channel o: expected one of none"),
        (lambda: parts.axi_read(0), "input bus_awaddr: expected"),
        (lambda: Model(compiled(Asker()), [Source("codes", answers="request")]), "expected a sink declared before it"),
        (lambda: Model(compiled(Asker()), [Source("codes", latency=0)]), "latency 0: expected at least 1"),
        (lambda: Model(compiled(Asker()), [Sink("o", ready="no")]), "pattern 'no': expected some of 0 and 1"),
        (
            lambda: Model(compiled(Asker()), [Source("codes")]).supply("codes", [1 << 70]),
            "expected a number of 70 bits",
        ),
        (lambda: Model(compiled(Asker()), [Source("codes")]).supply("codes", np.zeros((1, 2))), "2 words: expected 3"),
        (lambda: Model(compiled(Asker()), [Source("o")]), "input o__payload: expected one of clk, codes__payload, "),
    ]:
        with pytest.raises(ValueError, match=message):
            wrong()


class Sum(Component):
    """No register at all."""

    def __init__(self) -> None:
        super().__init__({"a": In(4), "b": In(4), "sum": Out(5)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.sum.eq(self.a + self.b)
        return m


TEXT = rtlil.convert(Sum(), name="sum", emit_src=False)


def test_a_circuit_without_a_clock_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = compile_model(TEXT, "sum", tmp_path)
    assert list(tmp_path.iterdir()) == [path], "nothing is left beside it"
    model = Model(path)
    model.set("a", 9)
    model.set("b", 8)
    assert model.get("sum") == 17
    model.step()
    assert (model.get("sum"), model.clocks) == (17, 1)

    def refuse(*_: object) -> Path:
        raise AssertionError("compiled again")

    monkeypatch.setattr(cxxrtl_compile, "build", refuse)
    assert compile_model(TEXT, "sum", tmp_path) == path
    with pytest.raises(AssertionError, match="compiled again"):
        compile_model(TEXT + "\n", "sum", tmp_path)


def test_models_are_kept_in_the_user_s_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "cached")
    assert cxxrtl_compile.default_cache() == Path("cached/hwmap")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cxxrtl_compile.default_cache() == Path.home() / ".cache" / "hwmap"


def test_without_a_compiler_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        InputError, match=r"^no C\+\+ compiler \(g\+\+, c\+\+, clang\+\+\) on PATH: apt-get install g\+\+$"
    ):
        compile_model(TEXT, "sum", tmp_path)
    monkeypatch.setenv("CXX", "my-compiler")
    with pytest.raises(InputError, match=r"my-compiler"):
        compile_model(TEXT, "sum", tmp_path)


def test_without_yosys_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cxxrtl_compile.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"^no yosys: pip install 'hwmap\[rtl\]'$"):
        compile_model(TEXT, "sum", tmp_path)


def test_what_cannot_be_compiled_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no module other"):
        compile_model(TEXT, "other", tmp_path)
    with pytest.raises(InputError, match=r"^[^\n]*ERROR: [^\n]*$"):
        compile_model(TEXT.replace("cell $add", "cell $ad"), "sum", tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file: File exists: expected a folder for compiled models"):
        compile_model(TEXT, "sum", tmp_path / "file")
    assert os.listdir(tmp_path) == ["file"], "nothing half-made is left"
