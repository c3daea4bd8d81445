"""A labelled set of images of one size, held in memory as raw pixel codes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from eqprop.errors import InputError

Split = Literal["train", "test"]


@dataclass(frozen=True, eq=False)  # comparing tensors with == has no single truth value
class ImageSet:
    """Images, labels, and what turns pixel codes into network inputs.

    ``images`` is uint8 [count, channels, height, width], ``labels`` int64 [count] with values below
    ``len(classes)``. ``full_scale`` is the pixel code that means 1.0. ``mean`` and ``std`` hold one number per
    channel and describe the images in [0, 1].
    """

    name: str
    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    full_scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of every image."""
        _, channels, height, width = self.images.shape
        return channels, height, width

    def batch(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """The images at ``index`` as network inputs, and their labels.

        inputs = (code / full_scale - mean) / std: float32 [batch, channels, height, width] in channels_last memory
        format. Labels are int64 [batch].
        """
        index = index.to(self.images.device)
        inputs = self.images[index].to(torch.float32, memory_format=torch.channels_last)
        mean = torch.tensor(self.mean, device=inputs.device).view(-1, 1, 1)
        std = torch.tensor(self.std, device=inputs.device).view(-1, 1, 1)
        return inputs.div_(self.full_scale).sub_(mean).div_(std), self.labels[index]

    def take(self, count: int, seed: int | None = None) -> ImageSet:
        """The first ``count`` images, or with a ``seed`` a random ``count`` of them without repetition.

        Raises ``InputError`` when ``count`` is below 1 or above the number of images.
        """
        if not 1 <= count <= len(self):
            raise InputError(f"data set {self.name}: cannot take {count} of {len(self)} images")
        if seed is None:
            return replace(self, images=self.images[:count], labels=self.labels[:count])
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))
        chosen = order[:count].to(self.images.device)
        return replace(self, images=self.images[chosen], labels=self.labels[chosen])


def check_shape(images: ImageSet, shape: tuple[int, ...], model: str) -> None:
    """Raise ``InputError`` unless the images have the (channels, height, width) that ``model`` expects."""
    if images.shape != tuple(shape):
        found, expected = ("x".join(map(str, sizes)) for sizes in (images.shape, shape))
        raise InputError(f"data set {images.name}: images are {found} but {model} expects {expected}")
