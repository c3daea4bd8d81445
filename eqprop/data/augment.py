"""Random crops and flips of a batch of images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from eqprop.errors import InputError


@dataclass(frozen=True)
class Augmentation:
    """Shift each image by up to ``crop_padding`` pixels, then mirror half of them left to right.

    The shift is a random crop, of the original size, from the image padded by ``crop_padding`` pixels on each side
    with copies of its edge. Edge pixels, not zeros: the result is the same whether it is applied before or after
    normalisation.
    """

    crop_padding: int = 0
    flip: bool = False

    def __post_init__(self) -> None:
        if self.crop_padding < 0:
            raise InputError(f"crop_padding is {self.crop_padding}; expected 0 or more pixels")

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Images [count, channels, height, width] of any dtype to the same shape, dtype and device.

        Every image draws its own vertical and horizontal shift and its own flip (probability 1/2) from
        ``generator``.
        """
        if not self.crop_padding and not self.flip:
            return images
        count, _, height, width = images.shape
        rows = torch.arange(height, device=images.device).expand(count, height)
        columns = torch.arange(width, device=images.device).expand(count, width)
        if self.crop_padding:
            shift = torch.randint(
                -self.crop_padding, self.crop_padding + 1, (2, count, 1), generator=generator, device=generator.device
            ).to(images.device)
            # Clamping the pixel's address is edge padding, without making the padded image.
            rows = (rows + shift[0]).clamp(0, height - 1)
            columns = (columns + shift[1]).clamp(0, width - 1)
        if self.flip:
            mirrored = torch.rand((count, 1), generator=generator, device=generator.device) < 0.5
            columns = torch.where(mirrored.to(images.device), columns.flip(1), columns)
        image = torch.arange(count, device=images.device)[:, None, None]
        # Channels last: one address per pixel then serves all its channels.
        pixels = images.permute(0, 2, 3, 1)[image, rows[:, :, None], columns[:, None, :]]
        return pixels.permute(0, 3, 1, 2)
