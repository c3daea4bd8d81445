"""cocotb: whole EP steps of a compiled model on a chip's arrays, through a real AXI4-Lite host, against ``sim``.

Run with the environment of :mod:`tb.verify`: HWMAP_DIRECTORY (the compiled directory), HWMAP_SAMPLES, HWMAP_SWEEPS
("free,nudged"), HWMAP_SEED, HWMAP_GRADIENTS (0 or 1); HWMAP_NOTES, a file that gets a line for each step.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import cocotb
import torch
from cocotb.triggers import RisingEdge

from hw.config import ControllerConfig
from hw.link import link
from mapping import Mapping
from sim.chip import Chip
from tb.arrays import Arrays, Codes
from tb.benches.array_side import ArraySide
from tb.benches.host_port import HostPort
from tb.benches.times import BETA, TIMES
from tb.gradients import gradients_of
from tb.host import COPIES, Host
from tb.reference import Reference, random_samples
from tb.step import Step
from tb.streams import Port, check, pauses, start
from tb.traffic import Traffic, words_of_numbers

CHECKED = ("drive", "request", "gradient")


@cocotb.test()
async def ep_steps_equal_the_simulator(dut: Any) -> None:
    """States after every phase, the answer and gradients, of some samples, with read noise on; in the last, pauses."""
    mapping = Mapping.load(Path(os.environ["HWMAP_DIRECTORY"]))
    free, nudged = (int(number) for number in os.environ["HWMAP_SWEEPS"].split(","))
    samples, seed = int(os.environ["HWMAP_SAMPLES"]), int(os.environ["HWMAP_SEED"])
    linked, config = link(mapping), ControllerConfig.from_mapping(mapping)
    host = Host(mapping, linked, config)
    traffic = Traffic(Arrays(Chip(mapping, seed), linked, config.average), config)
    reference = Reference(Chip(mapping, seed), BETA, (free, nudged))

    torch.set_num_threads(1)  # reads of one sample are too small to share
    port = HostPort(dut)
    arrays = ArraySide(dut, traffic, config)
    await start(
        dut, codes__valid=0, codes__payload=0, feed__ready=1, drive__ready=1, request__ready=1, gradient__ready=1
    )
    running = [cocotb.start_soon(arrays.run())]

    await port.carry_out(host.loading())
    with_gradients = bool(int(os.environ["HWMAP_GRADIENTS"]))
    await port.carry_out(host.settings(BETA, free, nudged, gradients=with_gradients))
    await port.carry_out(host.register(f"time_{name}", clocks) for name, clocks in TIMES.items())
    for number, (x, label) in enumerate(random_samples(mapping, samples, seed)):
        if number == samples - 1:  # the arrays pause, and what is offered must stay
            arrays.wants = pauses(seed, 0.8)
            running += [cocotb.start_soon(check(dut.clk, dut.rst, Port.of(dut, name))) for name in CHECKED]
        codes = {name: host.codes(name, value) for name, value in x.items()}
        await port.carry_out(host.sample(codes, label))
        traffic.phase = -1
        await port.carry_out([host.register("interrupt_status", 0xF), host.command(start=1)])
        await RisingEdge(dut.interrupt)
        status = await port.register(host, "status")
        assert host.field_of("status", "done", status), f"status {status:#x}: expected done"
        phases: list[dict[str, Codes]] = [{} for _ in COPIES]
        for copy, phase in zip(COPIES, phases, strict=True):
            for name in mapping.network.free:
                read = host.states_read(name, copy)
                phase[name] = host.states_of(name, await port.read(read.address, read.count))
        step = Step(phases, await port.register(host, "answer"))
        if with_gradients:
            beats = words_of_numbers(arrays.gradients, len(dut.gradient__payload))
            step.gradients = gradients_of(beats, mapping, linked, config)
            arrays.gradients.clear()
        difference = step.difference(reference.step(x, label))
        assert not difference, difference
        note(f"EP step {number + 1} of {samples} is equal")
    for task in running:
        task.cancel()
    if "HWMAP_COVERAGE" in os.environ:
        Path(os.environ["HWMAP_COVERAGE"]).write_text(json.dumps(arrays.coverage.found()))


def note(line: str) -> None:
    """For whoever waits for the simulation."""
    if "HWMAP_NOTES" in os.environ:
        with open(os.environ["HWMAP_NOTES"], "a", encoding="utf-8") as file:
            file.write(f"{cocotb.SIM_NAME.split()[0].lower()}: {line}\n")
