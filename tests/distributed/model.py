# SPDX-License-Identifier: Apache-2.0
"""Writes a SavedModel that needs no training: the brighter the pixel, the more a car. `model.py FOLDER`"""

import json
import pathlib
import sys

import tensorflow as tf

_ROAD, _CAR, _DIVISOR = 0, 13, 1000


class Thresholds(tf.Module):
    """Serves red > 127 as a car, whose instance is told by green, all else as road."""

    @tf.function(input_signature=[tf.TensorSpec([None, None, 3], tf.uint8, 'image')])
    def serve_pixels(self, image):
        image = tf.cast(image, tf.int32)
        semantic = tf.where(image[..., 0] > 127, _CAR, _ROAD)
        instance = tf.where(semantic == _CAR, image[..., 1] // 64 + 1, 0)
        panoptic = semantic * _DIVISOR + instance
        ids = tf.sort(tf.unique(tf.boolean_mask(panoptic, instance > 0))[0])
        sure = tf.cast(ids % _DIVISOR, tf.float32) / 8.0
        return {'panoptic': panoptic, 'semantic': semantic, 'instance_ids': ids, 'instance_scores': sure}


def save(folder: pathlib.Path) -> None:
    """Writes it with the facts that the exporter notes."""
    model = Thresholds()
    tf.saved_model.save(model, str(folder), signatures={'pixels': model.serve_pixels})
    (folder / 'assets.extra').mkdir(exist_ok=True)
    facts = {
        'dataset': 'cityscapes_panoptic',
        'config': '',
        'uses_op': False,
        'has_instances': True,
        'version': '0',
    }
    (folder / 'assets.extra' / 'panpipe.json').write_text(json.dumps(facts))


if __name__ == '__main__':
    save(pathlib.Path(sys.argv[1]))
