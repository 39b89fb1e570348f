# SPDX-License-Identifier: Apache-2.0
"""A SavedModel that needs no training: the brighter the pixel, the more a thing. `thresholds.py FOLDER`"""

import json
import pathlib
import sys

import tensorflow as tf

from panpipe.model import datasets

STUFF = {'cityscapes': 2, 'coco': 100}
THING = {'cityscapes': 13, 'coco': 3}


class Thresholds(tf.Module):
    """Serves red > 127 as a thing, whose instance is told by green, all else as stuff."""

    def __init__(self, spec):
        super().__init__()
        self._stuff, self._thing = STUFF[spec.layout], THING[spec.layout]
        self._divisor = spec.labels.label_divisor

    @tf.function(input_signature=[tf.TensorSpec([None, None, 3], tf.uint8, 'image')])
    def serve_pixels(self, image):
        image = tf.cast(image, tf.int32)
        semantic = tf.where(image[..., 0] > 127, self._thing, self._stuff)
        instance = tf.where(semantic == self._thing, image[..., 1] // 64 + 1, 0)
        score = tf.cast(instance, tf.float32)
        panoptic = semantic * self._divisor + instance
        ids = tf.sort(tf.unique(tf.boolean_mask(panoptic, instance > 0))[0])
        sure = tf.cast(ids % self._divisor, tf.float32) / 8.0
        maps = {'panoptic': panoptic, 'semantic': semantic, 'instance': instance, 'score': score}
        return {**maps, 'instance_ids': ids, 'instance_scores': sure}


def save(folder: pathlib.Path, spec: datasets.DatasetSpec) -> None:
    """Writes it as `panpipe export` writes a model, with the facts that it notes."""
    model = Thresholds(spec)
    tf.saved_model.save(model, str(folder), signatures={'pixels': model.serve_pixels})
    (folder / 'assets.extra').mkdir(exist_ok=True)
    facts = {'dataset': spec.name, 'config': '', 'uses_op': False, 'has_instances': True, 'version': '0'}
    (folder / 'assets.extra' / 'panpipe.json').write_text(json.dumps(facts))


if __name__ == '__main__':
    save(pathlib.Path(sys.argv[1]), datasets.SPECS['cityscapes_panoptic'])
