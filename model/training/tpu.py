# SPDX-License-Identifier: Apache-2.0
"""Training and evaluation on a TPU, where all that runs is compiled and has shapes known beforehand."""

import dataclasses
import socket
import urllib.parse

import tensorflow as tf

from panpipe.model import errors, inference, labels
from panpipe.model.postprocess import static

_SECONDS = 10
_GRPC_PORT = 8470


def strategy(name: str) -> tf.distribute.Strategy:
    """Connects to a TPU and starts it.

    Args:
      name: 'local' on a TPU VM, else the name of a Cloud TPU node, or its address 'grpc://HOST:PORT'.

    Raises:
      errors.InputError: no TPU answers there.
    """
    try:
        if name.startswith('grpc://'):
            _knock(name)
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=name)
        if name != 'local':
            tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return tf.distribute.TPUStrategy(resolver)
    except (tf.errors.OpError, OSError, RuntimeError, ValueError, ImportError) as error:
        reason = str(error).splitlines()[0].split('. ')[0].rstrip('.')
        raise errors.InputError(
            f'--tpu {name}: no TPU answers ({reason}); give local on a TPU VM, or the name or the grpc:// '
            'address of a TPU node'
        ) from error


@dataclasses.dataclass(frozen=True)
class Predictor:
    """Predicts as `inference.predict` does, in a form that XLA compiles.

    Attributes:
      network: from `build.network`.
      codec: the classes and the panoptic codec.
      views: are averaged.
      postprocessing: its numbers; at most `keep_k_centers` centers of an image are looked at.
    """

    network: inference.Network
    codec: labels.LabelSpec
    views: inference.Views
    postprocessing: inference.AnyPostprocessing

    def compute(self, images: tf.Tensor) -> inference.Inference:
        """Returns the network's outputs for images of a known shape; probabilities at their size."""
        if isinstance(self.postprocessing, inference.MaskPostprocessing):
            in_tensorflow = dataclasses.replace(self.postprocessing, use_op=False)
            return inference.predict(self.network, images, self.codec, self.views, in_tensorflow)
        if self.views.is_plain:
            evidence = heads = inference.full_resolution(self.network(images, training=False), images)
            probability = tf.nn.softmax(heads.semantic_logits)
        else:
            heads, probability = inference.average(self.network, images, self.views)
            evidence = heads._replace(semantic_logits=probability)
        prediction = static.predict(evidence, self.codec, self.postprocessing)
        return inference.Inference(prediction, heads, probability)

    def __call__(self, images: tf.Tensor) -> inference.Inference:
        """Has every replica of the strategy in use compute the same, and returns what the first one found."""
        used = tf.distribute.get_strategy()
        found = used.run(self.compute, args=(images,))
        return tf.nest.map_structure(lambda value: used.experimental_local_results(value)[0], found)


def _knock(address: str) -> None:
    """Raises OSError where nobody listens; TensorFlow would wait for ever."""
    place = urllib.parse.urlsplit(address)
    with socket.create_connection((place.hostname, place.port or _GRPC_PORT), _SECONDS):
        pass
