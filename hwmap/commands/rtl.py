"""hwmap rtl: the controller's files, and what it takes on an FPGA."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from typing import Any

from eqprop.atomic import replacing
from eqprop.errors import InputError
from hw.config import ControllerConfig
from hw.files import NAME, RTLIL_FILE, VERILOG_FILE, rtl_files
from hw.synthesis import FAMILIES, SEEDS, Synthesis, synthesise
from hwmap.console import print_result, say, table
from hwmap.user_values import values_from
from mapping import Mapping

FOLDER = "rtl"
MEMORIES = ("inside", "outside")


def run(directory: Path, memories: str, family: str | None, check: bool, as_json: bool) -> None:
    """Write DIR/rtl, or compare it with what would be written (exit code 1 where it differs)."""
    start = time.perf_counter()
    if memories not in MEMORIES:
        raise InputError(f"--memories {memories}: expected one of {', '.join(MEMORIES)}")
    outside = memories == "outside"
    if family is not None and outside:
        raise InputError(f"--memories outside with --synth {family}: expected inside, an FPGA has block memories")
    if family is not None and family not in FAMILIES:
        raise InputError(f"--synth {family}: expected one of {', '.join(FAMILIES)}")
    mapping = Mapping.load(directory)
    folder = directory / FOLDER
    with values_from(str(directory)):
        config = ControllerConfig.from_mapping(mapping)
        say("writing the controller")
        files = rtl_files(mapping, outside)
    result: dict[str, Any] = {"verilog": str(folder / VERILOG_FILE), "config_hash": f"{config.hash:08x}"}
    result |= {"memories": memories}
    if check:
        different = [name for name, content in files.items() if not same(folder / name, content)]
        result |= {"different": different}
        for name in different:
            say(f"{folder / name}: differs from what this version writes")
    else:
        write(folder, files)
    found = None
    if family is not None:
        say(f"synthesis for {family}, {len(SEEDS)} placements: each a quarter of an hour for a controller of 8 lanes")
        found = synthesise(files[RTLIL_FILE].decode(), NAME, family)
        result |= {
            "device": found.device,
            "luts": found.luts,
            "ffs": found.ffs,
            "dsps": found.dsps,
            "brams": found.brams,
            "fmax_hz": found.fmax_hz,
            "fmax_hz_per_seed": list(found.fmax_hz_per_seed),
        }
    result |= {"files": sorted(files), "seconds": time.perf_counter() - start}
    print_result(result, results_table(directory, config, found), as_json)
    if check and result["different"]:
        sys.exit(1)


def same(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content


def write(folder: Path, files: dict[str, bytes]) -> None:
    """The whole folder aside, then renamed."""
    aside = folder.with_name(f".{folder.name}.aside")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    for name, content in files.items():
        with replacing(aside / name) as path:
            path.write_bytes(content)
    shutil.rmtree(folder, ignore_errors=True)
    aside.rename(folder)


def results_table(directory: Path, config: ControllerConfig, found: Synthesis | None) -> Any:
    rows = [
        ("lanes, state bits", f"{config.lanes}, {config.state_bits}"),
        ("states, sums, constants (words)", f"{config.state_words:,}, {config.sum_words:,}, {config.constant_words:,}"),
        ("program, reads, beats (rows)", f"{config.program_words:,}, {config.read_rows:,}, "
         f"{config.drive_beats + config.sense_beats:,}"),
        ("configuration", f"{config.hash:08x}"),
    ]  # fmt: skip
    if found is not None:
        rows += [
            ("device", found.device),
            ("LUTs, flip-flops", f"{found.luts:,}, {found.ffs:,}"),
            ("multipliers, block memories", f"{found.dsps}, {found.brams}"),
            (f"fmax, median of {len(found.fmax_hz_per_seed)}", f"{found.fmax_hz / 1e6:.1f} MHz"),
        ]
    return table(f"controller of {directory} ({directory / FOLDER})", ["what", "figure"], rows)
