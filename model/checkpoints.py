# SPDX-License-Identifier: Apache-2.0
"""Checkpoints under DeepLab2's names: a network reads what DeepLab2 wrote, and the other way round.

A variable's name is its place in the network, such as 'encoder/_stage4/_block6/_conv3_bn/_batch_norm/gamma'.
"""

import dataclasses
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from typing import Any

import keras
import tensorflow as tf

from panpipe.model import errors
from panpipe.model.storage import cache

_SUFFIX = '/.ATTRIBUTES/VARIABLE_VALUE'
# Another trainer keeps the encoder here.
_OTHER_ENCODER = 'backbone/_encoder/'
# DeepLab2 writes all inner layers with an underscore but these, and but all of ConvNeXt.
_PLAIN = re.compile(r'\d+|convolution|conv_block|final_conv')
_CONVNEXT = re.compile(r'encoder/(downsample_layers|stages)/')
# What checkpoints of a training hold beside the network: panpipe's parts, and the name of DeepLab2's slots.
_OF_TRAINING = ('optimizer', 'backbone_optimizer', 'random', 'average')
_SLOT = '.OPTIMIZER_SLOT'
_NOTES = {
    'skipped': 'to be left alone (restore_…_last_layer_from_initial_checkpoint: false)',
    'missing': 'not in the checkpoint, left as they were',
    'unread': 'in the checkpoint, but not of this network',
}


@dataclasses.dataclass(frozen=True)
class Report:
    """Reports what happened to a network's variables; names are without the checkpoint's suffix.

    Attributes:
      loaded: have the checkpoint's values.
      skipped: were left alone because they were asked to be.
      missing: are not in the checkpoint, and were left alone.
      unread: are in the checkpoint, but not of this network; the state of a training is not listed.
    """

    loaded: tuple[str, ...]
    skipped: tuple[str, ...]
    missing: tuple[str, ...]
    unread: tuple[str, ...] = ()

    def table(self) -> str:
        """Writes the numbers of variables, one line for each part of the network, and what they mean."""
        counts = {field: Counter(map(_root, getattr(self, field))) for field in ('loaded', *_NOTES)}
        roots = sorted(set().union(*counts.values()))
        width = max(map(len, roots), default=0)
        lines = [''.ljust(width) + ''.join(field.rjust(9) for field in counts)]
        for root in roots:
            lines.append(root.ljust(width) + ''.join(f'{count[root]:9d}' for count in counts.values()))
        lines += [f'{field}: {note}' for field, note in _NOTES.items() if counts[field]]
        return '\n'.join(lines)


def restore(network: keras.Model, path: str | os.PathLike[str], *, skip: Sequence[str] = ()) -> Report:
    """Gives a network the values of a checkpoint, by name.

    Args:
      network: built.
      path: prefix of a checkpoint ('…/ckpt-60000'), or a folder, for the newest one in it. It may be
        panpipe's or DeepLab2's, of a whole network or of an encoder only, or Keras' `save_weights` of an
        encoder.
      skip: parts of the network to leave alone, such as 'semantic_last_layer', wherever they are.

    Raises:
      errors.InputError: there is no checkpoint, nothing in it fits by name, or a shape differs.
    """
    prefix = find(path)
    reader = _reader(prefix)
    own = {key(variable) for variable in network.weights}
    stored = {_canonical(name, own): name for name in reader.get_variable_to_shape_map()}
    names: dict[str, list[str]] = {'loaded': [], 'skipped': [], 'missing': []}
    names['unread'] = sorted(name for name in stored if name not in own and is_of_a_network(name))
    found = []
    for variable in network.weights:
        name = key(variable)
        fate = 'skipped' if _is_part_of(name, skip) else 'loaded' if name in stored else 'missing'
        names[fate].append(name)
        if fate == 'loaded':
            _check_shape(name, variable, reader.get_variable_to_shape_map()[stored[name]], prefix)
            found.append((variable, stored[name]))
    if not found:
        raise errors.InputError(
            f'{prefix} has no variable of this network; give a checkpoint of the same backbone or network'
        )
    for variable, name in found:
        variable.assign(reader.get_tensor(name))
    return Report(**{fate: tuple(listed) for fate, listed in names.items()})


def find(path: str | os.PathLike[str]) -> str:
    """Returns the prefix of a checkpoint, of the newest one where `path` is a folder.

    Raises:
      errors.InputError: the folder has no checkpoint.
    """
    name = cache.checkpoint(path)
    if not tf.io.gfile.isdir(name):
        return name
    latest = tf.train.latest_checkpoint(name)
    if latest is None:
        raise errors.InputError(
            f'{name} has no checkpoint (no file named checkpoint is there); give a prefix such as '
            f'{name}/ckpt-1000'
        )
    return latest


def global_step(path: str | os.PathLike[str]) -> int:
    """Returns the training step of a checkpoint, 0 if it is not stored.

    Args:
      path: as for `restore`.

    Raises:
      errors.InputError: there is no checkpoint.
    """
    reader = _reader(find(path))
    name = f'global_step{_SUFFIX}'
    return int(reader.get_tensor(name)) if reader.has_tensor(name) else 0


def tree(network: keras.Model) -> dict[str, tf.Module]:
    """Returns the network's variables under the names that `tf.train.Checkpoint(**tree)` shall write."""
    return grown({key(variable): variable.value for variable in network.weights})


def grown(variables: Mapping[str, tf.Variable]) -> dict[str, tf.Module]:
    """Returns variables under the names that `tf.train.Checkpoint(**tree)` shall write."""
    roots: dict[str, tf.Module] = {}
    for name, variable in variables.items():
        root, *path, leaf = name.split('/')
        node = roots.setdefault(root, tf.Module())
        for place in path:
            if not hasattr(node, place):
                setattr(node, place, tf.Module())
            node = getattr(node, place)
        setattr(node, leaf, variable)
    return roots


def key(variable: keras.Variable) -> str:
    """Returns a variable's name in checkpoints, without suffix."""
    return path_key(variable.path.split('/', 1)[1])


def path_key(path: str) -> str:
    """Returns the name in checkpoints of the variable at a path that begins with a part of the network."""
    if _CONVNEXT.match(path):
        return path
    root, *places, leaf = path.split('/')
    inner = [name if _PLAIN.fullmatch(name) else f'_{name}' for name in places]
    return '/'.join([root, *inner, leaf])


def _root(name: str) -> str:
    return name.split('/', 1)[0]


def is_of_a_network(name: str) -> bool:
    """Tells variables of a network from the state of a training, by a name in a checkpoint."""
    return '/' in name and _SLOT not in name and _root(name) not in _OF_TRAINING


def _is_part_of(name: str, parts: Sequence[str]) -> bool:
    return any(place.removeprefix('_') in parts for place in name.split('/'))


def _canonical(name: str, own: Set[str]) -> str:
    name = name.removesuffix(_SUFFIX)
    if f'encoder/{name}' in own:
        return f'encoder/{name}'
    if name.startswith(_OTHER_ENCODER):
        return f'encoder/{name.removeprefix(_OTHER_ENCODER)}'
    return name


def _reader(prefix: str) -> Any:
    if not tf.io.gfile.exists(f'{prefix}.index'):
        raise errors.InputError(
            f'there is no checkpoint {prefix} ({prefix}.index is absent); give its folder, or its path '
            'without the suffix .index'
        )
    try:
        return tf.train.load_checkpoint(prefix)
    except (tf.errors.OpError, RuntimeError, ValueError) as error:
        raise errors.InputError(f'cannot read the checkpoint {prefix}: {error}; copy it anew') from error


def _check_shape(name: str, variable: keras.Variable, shape: Sequence[int], prefix: str) -> None:
    if tuple(variable.shape) == tuple(shape):
        return
    cure = 'give the configuration that the checkpoint was trained with'
    if 'last_layer' in _root(name) or 'transformer_class_head' in name:
        kind = 'instance' if name.startswith('instance') else 'semantic'
        cure = (
            f'or set model_options.restore_{kind}_last_layer_from_initial_checkpoint: false to leave it out'
        )
        cure = f'give a checkpoint of the same classes, {cure}'
    raise errors.InputError(
        f'{name} has shape {list(variable.shape)} here and {list(shape)} in {prefix}; {cure}'
    )
