# SPDX-License-Identifier: Apache-2.0
"""Trains a network, evaluates it, or both in turn. A run that stopped goes on from its newest checkpoint."""

import argparse
import functools
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from panpipe.model import (
    build,
    checkpoints,
    config,
    datasets,
    errors,
    evaluate,
    jobs,
    progress,
    rundir,
    solver,
    trainer,
)
from panpipe.model.inputs import pipeline
from panpipe.model.losses import total

_EXAMPLES = (
    'panpipe train --config resnet50_os32.textproto --model_dir runs',
    'panpipe train --config resnet50_os32.textproto --model_dir runs --mode eval',
    'panpipe train --config c.textproto --model_dir runs --set train_dataset_options.batch_size=8',
)


def learning_rate(solver_options: config.SolverOptions) -> Callable[[int], float]:
    """Makes the function from a step (0 is the first) to its learning rate."""
    schedule = solver.schedule(solver_options)
    return lambda step: float(schedule(step))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the job and returns its exit status."""
    parser = jobs.parser('train', __doc__ or '', _EXAMPLES)
    parser.add_argument('--config', required=True, help='experiment, a DeepLab2 .textproto file')
    parser.add_argument(
        '--model_dir', required=True, help='folder of runs; this one is MODEL_DIR/EXPERIMENT_NAME'
    )
    parser.add_argument('--mode', choices=_MODES, default='train_and_eval')
    parser.add_argument(
        '--set',
        action='append',
        default=[],
        metavar='FIELD=VALUE',
        help='overrides a field of the configuration',
    )
    arguments = parser.parse_args(argv)
    return jobs.run('train', functools.partial(_run, arguments))


def _run(arguments: argparse.Namespace) -> None:
    experiment = config.load(arguments.config, arguments.set)
    for line in config.advice(experiment):
        print(f'panpipe train: note: {line}', file=sys.stderr)
    directory = rundir.RunDirectory(
        arguments.model_dir, experiment.experiment_name, experiment.trainer_options.num_checkpoints_to_keep
    )
    _MODES[arguments.mode](experiment, directory)


def _train(experiment: config.Experiment, directory: rundir.RunDirectory) -> None:
    Training(experiment, directory).until(experiment.trainer_options.solver_options.training_number_of_steps)


def _train_and_eval(experiment: config.Experiment, directory: rundir.RunDirectory) -> None:
    training = Training(experiment, directory)
    steps = experiment.trainer_options.solver_options.training_number_of_steps
    interval = experiment.evaluator_options.eval_interval
    while training.step < steps:
        training.until(min(steps, (training.step // interval + 1) * interval))
        _evaluate(experiment, directory, training.network, training.step)


def _eval(experiment: config.Experiment, directory: rundir.RunDirectory) -> None:
    path = directory.latest or experiment.model_options.initial_checkpoint
    if not path:
        raise errors.InputError(
            f'{directory.path} holds no checkpoint; train first, or set model_options.initial_checkpoint'
        )
    _evaluate_checkpoint(experiment, directory, build.network(experiment), path)


def _continuous_eval(experiment: config.Experiment, directory: rundir.RunDirectory) -> None:
    seconds = experiment.evaluator_options.continuous_eval_timeout
    network = build.network(experiment)
    for path in tf.train.checkpoints_iterator(directory.path, timeout=None if seconds < 0 else seconds):
        _evaluate_checkpoint(experiment, directory, network, path)


_MODES: dict[str, Callable[[config.Experiment, rundir.RunDirectory], None]] = {
    'train': _train,
    'eval': _eval,
    'train_and_eval': _train_and_eval,
    'continuous_eval': _continuous_eval,
}


class Training:
    """A training in progress: restored from the run's newest checkpoint, or begun anew."""

    def __init__(self, experiment: config.Experiment, directory: rundir.RunDirectory) -> None:
        self._options = experiment.trainer_options
        self._directory = directory
        # Fresh weights and dropout follow from the seed, as the order of the samples does.
        keras.utils.set_random_seed(self._options.seed)
        strategy = _strategy()
        with strategy.scope():
            self.network = build.network(experiment)
            self._trainer = _trainer(experiment, self.network, strategy)
        checkpoint = self._trainer.checkpoint()
        self._manager = directory.manager(checkpoint)
        if directory.latest:
            checkpoint.restore(directory.latest).assert_consumed()
            print(f'panpipe train: going on from {directory.latest}', file=sys.stderr)
        elif experiment.model_options.initial_checkpoint:
            report = checkpoints.restore(
                self.network, experiment.model_options.initial_checkpoint, skip=_fresh_roots(experiment)
            )
            print(report.table(), file=sys.stderr)
        seen = self.step * experiment.train_dataset_options.batch_size
        samples = pipeline.training_samples(experiment, seed=self._options.seed, start=seen)
        self._batches: Iterator[Any] = iter(strategy.experimental_distribute_dataset(samples))

    @property
    def step(self) -> int:
        """Steps done."""
        return int(self._trainer.global_step)

    def until(self, last: int) -> None:
        """Trains until step `last`, with summaries after each loop and checkpoints when they are due."""
        if self.step == 0:
            self._manager.save(checkpoint_number=0)
        saved = self.step
        with progress.bar(
            'train', self._options.solver_options.training_number_of_steps, self.step
        ) as advance:
            while self.step < last:
                losses = self._loop(min(self._options.steps_per_loop, last - self.step), advance)
                rate = {'learning_rate': learning_rate(self._options.solver_options)(self.step)}
                self._directory.scalars(
                    'train', {f'losses/train_{k}_loss': v for k, v in losses.items()} | rate, self.step
                )
                if self.step - saved >= self._options.save_checkpoints_steps or self.step == last:
                    saved = self.step
                    self._manager.save(checkpoint_number=saved)

    def _loop(self, num_steps: int, advance: Callable[[int, str], None]) -> dict[str, float]:
        """Takes some steps; returns the mean of each loss over them."""
        sums: dict[str, float] = {}
        for _ in range(num_steps):
            losses = {name: float(value) for name, value in self._trainer.step(*next(self._batches)).items()}
            _refuse_nan(losses, self.step)
            sums = {name: sums.get(name, 0.0) + value for name, value in losses.items()}
            advance(self.step, f'loss {losses["total"]:.3f}')
        return {name: value / num_steps for name, value in sums.items()}


def _strategy() -> tf.distribute.Strategy:
    """Chooses all GPUs of this machine if there are several, else the one device that there is."""
    several = len(tf.config.list_physical_devices('GPU')) > 1
    return tf.distribute.MirroredStrategy() if several else tf.distribute.get_strategy()


def _trainer(
    experiment: config.Experiment, network: keras.Model, strategy: tf.distribute.Strategy
) -> trainer.Trainer:
    solver_options = experiment.trainer_options.solver_options
    return trainer.Trainer(
        network,
        solver.optimizers(solver_options, network),
        _loss(experiment, experiment.train_dataset_options),
        strategy,
        solver_options.clip_gradient_norm if solver_options.use_gradient_clipping else 0.0,
        tf.Variable(
            0, dtype=tf.int64, trainable=False, aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA
        ),
    )


def _loss(experiment: config.Experiment, options: config.DatasetOptions) -> trainer.LossFunction:
    return functools.partial(
        total.loss,
        loss_options=experiment.trainer_options.loss_options,
        label_spec=datasets.find(options.dataset).labels,
    )


def _fresh_roots(experiment: config.Experiment) -> tuple[str, ...]:
    """Names the last layers that the initial checkpoint must not fill."""
    options = experiment.model_options
    semantic = () if options.restore_semantic_last_layer_from_initial_checkpoint else ('semantic_last_layer',)
    if options.restore_instance_last_layer_from_initial_checkpoint:
        return semantic
    return (*semantic, 'instance_center_head_last_layer', 'instance_regression_head_last_layer')


def _refuse_nan(losses: dict[str, float], step: int) -> None:
    wrong = [f'{name} loss is {value}' for name, value in losses.items() if not math.isfinite(value)]
    if wrong:
        raise errors.JobError(
            f'{", ".join(wrong)} at step {step}; lower base_learning_rate, lengthen warmup_steps or set '
            'use_gradient_clipping: the newest checkpoint is from before'
        )


def _evaluate_checkpoint(
    experiment: config.Experiment, directory: rundir.RunDirectory, network: keras.Model, path: str
) -> None:
    checkpoints.restore(network, path)
    _evaluate(experiment, directory, network, checkpoints.global_step(path))


def _evaluate(
    experiment: config.Experiment, directory: rundir.RunDirectory, network: keras.Model, step: int
) -> None:
    """Evaluates the network and writes evaluation.json and TensorBoard scalars."""
    if not experiment.eval_dataset_options.decode_groundtruth_label:
        raise errors.InputError(
            'eval_dataset_options.decode_groundtruth_label is false, so there is nothing to evaluate against; '
            'use panpipe predict'
        )
    options = experiment.evaluator_options
    spec = datasets.find(experiment.eval_dataset_options.dataset).labels
    evaluation = evaluate.evaluate(
        network,
        pipeline.evaluation_samples(experiment).take(options.eval_steps),
        spec,
        evaluate.Postprocessing.from_options(options),
        _loss(experiment, experiment.eval_dataset_options),
    )
    directory.scalars('eval', evaluation.scalars(), step)
    summary = evaluation.summary()
    directory.write_json('evaluation.json', {'step': step, **summary})
    figures = ', '.join(f'{key.upper()} {summary[key]["all"]:.1f}' for key in ('pq', 'sq', 'rq'))
    print(f'panpipe train: step {step}: {figures}, mIoU {summary["miou"]:.1f}')


if __name__ == '__main__':
    sys.exit(main())
