# SPDX-License-Identifier: Apache-2.0
"""The ranges of numbers that depend on no other field."""

from collections.abc import Callable, Iterator

from panpipe.model.experiment import schema, textproto

_LOSSES = tuple(
    f'trainer_options.loss_options.{name}' for name in ('semantic_loss', 'center_loss', 'regression_loss')
)
_DECODERS = (
    'model_options.decoder',
    'model_options.panoptic_deeplab.instance.instance_decoder_override',
)
# What a number must be, whether it is so, and the fields that it holds for.
_RANGES: tuple[tuple[str, Callable[[float], bool], tuple[str, ...]], ...] = (
    (
        'at least 1',
        lambda value: value >= 1,
        (
            *(f'{path}.{name}' for path in _DECODERS for name in ('aspp_channels', 'decoder_channels')),
            'trainer_options.num_checkpoints_to_keep',
            'evaluator_options.eval_interval',
        ),
    ),
    (
        'positive',
        lambda value: value > 0,
        (
            'model_options.backbone.stem_width_multiplier',
            'model_options.backbone.backbone_width_multiplier',
            'model_options.backbone.backbone_layer_multiplier',
        ),
    ),
    (
        'at least 0',
        lambda value: value >= 0,
        (
            'trainer_options.seed',
            *(f'{path}.weight' for path in _LOSSES),
            'trainer_options.solver_options.batchnorm_epsilon',
            'trainer_options.solver_options.base_learning_rate',
            'trainer_options.solver_options.poly_end_learning_rate',
            'trainer_options.solver_options.backbone_learning_rate_multiplier',
            'trainer_options.solver_options.weight_decay',
            'trainer_options.solver_options.adamw_weight_decay',
            'evaluator_options.stuff_area_limit',
        ),
    ),
    (
        'in [0, 1]',
        lambda value: 0 <= value <= 1,
        ('trainer_options.solver_options.batchnorm_momentum',),
    ),
    (
        'in (0, 1], such as 0.2 for the hardest fifth of the pixels',
        lambda value: 0 < value <= 1,
        tuple(f'{path}.top_k_percent' for path in _LOSSES),
    ),
)


def _ranges(experiment: schema.Experiment) -> Iterator[str]:
    for words, is_right, paths in _RANGES:
        for path in paths:
            value = _value(experiment, path)
            if value is not None and not is_right(value):
                yield f'{path} is {value:g}; it must be {words}'


def _value(experiment: schema.Experiment, path: str) -> float | None:
    """Returns the number at 'field.of.fields', None where it or a message around it is absent."""
    found: textproto.Message | float | None = experiment
    for name in path.split('.'):
        found = None if found is None else getattr(found, name)
    return found  # type: ignore[return-value]


RULES = (_ranges,)
