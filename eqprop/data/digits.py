"""The 8x8 handwritten digits bundled with scikit-learn (UCI ML hand-written digits, 1,797 images)."""

from __future__ import annotations

from pathlib import Path

import torch

from eqprop.data.image_set import ImageSet, Split

_TEST_IMAGES = 360
_SPLIT_SEED = 0


def load_digits(split: Split, data_dir: Path | None = None) -> ImageSet:
    """1,437 training or 360 test images of 1x8x8 pixels with codes 0 to 16; ``data_dir`` is not used.

    The split is ours, since the set has none: ``train_test_split(test_size=360, stratify=labels, random_state=0)``
    of scikit-learn, images in their original order. Mean 0 and std 1 keep the inputs in [0, 1], as an unsigned DAC
    takes them.
    """
    from sklearn import datasets, model_selection  # slow to import

    codes, labels = datasets.load_digits(return_X_y=True)
    train, test = model_selection.train_test_split(
        range(len(labels)), test_size=_TEST_IMAGES, stratify=labels, random_state=_SPLIT_SEED
    )
    chosen = sorted(train if split == "train" else test)
    return ImageSet(
        name="digits",
        images=torch.from_numpy(codes[chosen]).to(torch.uint8).view(-1, 1, 8, 8),
        labels=torch.from_numpy(labels[chosen]).to(torch.int64),
        classes=tuple("0123456789"),
        full_scale=16.0,
        mean=(0.0,),
        std=(1.0,),
    )
