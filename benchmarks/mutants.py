"""Does the suite notice when the controller is wrong? Each mutant changes one place of the source, in a copy.

    python benchmarks/mutants.py [--only WORD]

A mutant is caught if the tests named beside it fail. Text that is not in its file any more is an error, so the list
cannot rot in silence. Exit code 1 if a mutant survived. Control has mutants of its own, for proofs:
tests/tb/test_formal.py.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("eqprop", "mapping", "sim", "hw", "tb", "hwmap", "reports", "tests")
CORE = "tests/hw/test_core.py"


@dataclass(frozen=True)
class Mutant:
    """One wrong place.

    Attributes:
        what: is wrong.
        file, old, new: the place; the first of several is changed.
        tests: that must fail.
    """

    what: str
    file: str
    old: str
    new: str
    tests: str = CORE


MUTANTS = (
    Mutant("rounding without its half", "hw/fixed.py", "(moved + number)", "(moved)", "tests/hw/test_scaler.py"),
    Mutant("the lower limit is forgotten", "hw/fixed.py", "Mux(below, lowest, ", "Mux(0, lowest, ",
           "tests/hw/test_scaler.py"),
    Mutant("beta has the other sign", "hw/updater.py", "self.nudges[self.sign[1]]", "self.nudges[~self.sign[1]]"),
    Mutant("the class beside the target is nudged", "hw/updater.py", "(unit == self.target)",
           "(unit == self.target + 1)"),
    Mutant("sums stay where they were", "hw/updater.py", "p.clears.eq(valid4)", "p.clears.eq(0)"),
    Mutant("the snapshot goes where captured states are", "hw/updater.py", "goal.eq(layer.snapshot)",
           "goal.eq(layer.captured)"),
    Mutant("a stale snapshot: states are not restored", "hw/updater.py", "origin.eq(layer.snapshot)",
           "origin.eq(layer.state)"),
    Mutant("biases of the group before", "hw/updater.py", "layer.bias + delayed(m, p.group, added)",
           "layer.bias + delayed(m, p.group, added + 1)"),
    Mutant("shares of the word before are kept", "hw/updater.py", "Mux(first, 0, total)", "total"),
    Mutant("KEEP forgets the bias", "hw/updater.py", "drives[n] + biases[n]", "drives[n]"),
    Mutant("constants are taken for biases", "hw/updater.py", "Mux(layer.has_constant & (opcode == Opcode.UPDATE)",
           "Mux(0"),
    Mutant("a share's scaling of the source behind", "hw/updater.py", "rule = delayed(m, row, 2)",
           "rule = delayed(m, row, 1)"),
    Mutant("a sum that is needed again at once is old", "hw/collector.py",
           "Mux(from_last, handed[lane], ", "Mux(0, handed[lane], "),
    Mutant("a sum that is needed again in the next clock but one is old", "hw/collector.py",
           "Mux(from_earlier, earlier[lane], before[lane])", "before[lane]"),
    Mutant("lanes that are not used are added", "hw/collector.py", "Mux(answer.used[lane], code, 0)", "code"),
    Mutant("what falls into the padding is added", "hw/collector.py", "Mux(beat.inside, beat.mask, 0)",
           "beat.mask"),
    Mutant("codes of the converter's other direction are clamped", "hw/collector.py",
           "Mux(above, high, ", "Mux(above, high - 1, "),
    Mutant("the window has no upper edge", "hw/walk.py", "(y >= 0) & ", ""),
    Mutant("the window has no right edge", "hw/walk.py", " & (x < self.walk.width)", ""),
    Mutant("rows for columns of a crossbar", "hw/beat_walk.py", "Mux(of_rows, tile.row, tile.column)",
           "Mux(of_rows, tile.column, tile.row)"),
    Mutant("the offset in the window is forgotten", "hw/beat_walk.py", "walk.address + beat.offset",
           "walk.address"),
    Mutant("the address strides a word too far down", "hw/walk.py", "self.address.eq(start + self.walk.base_down)",
           "self.address.eq(start + self.walk.base_down + 1)"),
    Mutant("the address strides as it does down, across", "hw/walk.py", "self.address + self.walk.base_across",
           "self.address + self.walk.base_down"),
    Mutant("the window does not return to the left", "hw/walk.py", "self.left.eq(self.walk.left),\n"
           "                self.address.eq(start", "self.address.eq(start"),
    Mutant("the other bank of codes", "hw/line_driver.py", "self.code_address[-1].eq(bank)",
           "self.code_address[-1].eq(~bank)"),
    Mutant("padding is driven", "hw/line_driver.py", "used = held.inside & held.mask[lane]",
           "used = held.mask[lane]"),
    Mutant("the last word is not fed", "hw/feeder.py", "asked != row.feed_words", "asked + 1 != row.feed_words"),
    Mutant("signed states are fed as unsigned", "hw/feeder.py", "Mux(row.feed_signed, ", "Mux(0, "),
    Mutant("parts of a word in the wrong place", "hw/feeder.py", "self.write_part.eq(self.write_part + 1)]",
           "self.write_part.eq(0)]"),
    Mutant("every lane takes the next lane's dither", "hw/dac_feeder.py", "leapt(number, self._lfsr, lane)",
           "leapt(number, self._lfsr, lane + 1)", "tests/hw/test_dac_feeder.py"),
    Mutant("a conversion too few", "hw/array_timer.py", "conversions <= 1", "conversions <= 2",
           "tests/hw/test_array_timer.py"),
    Mutant("a sweep too many", "hw/sequencer.py", "counts[inner] <= 1", "counts[inner] == 0"),
    Mutant("nudged phases as long as the free one", "hw/sequencer.py", "word.flags == FREE_SWEEPS",
           "word.flags != 0"),
    Mutant("a READ that nobody took is over", "hw/sequencer.py", "with m.If(self.read.ready):", "with m.If(1):"),
    Mutant("nothing is nudged", "hw/sequencer.py", "self.sign.eq(word.number[:2])", "self.sign.eq(0)"),
    Mutant("copies of states begin a word late", "hw/updater.py", "delayed(m, write_at, 3)",
           "delayed(m, write_at + 1, 3)"),
    Mutant("clip ranges of another layer", "hw/link_layers.py", '"high": high', '"high": high - 1'),
    Mutant("sums of two reads in one block", "hw/link_memories.py", "shares.index(share) *", "0 *"),
    Mutant("turns are not taken", "hw/beats.py", "seen[tile.crossbar] = found[-1] + 1", "seen[tile.crossbar] = 0",
           "tests/hw/test_link.py"),
    Mutant("gradients of the other sign", "hw/contrast.py", "self.sign", "~self.sign", "tests/hw/test_contrast.py"),
    Mutant("some bytes are written", "hw/axi_lite.py", "self.bus_wstrb.all()", "self.bus_wstrb.any()",
           "tests/hw/test_axi_lite.py"),
    Mutant("columns of a row change places", "hw/host_memory.py", "host_column == number", "host_column == 1 - number",
           "tests/hw/test_host_memory.py"),
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="mutants whose description or file has this in it")
    only = parser.parse_args().only
    chosen = [one for one in MUTANTS if only in one.what or only in one.file]
    start, survived = time.perf_counter(), []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in FOLDERS:
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        for test in sorted({one.tests for one in chosen}):
            if not passes(copy, test):
                sys.exit(f"{test} fails without any mutant")
        for number, one in enumerate(chosen, start=1):
            caught = is_caught(copy, one)
            print(
                f"{number:2} of {len(chosen)}  {'caught' if caught else 'SURVIVED'}  {one.file}: {one.what}", flush=True
            )
            if not caught:
                survived.append(one)
    print(f"{len(chosen) - len(survived)} of {len(chosen)} caught in {time.perf_counter() - start:.0f} s")
    sys.exit(bool(survived))


def is_caught(copy: Path, mutant: Mutant) -> bool:
    """Whether the tests fail with the mutant in place; the file is as it was afterwards."""
    path = copy / mutant.file
    source = path.read_text(encoding="utf-8")
    if mutant.old not in source:
        sys.exit(f"{mutant.file}: {mutant.old!r} is not there any more ({mutant.what})")
    path.write_text(source.replace(mutant.old, mutant.new, 1), encoding="utf-8")
    try:
        return not passes(copy, mutant.tests)
    finally:
        path.write_text(source, encoding="utf-8")


def passes(copy: Path, tests: str) -> bool:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "not slow", tests]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(copy)}
    try:
        done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=600)
    except subprocess.TimeoutExpired:  # a circuit that never comes to its end is not right
        return False
    return done.returncode == 0


if __name__ == "__main__":
    main()
