"""Built-in models by name."""

from __future__ import annotations

import math

from eqprop.models.bilinear import UNITS, bilinear
from eqprop.models.hopfield_resnet import hopfield_resnet
from eqprop.models.mlp import mlp
from eqprop.models.vgg5 import vgg5
from eqprop.network import EnergyNetwork

NAMES = ("mlp", "vgg5", "hopfield-resnet", "hopfield-resnet13", "bilinear")

DEFAULT_SHAPE = {
    "mlp": (1, 28),
    "vgg5": (3, 32),
    "hopfield-resnet": (1, 8),
    "hopfield-resnet13": (3, 32),
    "bilinear": (1, 28),
}

BILINEAR_OPTIONS = ("modules", "rank", "units")


def build(
    name: str,
    classes: int = 10,
    channels: int | None = None,
    size: int | None = None,
    width: float = 1.0,
    activation: str | None = None,
    cost: str = "squared-error",
    seed: int = 0,
    **options: int,
) -> EnergyNetwork:
    """Build the model called ``name`` with fresh weights.

    Args:
        name: ``mlp`` (784-512-classes), ``vgg5``, ``hopfield-resnet`` (2 blocks for 8x8 digits),
            ``hopfield-resnet13`` or ``bilinear`` (8 modules of 512 units joined by couplings of rank 16).
        classes, channels, size: labels, image channels, image height = width in pixels; channels and size
            default to the model's usual data (1x28x28, 3x32x32, 1x8x8, 3x32x32, 1x28x28).
        width: multiplies every hidden layer's channels or units.
        activation: ``relu6`` (``hard-sigmoid`` for mlp, rails at +-2.5 for bilinear) unless given; see
            :func:`eqprop.layer.clip_range`.
        cost: ``squared-error`` on a linear output state, or ``cross-entropy`` on a readout.
        seed: of the initial weights.
        options: ``modules``, ``units`` and ``rank`` of bilinear.

    Raises:
        ValueError: for an unknown name or option, or a value that makes no network.
    """
    if name not in NAMES:
        raise ValueError(f"model {name!r}: expected one of {', '.join(NAMES)}")
    if not 0 < width < math.inf:
        raise ValueError(f"width {width}: expected a positive multiplier")
    if classes < 2:
        raise ValueError(f"classes {classes}: expected at least 2")
    known = BILINEAR_OPTIONS if name == "bilinear" else ()
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ValueError(f"model {name!r}: no option {', '.join(unknown)}: expected {', '.join(known) or 'none'}")
    default_channels, default_size = DEFAULT_SHAPE[name]

    def scaled(*channel_counts: int) -> list[int]:
        return [max(1, round(count * width)) for count in channel_counts]

    shape = {
        "channels": default_channels if channels is None else channels,
        "size": default_size if size is None else size,
    }
    if name == "mlp":
        return mlp(scaled(512), **shape, classes=classes, activation=activation or "hard-sigmoid", cost=cost, seed=seed)
    if name == "bilinear":
        (units,) = scaled(options.pop("units", UNITS))
        return bilinear(units, **options, **shape, classes=classes, activation=activation, cost=cost, seed=seed)
    activation = activation or "relu6"
    if name == "vgg5":
        return vgg5(scaled(128, 256, 512, 512), **shape, classes=classes, activation=activation, cost=cost, seed=seed)
    blocks = scaled(64, 128) if name == "hopfield-resnet" else scaled(128, 256, 512, 512)
    return hopfield_resnet(blocks, **shape, classes=classes, activation=activation, cost=cost, seed=seed)


__all__ = ["NAMES", "bilinear", "build", "hopfield_resnet", "mlp", "vgg5"]
