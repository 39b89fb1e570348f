# SPDX-License-Identifier: Apache-2.0
"""What the options of training and evaluation must agree on."""

from collections.abc import Iterator

from panpipe.model.experiment import names, schema
from panpipe.model.experiment.checks import wording

_RAW_FORMATS = ('two_channel_png', 'three_channel_png', 'two_channel_numpy_array')


def _losses(experiment: schema.Experiment) -> Iterator[str]:
    options, path = experiment.trainer_options.loss_options, 'trainer_options.loss_options'
    named = (
        ('semantic_loss', options.semantic_loss, names.SEMANTIC_LOSSES),
        ('center_loss', options.center_loss, names.CENTER_LOSSES),
        ('regression_loss', options.regression_loss, names.CENTER_LOSSES),
    )
    for name, loss, choices in named:
        if loss is None:
            continue
        yield from wording.choice(f'{path}.{name}.name', loss.name, choices)


def _branches(experiment: schema.Experiment) -> Iterator[str]:
    model, path = experiment.model_options, 'trainer_options.loss_options'
    losses = experiment.trainer_options.loss_options
    for name in ('center_loss', 'regression_loss'):
        if model.is_semantic_only and getattr(losses, name) is not None:
            yield (
                f'{path}.{name} is set, but the network has no instance branch; take it away, for example '
                f'with --set {path}.{name}='
            )
    if experiment.train_dataset_options.file_pattern and losses == schema.LossOptions():
        yield (
            f'{path} holds no loss to train with; set at least '
            f'{path}.semantic_loss.name=softmax_cross_entropy'
        )


def _training(experiment: schema.Experiment) -> Iterator[str]:
    trainer = experiment.trainer_options
    solver, path = trainer.solver_options, 'trainer_options.solver_options'
    yield from wording.choice(f'{path}.optimizer', solver.optimizer, names.OPTIMIZERS)
    yield from wording.choice(f'{path}.learning_policy', solver.learning_policy, names.LEARNING_POLICIES)
    limit, steps = solver.clip_gradient_norm, solver.training_number_of_steps
    if solver.use_gradient_clipping and limit <= 0:
        yield (
            f'{path}.clip_gradient_norm is {limit:g}; it must be positive, or set use_gradient_clipping to '
            'false'
        )
    if experiment.train_dataset_options.file_pattern and steps < 1:
        yield f'{path}.training_number_of_steps is {steps}; it must be at least 1'
    for name in ('save_checkpoints_steps', 'save_summaries_steps', 'steps_per_loop'):
        if getattr(trainer, name) < 1:
            yield f'trainer_options.{name} is {getattr(trainer, name)}; it must be at least 1'
            return
    if trainer.save_summaries_steps % trainer.steps_per_loop:
        yield (
            f'trainer_options.save_summaries_steps is {trainer.save_summaries_steps}, not a multiple of '
            f'steps_per_loop {trainer.steps_per_loop}; set it to {trainer.steps_per_loop}'
        )


def _own(experiment: schema.Experiment) -> Iterator[str]:
    trainer, momentum = experiment.trainer_options, experiment.trainer_options.solver_options.ema_momentum
    parts, batch_size = trainer.gradient_accumulation_steps, experiment.train_dataset_options.batch_size
    if parts < 1:
        yield f'trainer_options.gradient_accumulation_steps is {parts}; it must be at least 1'
    elif batch_size % parts:
        yield (
            f'train_dataset_options.batch_size is {batch_size}, which gradient_accumulation_steps {parts} '
            'does not divide; change one of them'
        )
    yield from wording.choice('trainer_options.mixed_precision', trainer.mixed_precision, ('', 'bfloat16'))
    if not 0 <= momentum < 1:
        yield (
            f'trainer_options.solver_options.ema_momentum is {momentum:g}; it is a fraction in [0, 1), '
            'such as 0.999, or 0 to do without averages'
        )


def _evaluator(experiment: schema.Experiment) -> Iterator[str]:
    options = experiment.evaluator_options
    yield from wording.choice(
        'evaluator_options.raw_panoptic_format', options.raw_panoptic_format, _RAW_FORMATS
    )
    if options.nms_kernel < 1:
        yield f'evaluator_options.nms_kernel is {options.nms_kernel}; it must be at least 1'
    if any(scale <= 0 for scale in options.eval_scales):
        yield f'evaluator_options.eval_scales has a value <= 0: {options.eval_scales}; give positive factors'


def _advise_training(experiment: schema.Experiment) -> Iterator[str]:
    solver = experiment.trainer_options.solver_options
    steps, momentum = solver.training_number_of_steps, solver.batchnorm_momentum
    path = 'trainer_options.solver_options'
    if solver.warmup_steps >= steps:
        yield f'{path}.warmup_steps is {solver.warmup_steps}, but training ends after {steps} steps; lower it'
    if steps > 0 and 0.91 < momentum < 1 and steps * (1 - momentum) < 10:
        yield (
            f'{path}.batchnorm_momentum is {momentum:g}: the averages do not settle within {steps} steps; '
            'lower it, for example to 0.9'
        )


def _advise_losses(experiment: schema.Experiment) -> Iterator[str]:
    options, panoptic = experiment.trainer_options.loss_options, experiment.model_options.panoptic_deeplab
    if options.semantic_loss and panoptic and panoptic.instance.enable:
        for name in ('center_loss', 'regression_loss'):
            if getattr(options, name) is None:
                yield f'trainer_options.loss_options.{name} is absent: its head stays untrained; add it'


RULES = (_losses, _branches, _training, _own, _evaluator)
ADVICE = (_advise_training, _advise_losses)
