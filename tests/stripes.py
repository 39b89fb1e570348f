# SPDX-License-Identifier: Apache-2.0
"""A model without weights, exported as `panpipe export` does it: stuff above, a thing below."""

import pathlib

import tensorflow as tf

from panpipe.model import datasets
from panpipe.model.storage import exported


class Stripes(tf.Module):
    """Predicts class 1 above and a thing of class 2 below; codes are those of label_divisor 1000."""

    @tf.function(input_signature=[tf.TensorSpec([None, None, 3], tf.uint8, 'image')])
    def serve_pixels(self, image):
        size = tf.shape(image)[:2]
        below = tf.broadcast_to((tf.range(size[0]) > size[0] // 2)[:, None], size)
        found = tf.where(below, 2, 1)
        some = tf.reduce_any(below)
        return {
            'panoptic': tf.where(below, 2001, 1000),
            'semantic': found,
            'instance_ids': tf.boolean_mask([2001], [some]),
            'instance_scores': tf.boolean_mask([0.5], [some]),
        }


def save(folder: pathlib.Path, dataset: pathlib.Path | str) -> None:
    """Writes it as a SavedModel of a data set."""
    spec, model = datasets.find(str(dataset)), Stripes()
    tf.saved_model.save(model, str(folder), signatures={'pixels': model.serve_pixels})
    exported.write(folder, exported.Facts(spec.name, False, True, description=spec.copied.description))
