# SPDX-License-Identifier: Apache-2.0
"""Tells which head of a network to work on: what panoptic quality would gain if it were perfect.

In turn the ground truth takes the place of the semantic head, of the heat-map of centers, of the offsets, of
both of these, and of all. Post-processing then goes on as ever, and the result is judged against annotations.
Without the network's mistakes something may still be lost: what `all` lacks is the price of resizing and of
post-processing.
"""

import argparse
import dataclasses
import functools
import importlib.metadata
import sys
import types
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import tensorflow as tf
from rich import console, table

from panpipe.model import build, checkpoints, config, datasets, errors, inference, labels, tensors
from panpipe.model.inputs import pipeline, reading
from panpipe.model.jobs import command_line, outputs, progress
from panpipe.model.metrics import oracle_results, quality, result_files
from panpipe.model.postprocess import restore
from panpipe.model.storage import lock
from panpipe.model.training import averages, evaluator

# Which heads the ground truth takes the place of.
ORACLES: Mapping[str, tuple[str, ...]] = types.MappingProxyType(
    {
        'baseline': (),
        'semantic': ('semantic',),
        'center': ('center',),
        'offset': ('offset',),
        'instances': ('center', 'offset'),
        'all': ('semantic', 'center', 'offset'),
    }
)
_EXAMPLES = (
    'panpipe oracles --config c.textproto --checkpoint runs/first/best --output oracles.json',
    'panpipe oracles --config c.textproto --checkpoint runs/first/ckpt-60000 --output oracles.json '
    '--set evaluator_options.eval_steps=100',
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the job and returns its exit status."""
    parser = command_line.parser('oracles', __doc__ or '', _EXAMPLES)
    command_line.add_configuration(parser)
    parser.add_argument(
        '--checkpoint', required=True, help="checkpoint prefix, or a run's folder (its newest checkpoint)"
    )
    parser.add_argument('--output', required=True, help='JSON file to write')
    return command_line.run('oracles', functools.partial(_run, parser.parse_args(argv)))


def _run(arguments: argparse.Namespace) -> None:
    outputs.check_file('--output', arguments.output)
    with lock.held(lock.beside(arguments.output), 'oracles'):
        _judge(arguments)


def _judge(arguments: argparse.Namespace) -> None:
    experiment = config.load(arguments.config, arguments.set, arguments.checkpoint)
    _check(experiment)
    samples = pipeline.evaluation_samples(experiment).take(experiment.evaluator_options.eval_steps)
    network = build.network(experiment)
    checkpoint = averages.restore_whole(network, arguments.checkpoint)
    total = _count(experiment)
    with progress.bar('oracles', total) as advance:
        counted = judge(
            samples,
            datasets.find(experiment.eval_dataset_options.dataset).labels,
            network,
            inference.Views.from_options(experiment.evaluator_options),
            inference.Postprocessing.from_options(experiment.evaluator_options),
            advance,
        )
    found = oracle_results.OracleResult(
        evaluator=f'panpipe {importlib.metadata.version("panpipe")}',
        dataset=experiment.eval_dataset_options.dataset,
        step=checkpoints.global_step(checkpoint),
        num_images=total,
        oracles=figures(counted),
    )
    result_files.write_typed(arguments.output, found)
    _show(found.oracles)
    print(f'panpipe oracles: {total} images, wrote {arguments.output}')


def judge(
    samples: Iterable[pipeline.EvaluationSample],
    spec: labels.LabelSpec,
    network: inference.Network,
    views: inference.Views,
    postprocessing: inference.Postprocessing,
    advance: Callable[[int, str], None],
) -> dict[str, evaluator.Evaluation]:
    """Counts what a network predicts with the help of each oracle, at the images' own sizes.

    Args:
      samples: with annotations.
      spec: the classes and the panoptic codec.
      network: with an instance branch.
      views: are averaged, before the ground truth takes its place.
      postprocessing: its numbers.
      advance: is told the number of images done.

    Returns:
      By the names of ORACLES, without losses and average precision.
    """
    traced = tf.function(
        functools.partial(_predictions, network, views, postprocessing, spec), reduce_retracing=True
    )
    nothing = quality.PanopticQuality.zero(spec), quality.ConfusionMatrix.zero(spec)
    counts = dict.fromkeys(ORACLES, nothing)
    for number, sample in enumerate(samples, 1):
        truth = np.asarray(sample.raw.panoptic)
        for name, (panoptic, semantic) in traced(sample).items():
            counts[name] = (
                counts[name][0] + quality.PanopticQuality.from_maps(truth, panoptic.numpy(), spec),
                counts[name][1]
                + quality.ConfusionMatrix.from_maps(spec.decode(truth)[0], semantic.numpy(), spec),
            )
        advance(number, '')
    return {name: evaluator.Evaluation({}, *pair, {}) for name, pair in counts.items()}


def substitute(
    heads: tensors.Heads, targets: tensors.AnyTargets | None, parts: Sequence[str], spec: labels.LabelSpec
) -> tensors.Heads:
    """Replaces some heads by the ground truth wherever that is defined.

    The network keeps its say on the classes of void pixels, the centers in crowds, and the offsets of all but
    things; none of them is judged, but what it predicts there may count against its neighbours.

    Args:
      heads: at the resolution of the targets; logits may be probabilities.
      targets: of the same images.
      parts: any of 'semantic', 'center' and 'offset'.
      spec: the classes and the panoptic codec.

    Raises:
      ValueError: there is no instance branch, or there are no targets.
    """
    logits, center, offset = heads
    if not isinstance(targets, tensors.Targets) or center is None or offset is None:
        raise ValueError('targets, center_heatmap and offset must be there; take annotated samples')
    is_void = targets.semantic == spec.ignore_label
    if 'semantic' in parts:
        exact = tf.one_hot(targets.semantic, spec.num_classes, dtype=logits.dtype)
        logits = tf.where(is_void[..., None], logits, exact)
    if 'center' in parts:
        is_crowd = (targets.center_weight == 0) & ~is_void
        # The larger one, lest the center of a thing that lies there be lost.
        crowded = tf.maximum(targets.center, center[..., 0])
        center = tf.where(is_crowd, crowded, targets.center)[..., None]
    if 'offset' in parts:
        offset = tf.where(targets.offset_weight[..., None] > 0, targets.offset, offset)
    return tensors.Heads(logits, center, offset)


def figures(counted: Mapping[str, evaluator.Evaluation]) -> dict[str, oracle_results.Oracle]:
    """Computes, by the names of ORACLES, the means and their gain over the network itself."""
    found = {name: one.result() for name, one in counted.items()}
    return {name: oracle_results.Oracle.of(one, found['baseline']) for name, one in found.items()}


def _predictions(
    network: inference.Network,
    views: inference.Views,
    postprocessing: inference.Postprocessing,
    spec: labels.LabelSpec,
    sample: pipeline.EvaluationSample,
) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
    """Returns the panoptic and the semantic map by each oracle, of the image's own size."""
    found = inference.predict(network, sample.image, spec, views, postprocessing)
    if not isinstance(found.heads, tensors.Heads):
        raise ValueError('a mask transformer has no heads that the ground truth could stand in for')
    heads = found.heads if views.is_plain else found.heads._replace(semantic_logits=found.evidence)
    height, width = tf.unstack(tf.shape(sample.raw.image)[:2])
    made = {}
    for name, parts in ORACLES.items():
        swapped = substitute(heads, sample.targets, parts, spec)
        # All true centers are equally good: to keep the best ones would keep none of too many.
        limit = 0 if 'center' in parts else postprocessing.keep_k_centers
        numbers = dataclasses.replace(postprocessing, keep_k_centers=limit)
        merged = numbers.merge(swapped, swapped.semantic_logits, spec)
        restored = restore.original_size(merged, sample.resized, height, width)
        made[name] = restored.panoptic[0], restored.semantic[0]
    return made


def _check(experiment: config.Experiment) -> None:
    if not experiment.model_options.has_instances:
        raise errors.InputError(
            'this network has no instance branch, so there is no panoptic quality to gain'
        )
    if experiment.model_options.has_masks:
        raise errors.InputError(
            'a mask transformer predicts whole masks; it has no classes, centers and offsets that oracles '
            'could put right: give a configuration of Panoptic-DeepLab'
        )
    if not experiment.eval_dataset_options.decode_groundtruth_label:
        raise errors.InputError(
            'eval_dataset_options.decode_groundtruth_label is false, but oracles know the ground truth; '
            'set it to true and name an annotated split'
        )


def _count(experiment: config.Experiment) -> int:
    """Counts the images that are evaluated."""
    files = reading.find_files(experiment.eval_dataset_options.file_pattern)
    total, steps = reading.count(files), experiment.evaluator_options.eval_steps
    return total if steps < 0 else min(total, steps)


def _show(found: Mapping[str, oracle_results.Oracle]) -> None:
    grid = table.Table(title='per cent', title_justify='left')
    for name in ('', 'PQ', 'gain', 'things', 'gain', 'stuff', 'gain', 'mIoU', 'gain'):
        grid.add_column(name, justify='right' if name else 'left')
    for name, oracle in found.items():
        cells = (
            ('–', '–') if value is None or gain is None else (f'{value:.1f}', f'{gain:+.1f}')
            for value, gain in oracle.pairs()
        )
        grid.add_row(name, *(cell for pair in cells for cell in pair))
    console.Console().print(grid)


if __name__ == '__main__':
    sys.exit(main())
