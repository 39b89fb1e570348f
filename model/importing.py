# SPDX-License-Identifier: Apache-2.0
"""`panpipe import`: ImageNet weights of other libraries → a checkpoint of an encoder."""

import argparse
import functools
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from panpipe.model import checkpoints, errors
from panpipe.model.backbones import convnext, mobilenet_v3
from panpipe.model.foreign import conversion, files
from panpipe.model.foreign import convnext as convnext_names
from panpipe.model.foreign import mobilenet_v3 as mobilenet_names
from panpipe.model.jobs import command_line, outputs
from panpipe.model.layers import normalization
from panpipe.model.storage import lock

_EPSILON = 1e-3  # batchnorm_epsilon's default
_RESNET = (
    "DeepLab2's ResNet-50 has no max-pooling and has its strides elsewhere, so weights of other libraries "
    'cannot be taken over exactly; start from its own ImageNet checkpoint (initial_checkpoint)'
)


class Target(NamedTuple):
    """An encoder that weights can be brought to.

    Attributes:
      make: makes the encoder, without variables.
      tables: library → pairs of our name below the encoder and theirs.
      kernel: name of the first kernel.
      shift: name of what takes up the constant of the input's normalization.
      note: what to say of the network that reads the result.
    """

    make: Callable[[], keras.layers.Layer]
    tables: Mapping[str, Callable[[], Iterable[tuple[str, str]]]]
    kernel: str
    shift: str
    note: str


def _convnext(name: str) -> Target:
    layout = convnext_names.LAYOUTS[name]
    libraries = {
        'timm': convnext_names.TIMM,
        'torchvision': convnext_names.TORCHVISION,
        'keras': convnext_names.KERAS,
    }
    tables = {key: functools.partial(convnext_names.table, layout, names) for key, names in libraries.items()}
    stem = 'downsample_layers/0/layer_with_weights-0'
    note = f'model_options.backbone {{ name: "kmax_{name}" pretrained_weights: "{{output}}" }}'
    return Target(lambda: convnext.ConvNeXt(layout), tables, f'{stem}/kernel', f'{stem}/bias', note)


def _mobilenet(name: str) -> Target:
    rows = mobilenet_names.TABLES[name]
    libraries: Mapping[str, mobilenet_names.Names] = {
        'timm': mobilenet_names.timm,
        'torchvision': mobilenet_names.torchvision,
        'keras': mobilenet_names.keras,
    }
    tables = {key: functools.partial(mobilenet_names.table, rows, names) for key, names in libraries.items()}
    note = (
        f'model_options {{ initial_checkpoint: "{{output}}" backbone {{ name: "{name}" '
        'squeeze_excite_gate: "hard_sigmoid" } }'
    )
    return Target(
        lambda: mobilenet_v3.MobileNetV3(rows, normalization.BatchNorm()),
        tables,
        '_blocks/0/_conv/kernel',
        '_blocks/0/_batch_norm/moving_mean',
        note,
    )


TARGETS: Mapping[str, Target] = {
    **{name: _convnext(name) for name in convnext_names.LAYOUTS},
    **{name: _mobilenet(name) for name in mobilenet_names.TABLES},
}


class Library(NamedTuple):
    """What differs between libraries: order of axes, and what networks were trained with.

    Attributes:
      is_torch: kernels have their outputs first.
      inputs: normalization of images by family of networks.
      epsilon: of batch normalization.
    """

    is_torch: bool
    inputs: Mapping[str, conversion.Input]
    epsilon: float


_IMAGENET = {'convnext': conversion.IMAGENET, 'mobilenet': conversion.IMAGENET}
LIBRARIES: Mapping[str, Library] = {
    'timm': Library(True, _IMAGENET, 1e-5),
    'torchvision': Library(True, _IMAGENET, 1e-3),
    'keras': Library(False, {**_IMAGENET, 'mobilenet': conversion.OURS}, 1e-3),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `panpipe import`."""
    parser = command_line.parser(
        'import',
        """
        Brings ImageNet weights of timm, torchvision or Keras under DeepLab2's names and writes a checkpoint
        of the encoder. What the source subtracts from images and divides them by goes into the first
        convolution.
        """,
        ['panpipe import --from timm tiny.safetensors --to convnext_tiny --output weights/convnext_tiny'],
    )
    parser.add_argument('file', help=f'the weights: {", ".join(files.READERS)}')
    parser.add_argument('--from', dest='library', required=True, choices=LIBRARIES, help='their library')
    parser.add_argument('--to', required=True, choices=(*TARGETS, 'resnet50'), help='our network')
    parser.add_argument('--output', required=True, help='prefix of the checkpoint to write')
    for name, what in (('mean', 'subtracted from'), ('std', 'what divides')):
        parser.add_argument(
            f'--{name}',
            nargs=3,
            type=float,
            metavar=('R', 'G', 'B'),
            help=f'{what} images of 0 .. 1',
        )
    arguments = parser.parse_args(argv)
    return command_line.run('import', functools.partial(_run, arguments))


def _run(arguments: argparse.Namespace) -> None:
    if arguments.to not in TARGETS:
        raise errors.InputError(_RESNET)
    outputs.check_folder('--output', arguments.output)
    usual = LIBRARIES[arguments.library].inputs[arguments.to.split('_')[0]]
    source = conversion.Input(tuple(arguments.mean or usual.mean), tuple(arguments.std or usual.std))
    encoder = adopt(arguments.file, arguments.library, arguments.to, source)
    named = {checkpoints.path_key(variable.path): variable.value for variable in encoder.weights}
    with lock.held(lock.beside(arguments.output), 'import'):
        path = tf.train.Checkpoint(**checkpoints.grown(named)).write(arguments.output)
    note = TARGETS[arguments.to].note.replace('{output}', path)
    print(f'panpipe import: wrote {len(named)} weights to {path}; use them with {note}')


def adopt(path: str, library: str, name: str, source: conversion.Input) -> keras.layers.Layer:
    """Makes an encoder with the weights of a file.

    Args:
      path: of the file.
      library: a key of `LIBRARIES`.
      name: a key of `TARGETS`.
      source: what images were normalized with.

    Raises:
      errors.InputError: the file cannot be read, or holds another network.
    """
    target, kind = TARGETS[name], LIBRARIES[library]
    stored = files.read(path)
    if not kind.is_torch:
        stored = conversion.plain_keras(stored)
    found = conversion.renamed(stored, target.tables[library](), path)
    encoder = target.make()
    encoder(tf.zeros((1, 33, 33, 3)))
    variables = {checkpoints.path_key(v.path).removeprefix('encoder/'): v for v in encoder.weights}
    weights = {
        name: conversion.fit(found[name], tuple(variable.shape), kind.is_torch, name)
        for name, variable in variables.items()
    }
    conversion.fold_input(weights, target.kernel, target.shift, source)
    conversion.fold_epsilon(weights, kind.epsilon, _EPSILON)
    for name, variable in variables.items():
        variable.assign(np.asarray(weights[name]))
    return encoder


if __name__ == '__main__':
    sys.exit(main())
