# SPDX-License-Identifier: Apache-2.0
"""Names and arguments that other programs and notebooks call stay as they are."""

import inspect

import pytest

from panpipe.custom_ops import merge
from panpipe.model import build, checkpoints, config, postprocess, train
from panpipe.model.inputs import pipeline, targets
from panpipe.model.losses import total
from panpipe.model.metrics import quality

_MAPS = 'ground_truth prediction labels'
_CENTERS = 'center_threshold nms_kernel keep_k_centers stuff_area_limit use_op'
PUBLIC = [
    (config.load, 'path overrides run'),
    (build.network, 'experiment'),
    (postprocess.upsample, 'heads height width'),
    (postprocess.panoptic, f'heads labels {_CENTERS}'),
    (postprocess.pixelwise, 'mask_heads labels height width options use_op'),
    (postprocess.maskwise, 'mask_heads labels height width options use_op'),
    (merge.merge, 'semantic instance thing_ids label_divisor stuff_area_limit void_label use_op'),
    (merge.panoptic_from_heads, f'heads labels height width {_CENTERS}'),
    (merge.op_available, ''),
    (targets.targets, 'panoptic labels sigma small_instance_threshold small_instance_weight'),
    (pipeline.training_samples, 'experiment batch_size seed start share'),
    (quality.PanopticQuality.from_maps, _MAPS),
    (quality.ConfusionMatrix.from_maps, _MAPS),
    (total.loss, 'heads targets loss_options labels choices'),
    (train.learning_rate, 'solver_options'),
    (checkpoints.restore, 'network path skip'),
]


@pytest.mark.parametrize(('function', 'names'), PUBLIC, ids=lambda value: getattr(value, '__qualname__', ''))
def test_arguments(function, names):
    assert list(inspect.signature(function).parameters) == names.split()
