# SPDX-License-Identifier: Apache-2.0
"""Maps and heads drawn at random, as a network makes them or as none ever should."""

import numpy as np

from panpipe.model import tensors

WILD = np.float32([np.nan, np.inf, -np.inf, 3e38, -3.4028235e38, 1e-40, -0.0])


def plain(generator, shape):
    return generator.normal(0, 1, shape)


def stepped(generator, shape):
    """Few values, so that ties and plateaus are everywhere."""
    return generator.integers(-1, 3, shape) / 2


def close(generator, shape):
    """The channels of a pixel differ by as little as float32 can say."""
    level = np.float32(generator.uniform(-50, 50, (*shape[:3], 1)))
    return level + generator.integers(0, 3, shape) * np.spacing(level)


def leading(generator, shape):
    """One channel leads by far over whole regions."""
    coarse = generator.integers(0, shape[3], shape[:3]) // 2 * 2 % shape[3]
    coarse[:, : shape[1] // 2 + 1] = 0
    return 8 * np.eye(shape[3])[coarse] + generator.normal(0, 1, shape)


def wild(generator, shape):
    values = np.float32(generator.normal(0, 1, shape))
    chosen = generator.random(shape) < 0.1
    values[chosen] = generator.choice(WILD, chosen.sum())
    return values


def scene(height, width, batch=1, seed=0):
    """Heads with smooth regions, a heat-map with some forty spots, and offsets that lead there."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    wave = np.arange(19) + 2
    logits = 3 * np.sin(0.03 * wave * x[..., None] + 0.05 * wave * y[..., None] + wave)
    spots = generator.uniform(0, 1, (40, 3)) * (height, width, 1)
    steps = np.stack([y, x], -1)[:, :, None] - spots[:, :2]
    square = np.sum(steps**2, -1)
    heatmap = np.max(spots[:, 2] * np.exp(-square / 8), -1)
    offset = -np.take_along_axis(steps, np.argmin(square, -1)[..., None, None], 2)[:, :, 0]
    heads = (logits, heatmap[..., None], offset + generator.normal(0, 1, offset.shape))
    return tensors.Heads(
        *(np.stack([np.roll(h, i, 0) for i in range(batch)]).astype(np.float32) for h in heads)
    )


def blobs(seed, shape):
    """Draws maps as a network makes them: coherent regions with speckles."""
    generator = np.random.default_rng(seed)
    semantic = np.zeros(shape, np.int32)
    instance = np.zeros(shape, np.int32)
    for k in range(1, 60):
        image, y, x = (generator.integers(0, size) for size in shape)
        height, width = generator.integers(1, 200, 2)
        semantic[image, y : y + height, x : x + width] = generator.integers(0, 19)
        instance[image, y : y + height, x : x + width] = k % 40
    speckled = generator.random(shape) < 0.02
    semantic[speckled] = generator.integers(0, 19, speckled.sum())
    instance[speckled] = generator.integers(0, 40, speckled.sum())
    return semantic, instance
