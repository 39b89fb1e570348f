# SPDX-License-Identifier: Apache-2.0
"""Builds the network of every configuration in model/configs and tabulates what it costs.

python tests/benchmarks/configurations.py [--only mobilenet] [--write docs/configurations.md]
"""

import argparse
import dataclasses
import importlib.metadata
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import operations

import timing

ROOT = pathlib.Path(__file__).parents[2]
CONFIGS = ROOT / 'model/configs'
BEGIN, END = '<!-- made by tests/benchmarks/configurations.py -->', '<!-- end of what it made -->'
_CHECKED = ('cityscapes/panoptic_deeplab/mobilenet_v3_small_os32', (513, 1025))
_GOLDEN_SIZE = (65, 129)
# Weights, gradients and the two moments of Adam, float32.
_BYTES_A_PARAMETER = 16
_HEADER = (
    'configuration', 'parses', 'builds', 'golden max difference', 'parameters', 'GFLOPs (at)',
    'memory: fixed, GB', 'memory: + an image, GB (at)',
)  # fmt: skip


def names() -> list[str]:
    """Lists all configurations: their paths below model/configs without the ending."""
    return sorted(str(path.relative_to(CONFIGS).with_suffix('')) for path in CONFIGS.rglob('*.textproto'))


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--only', default='', help='regular expression that names must contain')
    parser.add_argument('--write', type=pathlib.Path, help='page whose table to replace')
    parser.add_argument('--one', help=argparse.SUPPRESS)
    parser.add_argument('--check', action='store_true', help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.one or arguments.check:
        print(json.dumps(check() if arguments.check else facts(arguments.one)))
        return
    begin = time.monotonic()
    chosen = [name for name in names() if re.search(arguments.only, name)]
    rows = {name: _in_a_process(f'--one={name}') for name in chosen}
    written = {name: _row(name, told) for name, told in rows.items()}
    if arguments.write:
        # Rows of configurations that were not looked at this time stay as they are.
        written = dict(sorted((_rows_of(arguments.write) | written).items()))
    found = page(written, len(rows), _in_a_process('--check'), time.monotonic() - begin)
    if arguments.write:
        replace(arguments.write, found)
    print(found)


def _in_a_process(option: str) -> dict[str, Any]:
    """Runs this script on one thing: what that needs of memory is given back at its end."""
    print(option, file=sys.stderr, flush=True)
    command = [sys.executable, __file__, option]
    environment = {**os.environ, 'TF_CPP_MIN_LOG_LEVEL': '3'}
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environment)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def facts(name: str) -> dict[str, Any]:
    """Finds what the table says of one configuration; keys are missing from where it fails on."""
    from panpipe.model import build, errors

    try:
        experiment = load(name)
    except errors.InputError as error:
        return {'parses': str(error)}
    try:
        network = build.network(experiment)
    except errors.InputError as error:
        return {'parses': 'yes', 'builds': str(error)}
    train = tuple(experiment.train_dataset_options.crop_size)
    evaluated = tuple(experiment.eval_dataset_options.crop_size) or train
    return {
        'parses': 'yes',
        'builds': 'yes',
        'golden': golden_difference(name),
        'parameters': sum(variable.value.shape.num_elements() for variable in network.trainable_variables),
        'flops': 2 * forward_multiply_adds(network, evaluated),
        'flops_at': evaluated,
        'image_bytes': Step(experiment, network, train).kept,
        'image_at': train,
    }


def load(name: str) -> Any:
    """Loads a configuration; its placeholders stand for nothing."""
    from panpipe.model import config

    for variable in ('EXPERIMENT_NAME', 'INIT_CHECKPOINT', 'TRAIN_SET', 'VAL_SET'):
        os.environ.setdefault(variable, 'unused')
    return config.load(CONFIGS / f'{name}.textproto')


def forward_multiply_adds(network: Any, size: tuple[int, int]) -> int:
    """Counts the multiply-adds from one image to the heads at the decoder's stride."""
    import tensorflow as tf

    traced = tf.function(network, autograph=False).get_concrete_function(
        tf.TensorSpec((1, *size, 3), tf.float32)
    )
    return operations.multiply_adds(traced.graph)


class Step:
    """The gradients of a training step on one image, traced: what it keeps, and how to take it."""

    def __init__(self, experiment: Any, network: Any, size: tuple[int, int]) -> None:
        import tensorflow as tf

        from panpipe.model import inference, tensors

        loss = _loss(experiment, network, size)
        num_forward = 0
        has_masks = experiment.model_options.has_masks

        def gradients(images: tf.Tensor, targets: tensors.AnyTargets) -> Any:
            nonlocal num_forward
            with tf.GradientTape() as tape:
                heads = network(images, training=True)
                if not has_masks:
                    heads = inference.full_resolution(heads, images)
                total = tf.reduce_mean(loss(heads, targets)['total'])
            num_forward = len(images.graph.get_operations())
            return tape.gradient(total, [variable.value for variable in network.trainable_variables])

        def spec(*more: int, dtype: tf.DType = tf.float32) -> tf.TensorSpec:
            return tf.TensorSpec((1, *size, *more), dtype)

        classes = spec(dtype=tf.int32)
        things = tf.TensorSpec((1, experiment.train_dataset_options.max_thing_id), tf.int32)
        self.inputs = (
            spec(3),
            tensors.MaskTargets(classes, spec(), classes, things)
            if has_masks
            else tensors.Targets(classes, spec(), spec(), spec(), spec(2), spec()),
        )
        self.traced = tf.function(gradients, autograph=False).get_concrete_function(*self.inputs)
        found = self.traced.graph.get_operations()
        self.kept = operations.kept_bytes(found[:num_forward], found[num_forward:])

    def take(self) -> None:
        """Computes the gradients of an image of zeros."""
        import tensorflow as tf

        self.traced(*tf.nest.map_structure(lambda spec: tf.zeros(spec.shape, spec.dtype), self.inputs))


def _loss(experiment: Any, network: Any, size: tuple[int, int]) -> Any:
    """Makes the loss of a configuration, or the published one where it has none."""
    import tensorflow as tf

    from panpipe.model import config
    from panpipe.model.training import loop

    options = experiment.train_dataset_options
    if not options.dataset:
        options = dataclasses.replace(options, dataset='cityscapes_panoptic')
    if experiment.trainer_options.loss_options == config.LossOptions():
        has_instances = network(tf.zeros((1, *(33, 65), 3))).offset is not None
        published = config.LossOptions(
            config.SingleLossOptions('softmax_cross_entropy', 1.0, 0.2),
            config.SingleLossOptions('mse', 200.0) if has_instances else None,
            config.SingleLossOptions('l1', 0.01) if has_instances else None,
        )
        trainer = dataclasses.replace(experiment.trainer_options, loss_options=published)
        experiment = dataclasses.replace(experiment, trainer_options=trainer)
    return loop.loss_function(experiment, options)


def golden_difference(name: str) -> float | None:
    """Compares the network with what DeepLab2 computed; None where nothing of it is at hand.

    Returns:
      The largest difference of a value, or of a tensor's mean, standard deviation, minimum or maximum, as a
      fraction of the tensor's largest value.
    """
    import golden_networks

    if name in golden_networks.SAMPLED:
        return golden_networks.of_sampled(name, CONFIGS)
    if name == golden_networks.WHOLE:
        return golden_networks.of_whole(ROOT.parent / 'shared/goldens')
    if name in golden_networks.MASKS:
        return golden_networks.of_masks(name, CONFIGS, ROOT.parent / 'shared/goldens')
    return None


def check() -> dict[str, float]:
    """Compares the estimate of a small configuration's memory with the growth of a process, in bytes."""
    from panpipe.model import build

    name, size = _CHECKED
    experiment = load(name)
    network = build.network(experiment)
    step = Step(experiment, network, size)
    parameters = sum(variable.value.shape.num_elements() for variable in network.trainable_variables)
    return {
        'estimated': step.kept + 4 * parameters,
        'measured': 1e6 * timing.extra_memory(step.take),
    }


def page(rows: Mapping[str, str], measured: int, checked: Mapping[str, float], seconds: float) -> str:
    """Writes the table, and how it was made; `measured` of its rows are new."""
    packages = ('panpipe', 'tensorflow', 'keras', 'numpy')
    versions = ', '.join(f'{package} {importlib.metadata.version(package)}' for package in packages)
    name, size = _CHECKED
    lines = [
        f'{len(rows)} configurations; {versions}, Python {platform.python_version()}; '
        f'{seconds / 60:.0f} minutes for {measured} of them on {os.cpu_count()} cores.',
        '',
        f'The estimate of memory, checked on `{name}` at {_size(size)}, one image: activations and gradients '
        f'{checked["estimated"] / 1e9:.2f} GB, growth of the process {checked["measured"] / 1e9:.2f} GB.',
        '',
        f'| {" | ".join(_HEADER)} |',
        '|---|---|---|---|---:|---:|---:|---:|',
        *rows.values(),
    ]
    return '\n'.join(lines)


def _row(name: str, told: Mapping[str, Any]) -> str:
    cells = [f'`{name}`', told['parses'], told.get('builds', '–')]
    if 'parameters' in told:
        golden, parameters = told['golden'], told['parameters']
        cells += [
            'no golden' if golden is None else f'{golden:.0e}',
            f'{parameters:,}',
            f'{told["flops"] / 1e9:,.1f} ({_size(told["flops_at"])})',
            f'{_BYTES_A_PARAMETER * parameters / 1e9:.2f}',
            f'{told["image_bytes"] / 1e9:.2f} ({_size(told["image_at"])})',
        ]
    return f'| {" | ".join(cells)} |'


def _size(size: Sequence[int]) -> str:
    return ' × '.join(map(str, size))


def _rows_of(path: pathlib.Path) -> dict[str, str]:
    """Finds the rows of the table in a page, by configuration."""
    lines = path.read_text().partition(BEGIN)[2].partition(END)[0].splitlines()
    known = set(names())
    found = {line.split('`')[1]: line for line in lines if line.startswith('| `')}
    return {name: line for name, line in found.items() if name in known}


def replace(path: pathlib.Path, found: str) -> None:
    """Puts the table between its two marks in a page."""
    before, _, rest = path.read_text().partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise SystemExit(f'{path} has no lines {BEGIN} and {END} for the table')
    path.write_text(f'{before}{BEGIN}\n\n{found}\n\n{END}{after}')


if __name__ == '__main__':
    main()
