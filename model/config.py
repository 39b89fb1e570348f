# SPDX-License-Identifier: Apache-2.0
"""Reads experiment configurations: DeepLab2's text format, environment variables, overrides, checks.

>>> experiment = loads('experiment_name: "first" train_dataset_options { batch_size: 8 }')
>>> experiment.train_dataset_options.batch_size
8
>>> loads(dumps(experiment)) == experiment
True

The messages of `experiment.schema` and the checks of `experiment.checks` are names of this module too.
"""

import os
import pathlib
from collections.abc import Sequence

from panpipe.model import errors
from panpipe.model.experiment import copied_datasets, deeplab2, schema, textproto, user_values
from panpipe.model.experiment.checks.data import check_eval_crop as check_eval_crop
from panpipe.model.experiment.checks.rules import advice as advice
from panpipe.model.experiment.checks.rules import check as check
from panpipe.model.experiment.schema import AugmentationOptions as AugmentationOptions
from panpipe.model.experiment.schema import BackboneOptions as BackboneOptions
from panpipe.model.experiment.schema import DatasetOptions as DatasetOptions
from panpipe.model.experiment.schema import DecoderOptions as DecoderOptions
from panpipe.model.experiment.schema import DeeplabV3Options as DeeplabV3Options
from panpipe.model.experiment.schema import DeeplabV3PlusOptions as DeeplabV3PlusOptions
from panpipe.model.experiment.schema import EvaluatorOptions as EvaluatorOptions
from panpipe.model.experiment.schema import Experiment as Experiment
from panpipe.model.experiment.schema import HeadOptions as HeadOptions
from panpipe.model.experiment.schema import InstanceOptions as InstanceOptions
from panpipe.model.experiment.schema import LossOptions as LossOptions
from panpipe.model.experiment.schema import LowLevelOptions as LowLevelOptions
from panpipe.model.experiment.schema import MaskwisePostProcessingOptions as MaskwisePostProcessingOptions
from panpipe.model.experiment.schema import MaXDeepLabOptions as MaXDeepLabOptions
from panpipe.model.experiment.schema import ModelOptions as ModelOptions
from panpipe.model.experiment.schema import PanopticCopyPasteOptions as PanopticCopyPasteOptions
from panpipe.model.experiment.schema import PanopticDeeplabOptions as PanopticDeeplabOptions
from panpipe.model.experiment.schema import SingleLossOptions as SingleLossOptions
from panpipe.model.experiment.schema import SolverOptions as SolverOptions
from panpipe.model.experiment.schema import TrainerOptions as TrainerOptions
from panpipe.model.storage import addresses, files, reach


def load(path: str | os.PathLike[str], overrides: Sequence[str] = (), run: str = '') -> Experiment:
    """Reads a configuration file and checks it.

    Args:
      path: text protobuf, as DeepLab2's configuration files.
      overrides: 'field.of.fields=value' each; a repeated field takes comma-separated values.
      run: folder of a run, or a checkpoint in one: knows the data set of a description that is gone.

    Raises:
      errors.InputError: the file cannot be read, parsed or completed, or its values contradict each other.
    """
    name = os.fspath(path)
    try:
        text = _content(name).decode('utf-8-sig')  # some editors begin with a mark
    except OSError as error:
        raise errors.InputError(
            f'cannot read the configuration {name}: {error.strerror}; give the path of a .textproto file'
        ) from error
    except UnicodeDecodeError as error:
        raise errors.InputError(
            f'{name} is not text (byte {error.start} is not UTF-8); give the path of a .textproto file'
        ) from error
    experiment = copied_datasets.settle(loads(text, name, overrides), run)
    try:
        check(experiment)
    except errors.InputError as error:
        raise errors.InputError(f'{name}: {error}') from error
    return experiment


def loads(text: str, path: str = '<text>', overrides: Sequence[str] = ()) -> Experiment:
    """Reads a configuration from `text`, as `load` but without `check`; `path` is what errors call it."""
    experiment = _parse(text, path)
    for entry in overrides:
        experiment = user_values.override(experiment, entry)
    return user_values.substitute(experiment, text, path)


def dumps(experiment: Experiment) -> str:
    """Writes what differs from the defaults as text protobuf."""
    return textproto.dump(experiment)


def _content(name: str) -> bytes:
    if not addresses.is_remote(name):
        return pathlib.Path(name).read_bytes()
    reach.check('--config', name)
    return files.read(name)


def _parse(text: str, path: str) -> Experiment:
    while True:
        try:
            return textproto.parse(text, schema.Experiment, path)
        except textproto.UnknownFieldError as error:
            text = deeplab2.accept(text, path, error)
