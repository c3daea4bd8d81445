"""Truth: the promise about errors. Bad input is one clear line on stderr and exit code 2: no traceback, nothing
half-written, and no code of an untrusted file ever runs. Every command is the real one."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import eqprop
import mapping
from eqprop import checkpoint

SHAPE = {"channels": 1, "size": 8}


def refused(done: Any, *words: str) -> None:
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    for word in words:
        assert word in lines[0], (word, lines[0])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.pt"
    checkpoint.save(path, checkpoint.Checkpoint(eqprop.models.build("mlp", width=0.05, **SHAPE)))
    return path


@pytest.fixture(scope="module")
def compiled(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("compiled") / "out"
    mapping.compile(eqprop.load(model), mapping.Target.load("ideal", crossbar=(64, 64))).save(directory)
    return directory


@pytest.fixture
def compile_into(hwmap: Any) -> Any:
    """Compile a model into ``out`` of a folder."""

    def run(path: Path, model: Path, *more: str) -> Any:
        return hwmap("compile", model, *more, "-o", path / "out", cwd=path)

    return run


def nothing_written(path: Path) -> None:
    assert not (path / "out").exists() or not any((path / "out").iterdir())


def test_a_missing_model_is_named(compile_into: Any, tmp_path: Path) -> None:
    refused(compile_into(tmp_path, tmp_path / "none.pt"), "none.pt", "no such file")
    nothing_written(tmp_path)


@pytest.mark.parametrize("keep", [0, 10, 1000, 0.5, -1])
def test_a_truncated_model_is_refused(compile_into: Any, tmp_path: Path, model: Path, keep: float) -> None:
    content = model.read_bytes()
    length = int(len(content) * keep) if 0 < keep < 1 else int(keep)
    (tmp_path / "cut.pt").write_bytes(content[:length])
    refused(compile_into(tmp_path, tmp_path / "cut.pt"), "cut.pt", "truncated or not a model file")
    nothing_written(tmp_path)


class Payload:
    """Runs a command when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.write_text, (self.marker, "code ran"))


@pytest.mark.parametrize("writer", ["torch", "pickle"])
def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(
    compile_into: Any, tmp_path: Path, writer: str
) -> None:
    evil, marker = tmp_path / "evil.pt", tmp_path / "marker"
    if writer == "torch":
        torch.save({"format": "hwmap-network", "architecture": Payload(marker)}, evil)
    else:
        evil.write_bytes(pickle.dumps(Payload(marker)))
    refused(compile_into(tmp_path, evil), "evil.pt", "can run code")
    assert not marker.exists()
    nothing_written(tmp_path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite_are_refused(compile_into: Any, tmp_path: Path, value: float) -> None:
    network = eqprop.models.build("mlp", width=0.05, **SHAPE)
    with torch.no_grad():
        network.coupling("input_h1").get_parameter("weight")[2, 3] = value
    checkpoint.save(tmp_path / "bad.pt", checkpoint.Checkpoint(network))
    refused(compile_into(tmp_path, tmp_path / "bad.pt"), "bad.pt", "input_h1.weight", "1 NaN or infinite")
    nothing_written(tmp_path)


def test_compiling_without_a_directory_asks_for_one(hwmap: Any, model: Path, tmp_path: Path) -> None:
    refused(hwmap("compile", model, cwd=tmp_path), "-o", "--dry-run")


def test_an_unknown_target_key_is_named_with_its_line(compile_into: Any, tmp_path: Path, model: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "name: mine\ncrossbar: {rows: 8, columns: 8}\ndevice: ideal\nadc:\n  bits: 8\n  bitz: 9\n"
    )
    refused(compile_into(tmp_path, model, "--target", "mine.yaml"), "mine.yaml:6", "unknown key adc.bitz")
    nothing_written(tmp_path)


@pytest.mark.parametrize("size", ["0x128", "128x0", "128", "axb", "-1x4", "128x128x2", "1.5x2", ""])
def test_a_crossbar_size_that_is_none_is_refused(compile_into: Any, tmp_path: Path, model: Path, size: str) -> None:
    refused(compile_into(tmp_path, model, f"--crossbar={size}"), "--crossbar", "expected ROWSxCOLUMNS")
    nothing_written(tmp_path)


def test_a_crossbar_too_small_for_one_pair_is_refused(compile_into: Any, tmp_path: Path, model: Path) -> None:
    refused(compile_into(tmp_path, model, "--crossbar", "1x1"), "crossbar 1x1", "expected at least 1x2")
    nothing_written(tmp_path)


def test_too_few_crossbars_are_counted(compile_into: Any, tmp_path: Path, model: Path) -> None:
    done = compile_into(tmp_path, model, "--crossbar", "8x8", "--set", "chip.crossbars=3")
    refused(done, "chip.crossbars is 3", "needs")
    nothing_written(tmp_path)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--crossbar", "8x8", "--crossbars", "2"), ("--crossbars 2", "expected at least")),
        (("--low-rank", "both"), ("--low-rank both", "keep")),
        (("--pack", "maybe"), ("--pack maybe", "off")),
        (("--set", "controller.memory_bytes=10"), ("controller.memory_bytes is 10", "more")),
        (("--set", "chip.mesh=[0, 4]"), ("chip.mesh",)),
    ],
)
def test_a_compiler_option_that_does_not_fit_is_refused(
    compile_into: Any, tmp_path: Path, model: Path, options: tuple[str, ...], words: tuple[str, ...]
) -> None:
    refused(compile_into(tmp_path, model, *options), *words)
    nothing_written(tmp_path)


@pytest.mark.parametrize(
    ("setting", "word"),
    [("adc.bits=99", "16"), ("adc.bitz=8", "bitz"), ("adc.bits", "key.key=value"), ("device=none", "no such preset")],
)
def test_a_setting_that_does_not_fit_is_refused(
    compile_into: Any, tmp_path: Path, model: Path, setting: str, word: str
) -> None:
    refused(compile_into(tmp_path, model, "--set", setting), word)
    nothing_written(tmp_path)


def test_images_of_the_wrong_shape_are_refused(compile_into: Any, hwmap: Any, tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "big.pt", checkpoint.Checkpoint(eqprop.models.build("mlp", width=0.05)))
    refused(hwmap("evaluate", "big.pt", "--data", "digits", cwd=tmp_path), "1x8x8", "big.pt expects 1x28x28")
    refused(compile_into(tmp_path, tmp_path / "big.pt", "--calibrate", "digits"), "1x8x8", "1x28x28")
    nothing_written(tmp_path)


def test_a_data_set_with_other_classes_is_refused(hwmap: Any, tmp_path: Path) -> None:
    checkpoint.save(
        tmp_path / "three.pt", checkpoint.Checkpoint(eqprop.models.build("mlp", classes=3, width=0.05, **SHAPE))
    )
    refused(hwmap("evaluate", "three.pt", "--data", "digits", cwd=tmp_path), "10 classes", "has 3")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("evaluate", "MODEL", "--data", "nonsense"), ("nonsense", "digits")),
        (("evaluate", "MODEL", "--data", "mnist"), ("--data-dir",)),
        (("evaluate", "MODEL", "--data", "digits", "--samples", "100000"), ("100000", "360")),
        (("evaluate", "MODEL", "--data", "digits", "--activation", "relu6"), ("names its own activations",)),
        (("train", "nonsense", "--data", "digits", "-o", "new.pt"), ("nonsense", "hopfield-resnet")),
        (("train", "mlp", "--data", "digits", "--beta", "-1", "-o", "new.pt"), ("beta",)),
        (("train", "mlp", "--data", "digits", "--width", "0", "-o", "new.pt"), ("width",)),
        (("train", "mlp", "--data", "digits", "--activation", "step", "-o", "new.pt"), ("step", "relu6")),
        (("train", "mlp", "--data", "digits", "--estimator", "magic", "-o", "new.pt"), ("magic", "symmetric")),
        (("train", "mlp", "--data", "digits", "--order", "random", "-o", "new.pt"), ("random", "coloured")),
        (("train", "mlp", "--data", "digits", "--resume", "-o", "new.pt"), ("new.pt", "no such file")),
        (("train", "mlp", "--data", "digits", "-o", "new.safetensors"), ("new.safetensors", ".pt")),
        (("simulate", "nowhere", "--data", "digits"), ("nowhere", "mapping.yaml")),
        (("report", "nowhere"), ("nowhere", "mapping.yaml")),
        (("target", "show", "nothing"), ("nothing", "rram-hfo2")),
        (("target", "check", "nothing.yaml"), ("nothing.yaml",)),
    ],
)
def test_values_that_make_no_sense_are_refused(
    hwmap: Any, tmp_path: Path, model: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    refused(hwmap(*(str(model) if word == "MODEL" else word for word in arguments), cwd=tmp_path), *words)
    assert list(tmp_path.iterdir()) == []


def test_a_negative_age_is_refused(hwmap: Any, compiled: Path) -> None:
    done = hwmap("simulate", compiled, "--data", "digits", "--age", "-5", cwd=compiled)
    refused(done, "--age -5", "seconds >= 0")


@pytest.mark.parametrize("name", ["conductances.safetensors", "network.safetensors"])
def test_a_changed_file_of_a_compiled_directory_is_named(hwmap: Any, tmp_path: Path, compiled: Path, name: str) -> None:
    for file in compiled.iterdir():
        if file.is_file():
            (tmp_path / file.name).write_bytes(file.read_bytes())
    content = bytearray((tmp_path / name).read_bytes())
    content[-1] ^= 1
    (tmp_path / name).write_bytes(bytes(content))
    refused(hwmap("simulate", tmp_path, "--data", "digits", cwd=tmp_path), name, "changed since it was compiled")


def test_truncated_image_files_are_refused(hwmap: Any, tmp_path: Path, model: Path) -> None:
    header = np.array([0x803, 10, 8, 8], ">i4").tobytes()
    for stem in ("t10k-images-idx3-ubyte", "train-images-idx3-ubyte"):
        (tmp_path / stem).write_bytes(header + b"\0" * 100)
    done = hwmap("evaluate", model, "--data", "mnist", "--data-dir", tmp_path, cwd=tmp_path)
    refused(done, "t10k-")


def test_a_file_in_the_way_of_the_output_directory_is_refused(compile_into: Any, tmp_path: Path, model: Path) -> None:
    (tmp_path / "out").write_text("mine")
    refused(compile_into(tmp_path, model), "out", "is a file")
    assert (tmp_path / "out").read_text() == "mine"
