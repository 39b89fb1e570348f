# SPDX-License-Identifier: Apache-2.0
"""Stochastic depth: in training, a residual is dropped from some images of a batch."""

import keras


def drop(keep: float, *, name: str = 'drop_path') -> keras.layers.Dropout:
    """Makes a layer that drops [height, width, channels] of an image as a whole with probability 1 - `keep`.

    What it keeps is divided by `keep`.

    Source: Huang et al., Deep Networks with Stochastic Depth (ECCV 2016), section 3.
    """
    return keras.layers.Dropout(1 - keep, (None, 1, 1, 1), name=name)
