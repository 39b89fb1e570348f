# SPDX-License-Identifier: Apache-2.0
"""Fingerprints of images, which are close where images look alike, and how close ones are found.

An image is shrunk to 9 x 8 greys; the fingerprint says of each pixel whether it is darker than its right
neighbour: 64 bits. Two images look alike where at most 3 of these differ, and the greys by no more than a
little, for flat images have the same bits. Of 4 parts of 16 bits one is equal then, so only images that share
a part are compared.

Source: the "difference hash"; Manku et al., Detecting Near-Duplicates for Web Crawling (WWW 2007), section 3,
for the parts.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from panpipe.model import image_files
from panpipe.model.metrics import data_findings

WIDTH, HEIGHT = 9, 8
_PARTS, _PART_BITS = 4, 16
MOST_BITS = _PARTS - 1  # so that one part of two that are close is equal
MOST_GREYS = 6.0  # mean difference, of 255
_LARGE = 3000  # greys of so many images are compared with one another at most

Part = tuple[int, int]  # which part, and its bits


class Print(NamedTuple):
    """Holds the greys of an image, 72 bytes, and names it."""

    greys: bytes
    image: data_findings.Image


def greys(encoded: bytes, where: str) -> bytes:
    """Shrinks an image file to 9 x 8 greys: 72 bytes, row by row.

    Raises:
      errors.InputError: the bytes are no image, or damaged.
    """
    image = image_files.opened(encoded, where)
    with image_files.told(where):
        image.draft('L', (8 * WIDTH, 8 * HEIGHT))  # a JPEG is decoded small
        grey = image.convert('L').resize((WIDTH, HEIGHT), Image.Resampling.BOX)
    return grey.tobytes()


def bits(found: Sequence[bytes]) -> np.ndarray:
    """Computes fingerprints: bool [images, 64]."""
    values = np.frombuffer(b''.join(found), np.uint8).reshape(-1, HEIGHT, WIDTH)
    return (values[:, :, :-1] < values[:, :, 1:]).reshape(len(found), -1)


def parts(one: bytes) -> tuple[Part, ...]:
    """Splits a fingerprint; images that look alike share a part at least."""
    words = np.packbits(bits([one])[0]).view('>u2').tolist()
    return tuple(enumerate(words))


def alike(part: Part, found: Sequence[Print]) -> Iterator[tuple[Print, Print, int]]:
    """Yields the pairs that look alike of images that share a part, with the bits that differ.

    A pair that shares several parts is found with the first of them alone. Where very many share a part
    (black images), each is compared with those whose greys come next in order.
    """
    ordered = sorted(found, key=lambda one: (one.greys, dataclasses.astuple(one.image)))
    prints, values = bits([one.greys for one in ordered]), _values(ordered)
    words = np.packbits(prints, axis=1).view('>u2')
    reach = len(ordered) if len(ordered) <= _LARGE else _LARGE
    for index, one in enumerate(ordered):
        others = slice(index + 1, index + 1 + reach)
        distances = (prints[others] != prints[index]).sum(axis=1)
        is_close = (distances <= MOST_BITS) & (
            np.abs(values[others] - values[index]).mean(axis=1) <= MOST_GREYS
        )
        shares_earlier = (words[others, : part[0]] == words[index, : part[0]]).any(axis=1)
        for offset in np.flatnonzero(is_close & ~shares_earlier).tolist():
            yield one, ordered[index + 1 + offset], int(distances[offset])


def _values(found: Sequence[Print]) -> np.ndarray:
    flat = np.frombuffer(b''.join(one.greys for one in found), np.uint8)
    return flat.reshape(len(found), -1).astype(np.int16)
