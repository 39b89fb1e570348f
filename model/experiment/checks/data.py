# SPDX-License-Identifier: Apache-2.0
"""What the options of the records must agree on, with each other and with the network."""

import math
from collections.abc import Iterator, Sequence

from panpipe.model import datasets, errors
from panpipe.model.experiment import names, schema
from panpipe.model.experiment.checks import network, wording


def check_eval_crop(experiment: schema.Experiment, height: int, width: int) -> None:
    """Checks that images of height × width pixels fit the evaluation crop, which is padded to and never cut.

    Raises:
      errors.InputError: such an image is larger, and nothing asks for resizing.
    """
    options = experiment.eval_dataset_options
    is_resized = any(size and min(size) > 0 for size in (options.min_resize_value, options.max_resize_value))
    if is_resized or len(options.crop_size) != 2:
        return
    if height > options.crop_size[0] or width > options.crop_size[1]:
        stride = network.stride(experiment.model_options)
        fitting = wording.listed([_crop_at_least(side, stride) for side in (height, width)])
        raise errors.InputError(
            f'eval_dataset_options.crop_size is {wording.size(options.crop_size)}, smaller than an image of '
            f'{height}x{width}; set crop_size={fitting}, or max_resize_value to shrink the images'
        )


def _both(experiment: schema.Experiment) -> Iterator[tuple[str, schema.DatasetOptions]]:
    yield 'train_dataset_options', experiment.train_dataset_options
    yield 'eval_dataset_options', experiment.eval_dataset_options


def _classes(experiment: schema.Experiment) -> Iterator[str]:
    outputs = dict(_outputs(experiment.model_options))
    for section, options in _both(experiment):
        if not options.dataset:
            continue
        try:
            expected = datasets.find(options.dataset).labels.num_classes
        except errors.InputError as error:
            yield f'{section}.dataset: {error}'
            continue
        for path, channels in outputs.items():
            if channels != expected:
                yield f'{path} is {channels}; {options.dataset} has {expected} classes: set it to {expected}'


def _outputs(model: schema.ModelOptions) -> Iterator[tuple[str, int]]:
    if model.panoptic_deeplab:
        channels = model.panoptic_deeplab.semantic_head.output_channels
        yield 'model_options.panoptic_deeplab.semantic_head.output_channels', channels
    if model.max_deeplab:
        channels = model.max_deeplab.auxiliary_semantic_head.output_channels
        yield 'model_options.max_deeplab.auxiliary_semantic_head.output_channels', channels
    if model.deeplab_v3:
        yield 'model_options.deeplab_v3.num_classes', model.deeplab_v3.num_classes
    if model.deeplab_v3_plus:
        yield 'model_options.deeplab_v3_plus.num_classes', model.deeplab_v3_plus.num_classes


def _crops(experiment: schema.Experiment) -> Iterator[str]:
    stride = network.stride(experiment.model_options)
    for section, options in _both(experiment):
        crop = options.crop_size
        if not crop:
            continue
        if len(crop) != 2:
            yield f'{section}.crop_size has {len(crop)} values; give height and width'
        elif stride in network.STRIDES and any(side < 1 or (side - 1) % stride for side in crop):
            yield (
                f'{section}.crop_size is {wording.size(crop)}, but each side must be a multiple of '
                f'output_stride {stride} plus 1; the nearest such values are {_nearest(crop, stride)}'
            )


def _nearest(crop: Sequence[int], stride: int) -> str:
    sides = []
    for side in crop:
        upper = max(_crop_at_least(side, stride), stride + 1)
        is_valid = upper == side
        sides.append(str(side) if is_valid else f'{max(upper - stride, stride + 1)} or {upper}')
    return ' x '.join(sides)


def _crop_at_least(side: int, stride: int) -> int:
    return math.ceil(max(side - 1, 0) / stride) * stride + 1


def _resizing(experiment: schema.Experiment) -> Iterator[str]:
    for section, options in _both(experiment):
        for name in ('min_resize_value', 'max_resize_value'):
            count = len(getattr(options, name))
            if count > 2:
                yield f'{section}.{name} has {count} values; give none, one, or height and width'
        limit, crop = options.max_resize_value, options.crop_size
        if not limit or min(limit) <= 0 or len(limit) > 2 or len(crop) != 2:
            continue
        sides = limit * 2 if len(limit) == 1 else limit
        if sides[0] > crop[0] or sides[1] > crop[1]:
            fitting = wording.listed([min(pair) for pair in zip(sides, crop, strict=True)])
            yield (
                f'{section}.max_resize_value is {wording.size(sides)}, larger than '
                f'crop_size {wording.size(crop)}; set it to {fitting}, or enlarge crop_size'
            )


def _augmentations(experiment: schema.Experiment) -> Iterator[str]:
    for section, options in _both(experiment):
        path, augment = f'{section}.augmentations', options.augmentations
        low, high = augment.min_scale_factor, augment.max_scale_factor
        if low < 0:
            yield f'{path}.min_scale_factor is {low:g}; it must not be negative'
        if low > high:
            yield f'{path}.min_scale_factor is {low:g}, above max_scale_factor {high:g}; exchange them'
        step = augment.scale_factor_step_size
        if step < 0:
            yield f'{path}.scale_factor_step_size is {step:g}; it must not be negative'
        yield from wording.choice(
            f'{path}.autoaugment_policy_name',
            augment.autoaugment_policy_name,
            ('', *names.AUTOAUGMENT_POLICIES),
        )


def _batches(experiment: schema.Experiment) -> Iterator[str]:
    for section, options in _both(experiment):
        if options.batch_size < 1:
            yield f'{section}.batch_size is {options.batch_size}; it must be at least 1'
        if not options.sigma > 0:
            yield f'{section}.sigma is {options.sigma:g}; it must be positive'
    evaluation = experiment.eval_dataset_options
    is_set = bool(evaluation.dataset or evaluation.file_pattern)
    if is_set and not evaluation.crop_size:
        yield (
            'eval_dataset_options.crop_size is empty; give height and width that hold the largest image, '
            'such as 1025,2049'
        )
    if is_set and evaluation.batch_size > 1:
        yield (
            f'eval_dataset_options.batch_size is {evaluation.batch_size}; '
            'images are evaluated one at a time, at their own size: set it to 1'
        )


RULES = (_classes, _crops, _resizing, _augmentations, _batches)
