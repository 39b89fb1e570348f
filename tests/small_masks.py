# SPDX-License-Identifier: Apache-2.0
"""A trainer of a mask transformer in name only: a few convolutions that are traced in a second."""

import dataclasses
import functools

import keras
import numpy as np
import tensorflow as tf

import small
from panpipe.model import architectures, config, labels, tensors
from panpipe.model.layers import composite, convolution, normalization
from panpipe.model.losses import mask_transformer, total

SLOTS, LAYERS = 8, 2
LABELS = labels.LabelSpec(num_classes=5, thing_ids=(3, 4), label_divisor=100, ignore_label=255)
CHOICES = mask_transformer.Choices(sample_k=20, temperature=1.0)
OPTIONS = config.LossOptions(
    semantic_loss=config.SingleLossOptions('softmax_cross_entropy'),
    pq_style_loss=config.SingleLossOptions(weight=3.0),
    mask_id_cross_entropy_loss=config.SingleLossOptions(weight=0.3),
    instance_discrimination_loss=config.SingleLossOptions(),
)


class SmallMasks(architectures.Network):
    """All heads from one convolution, one normalization and one more convolution."""

    def __init__(self):
        super().__init__(name='small_masks')
        norm = normalization.BatchNorm(is_synchronized=True)
        self.encoder = composite.Stack([convolution.standard(16, 3, norm, name='unit')], name='encoder')
        self.last = convolution.Convolution((LAYERS + 1) * (SLOTS + 6) + 5, use_bias=True, name='last')
        self.classes = keras.layers.Dense((LAYERS + 1) * SLOTS * 6, name='classes')

    def call(self, images, training=False, pool_scale=1.0):
        features = self.encoder(architectures.normalize(images)[:, ::4, ::4])
        sizes = [SLOTS + 6] * (LAYERS + 1) + [5]
        *maps, semantic = tf.split(self.last(features), sizes, axis=-1)
        slots = tf.reshape(self.classes(tf.reduce_mean(features, (1, 2))), (-1, LAYERS + 1, SLOTS, 6))
        heads = [
            tensors.MaskHeads(
                maps[i][..., :SLOTS], slots[:, i], tf.math.l2_normalize(maps[i][..., SLOTS:], -1), None
            )
            for i in range(LAYERS + 1)
        ]
        main = heads[0]._replace(semantic_logits=semantic)
        return tensors.MaskTrainingHeads(main, tuple(heads[1:])) if training else main


def make(choices=CHOICES, **arguments):
    """Makes a trainer, always from the same weights; for the arguments see `small.make`."""
    made = small.make(kind=SmallMasks, **arguments)
    made.loss = functools.partial(total.loss, loss_options=OPTIONS, labels=LABELS, choices=choices)
    return made


def first_pixels(match):
    """Returns choices without chance: XLA's generator draws other numbers than TensorFlow's kernels."""

    def draw(logits, number, key):
        return tf.tile(tf.range(number)[None], (logits.shape[0], 1))

    return dataclasses.replace(CHOICES, match=match, draw=draw)


def batch(size=2, seed=0):
    """Draws images and targets: two bands of stuff, some boxes of things, and a corner of void."""
    rng, shape = np.random.default_rng(seed), (size, small.HEIGHT, small.WIDTH)
    semantic, things = np.zeros(shape, np.int32), np.full(shape, -1, np.int32)
    semantic[:, shape[1] // 2 :] = 1
    classes = np.full((size, 6), -1, np.int32)
    for image in range(size):
        for thing in range(rng.integers(1, 5)):
            top, left = rng.integers(0, shape[1] - 8), rng.integers(0, shape[2] - 8)
            classes[image, thing] = rng.choice(LABELS.thing_ids)
            semantic[image, top : top + 8, left : left + 8] = classes[image, thing]
            things[image, top : top + 8, left : left + 8] = thing
    semantic[:, :3, :3], things[:, :3, :3] = 255, -1
    keys = np.stack([np.full(size, seed), np.arange(size)], 1).astype(np.int32)
    targets = tensors.MaskTargets(
        tf.constant(semantic), tf.ones(shape), tf.constant(things), tf.constant(classes), tf.constant(keys)
    )
    return tf.constant(rng.uniform(0, 255, (*shape, 3)), tf.float32), targets
