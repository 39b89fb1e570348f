# SPDX-License-Identifier: Apache-2.0
"""Vectors as colours: the direction is the hue, the length the strength, and white is none.

Source: Baker et al., A Database and Evaluation Methodology for Optical Flow (IJCV 2011), section 4.1.
"""

import functools
import itertools

import numpy as np

# Steps from each corner of the wheel to the next, in hues that people tell apart about equally well.
_CORNERS = (
    ((255, 0, 0), 15),  # red, towards yellow
    ((255, 255, 0), 6),
    ((0, 255, 0), 4),
    ((0, 255, 255), 11),
    ((0, 0, 255), 13),
    ((255, 0, 255), 6),
)
_LONGEST = 1 + 1e-5  # by rounding, the longest vector may be longer than itself
_BEYOND = 0.75  # brightness of vectors longer than the longest


@functools.cache
def wheel() -> np.ndarray:
    """Returns the colours around the wheel, float32 [55, 3], 0 .. 1, from red by yellow, green and blue."""
    pairs = itertools.pairwise((*_CORNERS, _CORNERS[0]))
    parts = [np.linspace(color, following, steps, endpoint=False) for (color, steps), (following, _) in pairs]
    return (np.concatenate(parts) / 255).astype(np.float32)


def colors(vectors: np.ndarray, longest: float) -> np.ndarray:
    """Colours vectors.

    As in the pictures of DeepLab2, the wheel turns from the first component to the second: down is red, right
    yellow, up cyan, left violet.

    Args:
      vectors: float32 [..., 2], (y, x).
      longest: length that has the full colour; longer ones are darker.

    Returns:
      uint8 [..., 3].
    """
    hues = wheel()
    scaled = vectors.astype(np.float64) / max(longest, 1e-6)
    radius = np.hypot(scaled[..., 0], scaled[..., 1])
    turn = (np.arctan2(-scaled[..., 1], -scaled[..., 0]) / np.pi + 1) / 2 * (len(hues) - 1)
    low = np.floor(turn).astype(int)
    share = (turn - low)[..., None]
    hue = hues[low % len(hues)] * (1 - share) + hues[(low + 1) % len(hues)] * share
    inside = 1 - np.minimum(radius, 1)[..., None] * (1 - hue)
    return np.round(255 * np.where(radius[..., None] <= _LONGEST, inside, hue * _BEYOND)).astype(np.uint8)


def disk(diameter: int, background: tuple[int, int, int]) -> np.ndarray:
    """Draws the key: at each place of a disk the colour of the vector from the middle to there.

    Returns:
      uint8 [diameter, diameter, 3].
    """
    axis = (np.arange(diameter) + 0.5) / (diameter / 2) - 1
    vectors = np.stack(np.meshgrid(axis, axis, indexing='ij'), axis=-1)
    picture = colors(vectors, 1.0)
    # A soft edge one pixel wide.
    share = np.clip((1 - np.hypot(vectors[..., 0], vectors[..., 1])) * diameter / 2 + 0.5, 0, 1)[..., None]
    return np.round(picture * share + np.array(background) * (1 - share)).astype(np.uint8)
