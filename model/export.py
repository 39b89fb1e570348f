# SPDX-License-Identifier: Apache-2.0
"""Writes a trained network as a SavedModel that takes image files and returns panoptic maps of their size."""

import argparse
import dataclasses
import functools
import importlib.metadata
import os
import shutil
import sys
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from panpipe.custom_ops import kernels
from panpipe.model import build, config, datasets, errors, inference, labels
from panpipe.model.inputs import pipeline
from panpipe.model.jobs import command_line, outputs
from panpipe.model.postprocess import restore
from panpipe.model.storage import copies, exported, files, lock
from panpipe.model.training import averages, run_folder

_EXAMPLES = (
    'panpipe export --config resnet50_os32.textproto --checkpoint runs/first --output exported',
    'panpipe export --config c.textproto --checkpoint runs/first/ckpt-60000 --output exported --pure_tf',
)


class Server(tf.Module):
    """Serves a network: image file in, panoptic map of the image's own size out."""

    def __init__(
        self,
        network: keras.Model,
        spec: labels.LabelSpec,
        place: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
        size: tuple[int, int],
        postprocessing: inference.AnyPostprocessing,
        views: inference.Views,
        has_instances: bool,
    ) -> None:
        """Joins the parts; `place` brings an image to the network's input, which has `size`."""
        super().__init__()
        self._network = network
        # `tf.saved_model.save` looks for variables in attributes.
        self._weights = [v.value for v in network.weights]
        self._spec, self._place, self._size = spec, place, size
        self._postprocessing, self._views = postprocessing, views
        self._has_instances = has_instances

    @tf.function(input_signature=[tf.TensorSpec([], tf.string, 'image_bytes')])
    def serve(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """Predicts an image file.

        Returns:
          panoptic, semantic, instance int32 and score float32 [height, width]; and for each thing of the
          panoptic map, ascending, instance_ids int32 [n] and instance_scores float32 [n], 0 .. 1. Of a
          network without an instance branch these two are empty.
        """
        return self._predict(tf.io.decode_image(image_bytes, channels=3, expand_animations=False))

    @tf.function(input_signature=[tf.TensorSpec([None, None, 3], tf.uint8, 'image')])
    def serve_pixels(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        """Predicts decoded pixels, uint8 [height, width, 3]: what prediction files need, and nothing else."""
        found = self._predict(image)
        return {name: found[name] for name in ('panoptic', 'semantic', 'instance_ids', 'instance_scores')}

    def _predict(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        height, width = tf.unstack(tf.shape(image)[:2])
        placed, resized = self._place(image)
        images = tf.ensure_shape(placed, (*self._size, 3))[None]
        found = inference.predict(self._network, images, self._spec, self._views, self._postprocessing)
        prediction = restore.original_size(found.prediction, resized, height, width)
        ids, sure = found.instances(prediction, self._spec, use_op=self._postprocessing.use_op)
        if not self._has_instances:
            ids, sure = ids[:0], sure[:0]
        maps = {name: value[0] for name, value in prediction._asdict().items()}
        return {**maps, 'instance_ids': ids, 'instance_scores': sure}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the job and returns its exit status."""
    parser = command_line.parser('export', __doc__ or '', _EXAMPLES)
    command_line.add_configuration(parser)
    parser.add_argument(
        '--checkpoint', required=True, help='checkpoint prefix, or folder (its newest checkpoint)'
    )
    parser.add_argument('--output', required=True, help='folder of the SavedModel; must not exist')
    parser.add_argument(
        '--pure_tf', action='store_true', help='do without the compiled op (TensorFlow Serving)'
    )
    arguments = parser.parse_args(argv)
    return command_line.run('export', functools.partial(copies.run, _run, arguments))


def _run(arguments: argparse.Namespace) -> None:
    experiment = config.load(arguments.config, arguments.set, arguments.checkpoint)
    if files.exists(arguments.given.output):
        raise errors.InputError(
            f'--output {arguments.given.output} exists; remove it or choose another folder'
        )
    outputs.check_folder('--output', arguments.output)
    dataset = datasets.find(experiment.eval_dataset_options.dataset)
    run_folder.check_dataset(arguments.checkpoint, dataset, 'eval_dataset_options')
    with lock.held(lock.beside(arguments.given.output), 'export'):
        network = build.network(experiment)
        averages.restore_whole(network, arguments.checkpoint)
        save(experiment, network, arguments.output, use_op=not arguments.pure_tf)
    print(f'panpipe export: wrote {arguments.given.output}')


def save(experiment: config.Experiment, network: keras.Model, output: str, *, use_op: bool) -> None:
    """Writes the SavedModel of a network whole: aside first, then renamed.

    Args:
      experiment: gives pre- and post-processing.
      network: with its trained weights.
      output: folder that does not exist yet.
      use_op: merge with the compiled op, if it is there and the configuration wants it.
    """
    options = experiment.eval_dataset_options
    dataset = datasets.find(options.dataset)
    spec = dataset.labels
    postprocessing = inference.postprocessing(experiment)
    uses_op = use_op and postprocessing.use_op and kernels.op_available()
    server = Server(
        network,
        spec,
        pipeline.placement(options, use_op=uses_op),
        (options.crop_size[0], options.crop_size[1]),
        dataclasses.replace(postprocessing, use_op=uses_op),
        inference.Views.from_options(experiment.evaluator_options),
        experiment.model_options.has_instances,
    )
    aside = f'{output.rstrip("/")}.partial'
    shutil.rmtree(aside, ignore_errors=True)
    signatures = {'serving_default': server.serve, 'pixels': server.serve_pixels}
    tf.saved_model.save(server, aside, signatures=signatures)
    facts = exported.Facts(
        dataset.name,
        uses_op,
        experiment.model_options.has_instances,
        config.dumps(experiment),
        importlib.metadata.version('panpipe'),
        dataset.copied.description,
    )
    exported.write(aside, facts)
    os.rename(aside, output)


if __name__ == '__main__':
    sys.exit(main())
