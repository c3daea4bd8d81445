"""The hwmap command. Torch is imported by the commands that need it, so that --help is quick."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="hwmap",
    help="Networks trained by Equilibrium Propagation, compiled to memristor crossbars and simulated on them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
targets = typer.Typer(help="Hardware targets: list, show, check.", no_args_is_help=True)
app.add_typer(targets, name="target")
maps = typer.Typer(help="Compiled directories: diff, schema.", no_args_is_help=True)
app.add_typer(maps, name="map")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Data = Annotated[str, typer.Option(help="Data set: digits, fashion-mnist, mnist, kmnist, cifar10, cifar100 or images.")]
DataDir = Annotated[Path | None, typer.Option(help="Folder of the data set's files.")]
TargetName = Annotated[str, typer.Argument(help="Target preset or YAML file.")]
Seed = Annotated[int, typer.Option(min=0, help="Fixes everything random.")]
Samples = Annotated[int | None, typer.Option(min=1, help="Use only so many images.")]
Activation = Annotated[
    str | None,
    typer.Option(help="Hidden activation: relu6, hard-sigmoid, linear or relu:ALPHA (model's own if not given)."),
]


@app.command()
def train(
    name: Annotated[str, typer.Argument(help="Model: mlp, vgg5, hopfield-resnet, hopfield-resnet13 or bilinear.")],
    data: Data,
    output: Annotated[Path, typer.Option("-o", "--output", help="Model file to write (.pt).")],
    data_dir: DataDir = None,
    estimator: Annotated[str, typer.Option(help="symmetric or one-sided.")] = "symmetric",
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training images.")] = 10,
    beta: Annotated[float, typer.Option(help="Nudging strength.")] = 0.1,
    seed: Seed = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on after the last epoch of -o.")] = False,
    width: Annotated[float, typer.Option(help="Multiplies every hidden layer's channels.")] = 1.0,
    activation: Activation = None,
    cost: Annotated[str, typer.Option(help="squared-error or cross-entropy.")] = "squared-error",
    batch_size: Annotated[int, typer.Option(min=1)] = 32,
    learning_rate: Annotated[float, typer.Option(help="At the start; a cosine takes it to almost 0.")] = 0.03,
    momentum: Annotated[float, typer.Option(help="Of Nesterov SGD.")] = 0.9,
    weight_decay: float = 2.5e-4,
    clip_norm: Annotated[float, typer.Option(help="Largest norm of the whole gradient; 0 is no clipping.")] = 1.0,
    order: Annotated[str, typer.Option(help="Order of updates: coloured, odd-even or synchronous.")] = "coloured",
    free_sweeps: Annotated[int, typer.Option(min=1, help="Most sweeps of a free phase.")] = 60,
    nudged_sweeps: Annotated[int, typer.Option(min=1, help="Most sweeps of a nudged phase.")] = 20,
    tolerance: Annotated[float, typer.Option(help="Stop once no state moves more than this.")] = 1e-3,
    crop: Annotated[int, typer.Option(min=0, help="Random crops after padding by so many pixels.")] = 0,
    flip: Annotated[bool, typer.Option("--flip", help="Random horizontal flips.")] = False,
    samples: Samples = None,
    as_json: Json = False,
) -> None:
    """Train a model by Equilibrium Propagation; a checkpoint is written after every epoch."""
    from hwmap.commands import train as command

    command.run(
        command.Request(
            name=name,
            data=data,
            data_dir=data_dir,
            output=output,
            resume=resume,
            width=width,
            activation=activation,
            cost=cost,
            samples=samples,
            dynamics={"order": order, "max_sweeps": free_sweeps, "tolerance": tolerance},
            settings={
                "epochs": epochs,
                "batch_size": batch_size,
                "estimator": estimator,
                "beta": beta,
                "nudged_sweeps": nudged_sweeps,
                "learning_rate": learning_rate,
                "momentum": momentum,
                "weight_decay": weight_decay,
                "clip_norm": clip_norm or None,
                "crop_padding": crop,
                "flip": flip,
                "seed": seed,
            },
        ),
        as_json,
    )


@app.command()
def evaluate(
    model: Annotated[Path, typer.Argument(help="Model file (.pt or .safetensors).")],
    data: Data,
    data_dir: DataDir = None,
    samples: Samples = None,
    activation: Activation = None,
    as_json: Json = False,
) -> None:
    """Accuracy of the ideal network on the test images."""
    from hwmap.commands import evaluate as command

    command.run(model, data, data_dir, samples, activation, as_json)


@app.command()
def compile(
    model: Annotated[Path, typer.Argument(help="Model file (.pt or .safetensors).")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Directory to write.")] = None,
    crossbar: Annotated[str | None, typer.Option(help="Rows x columns of a crossbar, as 128x128.")] = None,
    target: Annotated[str, typer.Option(help="Target preset or YAML file.")] = "rram-hfo2",
    settings: Annotated[list[str] | None, typer.Option("--set", help="Change a target key: key.key=value.")] = None,
    calibrate: Annotated[str | None, typer.Option(help="Data set that sets the converters' ranges.")] = None,
    data_dir: DataDir = None,
    activation: Activation = None,
    pack: Annotated[str, typer.Option(help="on: small blocks share crossbars; off: one block each.")] = "on",
    low_rank: Annotated[
        str,
        typer.Option(
            help="Low-rank couplings: keep both factors as chained reads, merge them, or auto: fewer conversions."
        ),
    ] = "auto",
    crossbars: Annotated[
        int | None, typer.Option(min=1, help="Budget of crossbars, filled with copies of what is read slowest.")
    ] = None,
    seed: Seed = 0,
    explain: Annotated[bool, typer.Option("--explain", help="Say what each pass of the compiler did.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Map a model to crossbars."""
    from hwmap.commands import compile as command
    from hwmap.console import print_result

    result, table, passes = command.execute(
        command.Request(
            model=model,
            output=output,
            crossbar=crossbar,
            target=target,
            settings=settings or [],
            calibrate=calibrate,
            data_dir=data_dir,
            activation=activation,
            pack=pack,
            low_rank=low_rank,
            budget=crossbars,
            seed=seed,
            dry_run=dry_run,
        )
    )
    if explain and not as_json:
        print_result(result, passes, as_json=False)
    print_result(result, table, as_json)


@app.command()
def simulate(
    directory: Annotated[Path, typer.Argument(help="What hwmap compile wrote.")],
    data: Data,
    data_dir: DataDir = None,
    chips: Annotated[int, typer.Option(min=1, help="Chips, each with its own devices.")] = 1,
    age: Annotated[float, typer.Option(help="Seconds since programming.")] = 0.0,
    samples: Samples = None,
    sweeps: Annotated[
        int | None,
        typer.Option(min=1, help="Sweeps of a free phase on the chip, always all of them (controller.free_sweeps)."),
    ] = None,
    seed: Seed = 0,
    memory: Annotated[float, typer.Option(help="Gigabytes a batch of images may take; batches are cut to fit.")] = 2.0,
    phase: Annotated[
        str, typer.Option(help="free: accuracy; nudged: how faithful the chips' EP gradients are.")
    ] = "free",
    beta: Annotated[str | None, typer.Option(help="Nudging strength, or auto (with --phase nudged): 0.1.")] = None,
    learn: Annotated[int | None, typer.Option(min=1, help="Learn on the chips: so many batches of EP.")] = None,
    update: Annotated[str, typer.Option(help="Of --learn: pulses, or verify (accumulate, then write).")] = "pulses",
    trains: Annotated[
        str, typer.Option(help="Of --learn by pulses: stochastic, deterministic, or the controller's registers.")
    ] = "stochastic",
    rate: Annotated[float, typer.Option(min=0.0, help="Learning rate of --learn.")] = 0.05,
    batch: Annotated[int, typer.Option(min=1, help="Images a step of --learn.")] = 16,
    threshold: Annotated[
        float, typer.Option(min=0.0, help="Of --update verify: share of the largest weight that is written.")
    ] = 0.01,
    labelled: Annotated[int | None, typer.Option(min=1, help="Training images --learn may use.")] = None,
    as_json: Json = False,
) -> None:
    """Run the test images on simulated chips, and on the ideal network beside them; or let the chips learn."""
    if phase not in ("free", "nudged"):
        from eqprop.errors import InputError

        raise InputError(f"--phase {phase}: expected free or nudged")
    if phase == "nudged":
        from hwmap.commands import fidelity

        fidelity.run(directory, data, data_dir, chips, age, samples, seed, beta or "0.1", as_json)
        return
    if learn is not None:
        from hwmap.commands import learn as learning
        from hwmap.commands.fidelity import given

        learning.run(
            learning.Request(
                directory=directory,
                data=data,
                data_dir=data_dir,
                chips=chips,
                age_s=age,
                samples=samples,
                seed=seed,
                steps=learn,
                update=update,
                trains=trains,
                rate=rate,
                beta=given(beta or "0.3"),
                batch=batch,
                threshold=threshold,
                labelled=labelled,
            ),
            as_json,
        )
        return
    from hwmap.commands import simulate as command

    command.run(directory, data, data_dir, chips, age, samples, sweeps, seed, memory, as_json)


@app.command()
def cost(
    directory: Annotated[Path, typer.Argument(help="What hwmap compile wrote.")],
    work: Annotated[str, typer.Option(help="inference, ep-step or both.")] = "both",
    costs: Annotated[
        list[str] | None,
        typer.Option(help="Technology scenario: a preset or a YAML file; repeat for several. All presets if none."),
    ] = None,
    batch: Annotated[int, typer.Option(help="Samples that share one update of the devices.")] = 128,
    active: Annotated[float, typer.Option(help="Share of lines that a read drives.")] = 0.5,
    mean_square: Annotated[float, typer.Option(help="Mean (V / full scale)^2 of driven lines.")] = 1 / 3,
    as_json: Json = False,
) -> None:
    """Joules, seconds and area of an inference and of an EP step, beside a processor's joules."""
    from hwmap.commands import cost as command

    command.run(command.Request(directory, work, tuple(costs or ()), batch, active, mean_square), as_json)


@app.command()
def report(directory: Annotated[Path, typer.Argument(help="What hwmap compile wrote.")], as_json: Json = False) -> None:
    """Write report.html into a compiled directory."""
    from hwmap.commands import report as command

    command.run(directory, as_json)


@app.command()
def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="Directory to write.")] = Path("build"),
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Train on handwritten digits, compile, simulate five RRAM chips fresh and a day old, write the report."""
    from hwmap.commands import demo as command

    command.run(output, seed, as_json)


@targets.command("schema")
def target_schema() -> None:
    """JSON schema of target files, for editors and checkers."""
    from hwmap.commands import target as command

    command.schema()


@app.command()
def rtl(
    directory: Annotated[Path, typer.Argument(help="What hwmap compile wrote.")],
    memories: Annotated[
        str, typer.Option(help="inside: block memories; outside: modules of their own, for macros.")
    ] = "inside",
    synth: Annotated[str | None, typer.Option(help="Also synthesise for ecp5 or ice40: LUTs, fmax.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; compare with what is there.")] = False,
    as_json: Json = False,
) -> None:
    """Write the digital controller: Verilog, RTLIL, ports, registers, memory image."""
    from hwmap.commands import rtl as command

    command.run(directory, memories, synth, check, as_json)


@app.command()
def verify(
    directory: Annotated[Path, typer.Argument(help="What hwmap compile wrote.")],
    simulator: Annotated[
        str | None,
        typer.Option(
            help="verilator or icarus (all that are installed if not given); cxxrtl: EP steps alone, far faster."
        ),
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="EP steps compared with the simulator.")] = 3,
    free_sweeps: Annotated[int, typer.Option(min=1, help="Of each step's free phase.")] = 2,
    nudged_sweeps: Annotated[int, typer.Option(min=1, help="Of each step's nudged phases.")] = 1,
    memories: Annotated[
        Path | None, typer.Option(help="Verilog of the memories' modules, if they are outside (rtl/memories.v).")
    ] = None,
    waves: Annotated[
        bool, typer.Option("--waves", help="Record all signals of the last simulator's EP steps.")
    ] = False,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Run the controller's testbenches, with the arrays of a simulated chip in the loop."""
    from hwmap.commands import verify as command

    command.run(directory, simulator, samples, (free_sweeps, nudged_sweeps), memories, waves, seed, as_json)


@targets.command("list")
def target_list(as_json: Json = False) -> None:
    """Names of the built-in targets."""
    from hwmap.commands import target as command

    command.list_presets(as_json)


@targets.command("show")
def target_show(name: TargetName, as_json: Json = False) -> None:
    """Every parameter of a target with its source, and the test points of its device."""
    from hwmap.commands import target as command

    command.show(name, as_json)


@targets.command("check")
def target_check(name: TargetName, as_json: Json = False) -> None:
    """Is this target file valid, do its devices give their sources' values, do its wires suit its devices."""
    from hwmap.commands import target as command

    command.check(name, as_json)


@maps.command("schema")
def map_schema() -> None:
    """JSON schema of mapping.yaml, for editors and checkers."""
    from hwmap.commands import map as command

    command.schema()


@maps.command("diff")
def map_diff(
    one: Annotated[Path, typer.Argument(help="What hwmap compile wrote.")],
    other: Annotated[Path, typer.Argument(help="What it wrote another time.")],
    as_json: Json = False,
) -> None:
    """Compare two compiled directories: target, ranges, places, conductances."""
    from hwmap.commands import map as command

    command.diff(one, other, as_json)


def main() -> None:
    """Run the command: bad input is one line on stderr and exit code 2, Ctrl-C is exit code 130."""
    from hwmap import console

    console.show_warnings()
    try:
        app()
    except KeyboardInterrupt:
        console.print_error("interrupted")
        sys.exit(130)
    except ValueError as error:
        from eqprop.errors import InputError  # here, since the package around it imports torch

        if not isinstance(error, InputError):
            raise
        console.print_error(str(error))
        sys.exit(2)


if __name__ == "__main__":
    main()
