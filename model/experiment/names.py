# SPDX-License-Identifier: Apache-2.0
"""Names that configurations may use, each with the place of the code behind it.

These are the only lists of their kinds. The checks of a configuration read them without TensorFlow; `find`
imports what a name stands for.
"""

import importlib
import types
from collections.abc import Mapping
from typing import Any

from panpipe.model import errors

# Of logits and labels, as `losses.pixel.softmax_cross_entropy`.
SEMANTIC_LOSSES: Mapping[str, str] = types.MappingProxyType(
    {'softmax_cross_entropy': 'panpipe.model.losses.pixel.softmax_cross_entropy'}
)
# Of prediction and target, as `losses.pixel.mean_squared_error`; for centers and for offsets.
CENTER_LOSSES: Mapping[str, str] = types.MappingProxyType(
    {
        'mse': 'panpipe.model.losses.pixel.mean_squared_error',
        'l1': 'panpipe.model.losses.pixel.mean_absolute_error',
    }
)
# Make a layer of filters, as `layers.convolution.standard`.
CONVOLUTIONS: Mapping[str, str] = types.MappingProxyType(
    {
        'depthwise_separable_conv': 'panpipe.model.layers.convolution.separable',
        'standard_conv': 'panpipe.model.layers.convolution.standard',
    }
)
# Make an optimizer of options and a schedule, as `training.solver.adam_optimizer`.
OPTIMIZERS: Mapping[str, str] = types.MappingProxyType(
    {
        'adam': 'panpipe.model.training.solver.adam_optimizer',
        'sgd': 'panpipe.model.training.solver.sgd_optimizer',
        'adamw': 'panpipe.model.training.solver.adamw_optimizer',
    }
)
# Decay of a schedule, as `training.solver.poly_decay`.
LEARNING_POLICIES: Mapping[str, str] = types.MappingProxyType(
    {
        'poly': 'panpipe.model.training.solver.poly_decay',
        'cosine': 'panpipe.model.training.solver.cosine_decay',
    }
)
# Values of `inputs.autoaugment.Policy`.
AUTOAUGMENT_POLICIES: Mapping[str, str] = types.MappingProxyType(
    {
        'simple_classification_policy': 'panpipe.model.inputs.autoaugment.SIMPLE',
        'simple_classification_policy_magnitude_scale_0.2': 'panpipe.model.inputs.autoaugment.WEAK',
    }
)


def find(field: str, name: str, table: Mapping[str, str]) -> Any:
    """Imports what a name stands for.

    Args:
      field: of the configuration, for the message.
      name: its value.
      table: one of this module.

    Raises:
      errors.InputError: the table has no such name.
    """
    if name not in table:
        raise errors.InputError(f'{field} is {name!r}; it is one of {", ".join(table)}')
    module, _, attribute = table[name].rpartition('.')
    return getattr(importlib.import_module(module), attribute)
