# SPDX-License-Identifier: Apache-2.0
"""Where the steps keep an experiment: one configuration and one run inside the model artifact."""

import importlib.resources
import os
import pathlib
from collections.abc import Sequence

from panpipe.model import config, datasets, errors
from panpipe.model.metrics import slot_use
from panpipe.model.storage import addresses, files

_RUN = 'run'
# What a network is trained on, as `panpipe train --strategy` names it.
STRATEGIES = ('auto', 'cpu', 'gpu', 'mirrored', 'multi_worker', 'tpu')


def source(name: str) -> str:
    """Reads the text of a configuration: a file, or a shipped one as 'coco/panoptic_deeplab/resnet50_os32'.

    Raises:
      errors.InputError: there is no such configuration, or it cannot be read.
    """
    if os.path.exists(name):
        return read_text(name)
    file = importlib.resources.files('panpipe.model').joinpath('configs', f'{name}.textproto')
    if not file.is_file():
        raise errors.InputError(f'no configuration {name}: it is neither a file nor shipped in model/configs')
    return file.read_text()


def slots(evaluation: str) -> list[str]:
    """Returns the report's option for what an evaluation found of slots, where the network has any."""
    folder = os.path.join(run_dir(evaluation), slot_use.FOLDER)
    return ['--slots', folder] if os.path.isdir(folder) else []


def toy(dataset: str) -> str:
    """Names the shipped configuration that fits the toy data of a data set."""
    return f'toy/{datasets.find(dataset).layout}_mobilenet_v3_small'


def read_text(name: str) -> str:
    """Reads a text file; InputError says why it cannot."""
    try:
        return pathlib.Path(name).read_text(encoding='utf-8-sig')  # some editors begin with a mark
    except OSError as error:
        raise errors.InputError(f'cannot read {name}: {error.strerror}') from error
    except UnicodeDecodeError as error:
        raise errors.InputError(
            f'{name} is not text (byte {error.start} is not UTF-8); give a text file'
        ) from error


def path(model: str) -> str:
    """Names the completed configuration inside a model artifact."""
    return addresses.join(model, 'experiment.textproto')


def run_dir(model: str) -> str:
    """Names the folder of checkpoints and summaries inside a model artifact."""
    return addresses.join(model, _RUN)


def patterns(dataset: str, records: str, train_split: str, val_split: str) -> list[str]:
    """Lists the overrides that let a configuration read the records of this pipeline run.

    >>> patterns('coco_panoptic', '/r', 'train', 'val')[1]
    'train_dataset_options.file_pattern=/r/train-*.tfrecord'
    """
    return [
        f'train_dataset_options.dataset={dataset}',
        f'train_dataset_options.file_pattern={records}/{train_split}-*.tfrecord',
        f'eval_dataset_options.dataset={dataset}',
        f'eval_dataset_options.file_pattern={records}/{val_split}-*.tfrecord',
    ]


def read(text: str, overrides: Sequence[str], name: str) -> config.Experiment:
    """Reads and checks the configuration of a pipeline run; `name` is what errors call it.

    Raises:
      errors.InputError: the configuration is wrong.
    """
    experiment = config.loads(text, name, [f'experiment_name={_RUN}', *overrides])
    config.check(experiment)
    return experiment


def devices(strategy: str) -> tuple[str, ...]:
    """Returns the options of `panpipe train` for a strategy.

    Raises:
      errors.InputError: there is no such strategy.
    """
    if strategy not in STRATEGIES:
        raise errors.InputError(f'strategy is {strategy!r}; it is one of {", ".join(STRATEGIES)}')
    return '--strategy', strategy


def complete(text: str, overrides: Sequence[str]) -> str:
    """Returns the text of a configuration that names its records and its run.

    Raises:
      errors.InputError: the configuration is wrong.
    """
    return config.dumps(read(text, overrides, 'the configuration'))


def save(text: str, model: str) -> str:
    """Writes a completed configuration into the folder of a model; returns the file's path."""
    files.write_whole(path(model), text.encode())
    return path(model)
